"""Queue operations: each is one script call."""

import os
from base64 import b32encode
from collections.abc import Callable
from hashlib import blake2b
from itertools import count
from typing import Any

import msgspec

from service.error_registry import (
    BY_CODE,
    FieldInvalid,
    FieldMissing,
    RequestIdReused,
)
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.names import RequestIdentity, encode_name
from service.payload import check_payload
from service.queue import receipts
from service.queue.receipts import ReceiptParts
from service.queue.wire import (
    Acked,
    AckRequest,
    BatchAcked,
    ConsumeRequest,
    Deliveries,
    Delivery,
    Extended,
    ExtendRequest,
    Message,
    Nacked,
    NackRequest,
    NoMessage,
    OutgoingMessage,
    Published,
    PublishedBatch,
    PublishRequest,
    Refused,
    TopicState,
)
from service.store.scripts import Scripts, declare
from service.store.signature import Call

_ONCE = "fence fingerprint keep_ms"
PUBLISH = declare("queue.publish", keys="fence outcome messages ready delayed", args=f"{_ONCE} id+ delay_ms+ data+")
CONSUME = declare(
    "queue.consume", keys="fence outcome messages ready delayed inflight", args=f"{_ONCE} max visibility_ms"
)
ACK = declare("queue.ack", keys="fence outcome messages inflight", args=f"{_ONCE} id+ delivery+ generation+")
NACK = declare(
    "queue.nack", keys="fence outcome messages ready delayed inflight", args=f"{_ONCE} id delivery generation delay_ms"
)
EXTEND = declare(
    "queue.extend", keys="fence outcome messages inflight", args=f"{_ONCE} id delivery generation visibility_ms"
)
INSPECT = declare("queue.inspect", keys="fence messages ready delayed inflight", args="fence")

_DELIVERY_FIELDS = 4


class Queues:
    def __init__(
        self, scripts: Scripts, keys: Keys, owner_of: Callable[[Partition], str | None], *, outcome_keep_ms: int
    ) -> None:
        """`owner_of` names the node that does a partition's duties."""
        self._scripts = scripts
        self._keys = keys
        self._owner_of = owner_of
        self._keep_ms = outcome_keep_ms
        # 80 random bits a process and a counter: ids of two processes do not meet.
        self._id_prefix = b32encode(os.urandom(10)).decode().lower()
        self._id_numbers = count(1)

    async def publish(self, request: PublishRequest) -> Published | PublishedBatch:
        """Add one message or several. Raises FieldInvalid, FieldMissing, PayloadTooLarge, RequestIdReused."""
        messages, is_batch = _outgoing(request)
        topic = _Topic(self._keys, request.topic)
        identity = RequestIdentity("queue.publish", request, request.request_id)
        ids = self._ids(messages, request)
        args: list[Any] = [identity.fingerprint, self._keep_ms]
        for position, (message, message_id) in enumerate(zip(messages, ids, strict=True)):
            field = f"messages[{position}].data" if is_batch else "data"
            args += (message_id, message.delay_ms, check_payload(field, message.data))
        reply = await self._scripts.call(
            PUBLISH,
            topic.partition,
            (topic.outcome(identity), topic.messages, topic.ready, topic.delayed),
            tuple(args),
        )
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=request.request_id)
        if is_batch:
            duplicates = [message_id for message_id, stored in zip(ids, reply[1:], strict=True) if not stored]
            return PublishedBatch(ok=True, ids=ids, duplicates=duplicates)
        return Published(ok=True, id=ids[0], duplicate=not reply[1])

    def _ids(self, messages: list[OutgoingMessage], request: PublishRequest) -> list[str]:
        """Chosen ids as they are; ours for the rest, the same ones again for a retried request."""
        if request.request_id is None:
            return [message.id or f"{self._id_prefix}-{next(self._id_numbers)}" for message in messages]
        stem = blake2b(request.request_id.encode(), digest_size=10).hexdigest()
        return [message.id or f"{stem}-{position}" for position, message in enumerate(messages, 1)]

    async def consume(self, request: ConsumeRequest) -> Delivery | Deliveries | NoMessage:
        """Deliver up to `max` messages, at once. Raises FieldInvalid, RequestIdReused."""
        topic = _Topic(self._keys, request.topic)
        encode_name("consumer", request.consumer)
        identity = RequestIdentity("queue.consume", request, request.request_id)
        reply = await self._scripts.call(
            CONSUME,
            topic.partition,
            (topic.outcome(identity), topic.messages, topic.ready, topic.delayed, topic.inflight),
            (identity.fingerprint, self._keep_ms, request.max, request.visibility_ms),
        )
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=request.request_id)
        delivered = [_delivery(*reply[at : at + _DELIVERY_FIELDS]) for at in range(1, len(reply), _DELIVERY_FIELDS)]
        if request.max > 1:
            return Deliveries(delivered)
        return delivered[0] if delivered else NoMessage()

    async def ack(self, request: AckRequest) -> Acked | BatchAcked:
        """Take messages out for good. Raises AlreadyAcked, ReceiptExpired, ReceiptSuperseded, RequestIdReused."""
        topic = _Topic(self._keys, request.topic)
        named = _named_deliveries(request)
        identity = RequestIdentity("queue.ack", request, request.request_id)
        args: list[Any] = [identity.fingerprint, self._keep_ms]
        for parts in named:
            args += (parts.id, parts.delivery, parts.generation)
        reply = await self._scripts.call(
            ACK, topic.partition, (topic.outcome(identity), topic.messages, topic.inflight), tuple(args)
        )
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=request.request_id)
        if request.receipts is None:
            if reply[1] != b"ok":
                raise _refusal(reply[1], request.topic, named[0].id)
            return Acked()
        refused = []
        for receipt, parts, code in zip(request.receipts, named, reply[1:], strict=True):
            if code != b"ok":
                refused.append(Refused(receipt, code.decode(), _refusal(code, request.topic, parts.id).detail))
        return BatchAcked(ack=not refused, acked=len(named) - len(refused), refused=refused)

    async def nack(self, request: NackRequest) -> Nacked:
        """Give a delivery back, for at once or for later. Raises as `ack`."""
        topic = _Topic(self._keys, request.topic)
        keys = (topic.messages, topic.ready, topic.delayed, topic.inflight)
        await self._on_delivery(NACK, topic, request, keys, request.delay_ms)
        return Nacked()

    async def extend(self, request: ExtendRequest) -> Extended:
        """Set what is left of the visibility timeout. Raises as `ack`."""
        topic = _Topic(self._keys, request.topic)
        await self._on_delivery(EXTEND, topic, request, (topic.messages, topic.inflight), request.visibility_ms)
        return Extended(visibility_ms=request.visibility_ms)

    async def _on_delivery(
        self, call: Call, topic: "_Topic", request: NackRequest | ExtendRequest, keys: tuple[bytes, ...], time_ms: int
    ) -> None:
        parts = receipts.parse("receipt", request.receipt)
        identity = RequestIdentity(call.name, request, request.request_id)
        reply = await self._scripts.call(
            call,
            topic.partition,
            (topic.outcome(identity), *keys),
            (identity.fingerprint, self._keep_ms, parts.id, parts.delivery, parts.generation, time_ms),
        )
        if reply[0] == b"request_id_reused":
            raise RequestIdReused(request_id=request.request_id)
        if reply[0] != b"ok":
            raise _refusal(reply[0], request.topic, parts.id)

    async def inspect(self, topic_name: str) -> TopicState:
        topic = _Topic(self._keys, topic_name)
        reply = await self._scripts.call(
            INSPECT, topic.partition, (topic.messages, topic.ready, topic.delayed, topic.inflight), ()
        )
        _, ready, delayed, inflight, age_ms = reply
        return TopicState(
            topic=topic_name,
            ready=ready,
            delayed=delayed,
            inflight=inflight,
            oldest_age_ms=age_ms if age_ms >= 0 else None,
            partition=topic.partition.number,
            owner=self._owner_of(topic.partition),
        )


class _Topic:
    """The keys of one topic."""

    __slots__ = ("delayed", "inflight", "messages", "partition", "ready")

    def __init__(self, keys: Keys, topic: str) -> None:
        name = encode_name("topic", topic)
        partition: Partition = keys.partition_of(name)
        self.partition = partition
        self.messages = partition.messages + name
        self.ready = partition.ready + name
        self.delayed = partition.delayed + name
        self.inflight = partition.inflight + name

    def outcome(self, identity: RequestIdentity) -> bytes:
        return self.partition.outcome + identity.key_suffix


def _outgoing(request: PublishRequest) -> tuple[list[OutgoingMessage], bool]:
    """The messages of the request and whether it came as a batch; ids are checked, payloads are not yet."""
    if isinstance(request.messages, list):
        if isinstance(request.data, msgspec.Raw) or request.id is not None or request.delay_ms:
            raise FieldInvalid(
                field="messages", reason="cannot be combined with data, id or delay_ms; put them inside it"
            )
        for position, message in enumerate(request.messages):
            if message.id is not None:
                encode_name(f"messages[{position}].id", message.id)
        return request.messages, True
    if not isinstance(request.data, msgspec.Raw):
        raise FieldMissing(field="data")
    if request.id is not None:
        encode_name("id", request.id)
    return [OutgoingMessage(request.data, request.id, request.delay_ms)], False


def _named_deliveries(request: AckRequest) -> list[ReceiptParts]:
    given = [field for field in ("id", "receipt", "receipts") if getattr(request, field) is not None]
    if not given:
        raise FieldMissing(field="receipt")
    if len(given) > 1:
        raise FieldInvalid(field=given[1], reason=f"cannot be combined with {given[0]}")
    if request.id is not None:
        encode_name("id", request.id)
        return [ReceiptParts("", "", request.id)]
    if request.receipt is not None:
        return [receipts.parse("receipt", request.receipt)]
    listed = request.receipts or []
    return [receipts.parse(f"receipts[{position}]", receipt) for position, receipt in enumerate(listed)]


def _delivery(message_id: bytes, receipt: bytes, attempt: int, record: bytes) -> Delivery:
    published_ms, _, data = record.partition(b" ")
    return Delivery(
        message_id.decode(), receipt.decode(), attempt, Message(int(published_ms) / 1000, msgspec.Raw(data))
    )


def _refusal(code: bytes, topic: str, message_id: str) -> SimpulError:
    return BY_CODE[code.decode()](topic=topic, id=message_id)
