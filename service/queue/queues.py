"""Queue operations: each is one script call; waiting is a parked request that a publish wakes."""

import os
from base64 import b32encode
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from typing import Any

from service.error_registry import FieldInvalid, FieldMissing
from service.limits import DELIVERY_TOTAL_MS_MAX, VISIBILITY_MS_MAX
from service.names import RequestIdentity, encode_name
from service.queue import outgoing, receipts
from service.queue.calls import ACK, ACK_CONSUME, EXTEND, LEFT, NACK
from service.queue.consuming import Asked, Consuming, Patience, deliveries_in
from service.queue.known import check_known
from service.queue.publishing import publish
from service.queue.receipts import ReceiptParts
from service.queue.refusals import refusal
from service.queue.takers import Takers
from service.queue.topics import Topics
from service.queue.wire import (
    Acked,
    AckRequest,
    BatchAcked,
    Buried,
    BuryRequest,
    ConsumeRequest,
    Deliveries,
    Delivery,
    Extended,
    ExtendRequest,
    Left,
    LeftRequest,
    Nacked,
    NackRequest,
    NoMessage,
    OutgoingMessage,
    Published,
    PublishedBatch,
    PublishRequest,
    Refused,
)
from service.store.scripts import Scripts
from service.store.signature import Call

_GIVEN_BACK = 1


class Queues:
    def __init__(self, scripts: Scripts, topics: Topics, takers: Takers) -> None:
        self._scripts = scripts
        self._topics = topics
        self._consuming = Consuming(topics, takers)
        # 80 random bits a process and a counter: ids of two processes do not meet.
        self._id_prefix = b32encode(os.urandom(10)).decode().lower()
        self._id_numbers = count(1)

    async def publish(self, request: PublishRequest) -> Published | PublishedBatch:
        """Add one message or several: all, or none. Raises FieldInvalid, FieldMissing, PayloadTooLarge,
        RequestIdReused, TopicFull, TopicPaused."""
        messages, is_batch = outgoing.messages_of(request)
        topic = self._topics.get(request.topic)
        identity = RequestIdentity("queue.publish", request, request.request_id)
        ids = self.ids_of(messages, request.request_id)
        args = outgoing.arguments(messages, ids, is_batch=is_batch)
        # What is delayed may be due sooner than the owner of the partition thinks, which takes all keys.
        is_delayed = any(message.delay_ms for message in messages)
        reply = await publish(self._topics, topic, identity, args, takes_all=is_delayed)
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, "", request.request_id)
        if is_batch:
            duplicates = [message_id for message_id, stored in zip(ids, reply[1:], strict=True) if not stored]
            return PublishedBatch(ok=True, ids=ids, duplicates=duplicates)
        return Published(ok=True, id=ids[0], duplicate=not reply[1])

    def ids_of(self, messages: Sequence[OutgoingMessage], request_id: str | None) -> list[str]:
        """Chosen ids as they are; ours for the rest, the same ones again for a retried request."""
        if request_id is None:
            prefix, numbers = self._id_prefix, self._id_numbers
            return [message.id or f"{prefix}-{next(numbers)}" for message in messages]
        stem = blake2b(request_id.encode(), digest_size=10).hexdigest()
        return [message.id or f"{stem}-{position}" for position, message in enumerate(messages, 1)]

    async def consume(
        self, request: ConsumeRequest, patience: Patience | None = None
    ) -> Delivery | Deliveries | NoMessage:
        """Deliver up to `max` messages; with none there, wait up to `wait_ms` for one. Raises ConsumersFull,
        FieldInvalid, RequestIdReused."""
        found = await self._consuming.take(request, patience)
        if request.max > 1:
            return Deliveries(found)
        return found[0] if found else NoMessage()

    async def ack(self, request: AckRequest, patience: Patience | None = None) -> Acked | BatchAcked:
        """Take messages out for good, and take the next ones if asked to. Raises AlreadyAcked, ReceiptExpired,
        ReceiptSuperseded, RequestIdReused; then nothing was taken."""
        named = _named_deliveries(request)
        then = _next_request(request)
        topic = self._topics.get(request.topic, request.subscription)
        identity = RequestIdentity("queue.ack", request, request.request_id)
        args = [part for parts in named for part in parts]
        if then is not None:
            return await self._ack_and_take(request, named, Asked(topic, then), (identity, args), patience)
        reply = await self._topics.call(ACK, topic, identity, *args)
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, "", request.request_id)
        return _acked(request, named, reply)

    async def _ack_and_take(
        self,
        request: AckRequest,
        named: list[ReceiptParts],
        then: Asked,
        sent: tuple[RequestIdentity, list[str]],
        patience: Patience | None,
    ) -> Acked | BatchAcked:
        """In one step. A wait begins only behind it, as a request of its own: a repeat finds both outcomes."""
        identity, args = sent
        if_acked: Any = b"" if request.receipts is not None else 1
        reply = await self._topics.call(ACK_CONSUME, then.topic, identity, *then.args, if_acked, *args)
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, "", request.request_id)
        taken_from = 1 + len(named)
        done = _acked(request, named, reply[:taken_from])
        found = deliveries_in(reply, taken_from)
        if not found and request.wait_ms:
            found = await self._consuming.wait(then, patience)
        done.next = Deliveries(found)
        return done

    async def nack(self, request: NackRequest) -> Nacked:
        """Give a delivery back, for at once or for later. Raises as `ack`."""
        if isinstance(request.delay_ms, int):
            reply = await self._on_delivery(NACK, request, request.delay_ms, b"", b"")
        else:
            reply = await self._on_delivery(NACK, request, 0, 1, b"")
        if len(reply) <= _GIVEN_BACK or reply[1] == b"ready":
            return Nacked()
        if reply[1] == b"delayed":
            if isinstance(request.delay_ms, int):
                return Nacked()
            return Nacked(state="delayed", delay_ms=reply[2])
        return Nacked(state=reply[1].decode())

    async def bury(self, request: BuryRequest) -> Buried:
        """Make a dead letter of a delivered message. Raises as `ack`."""
        await self._on_delivery(NACK, request, 0, b"", encode_name("reason", request.reason))
        return Buried()

    async def extend(self, request: ExtendRequest) -> Extended:
        """Set what is left of the visibility timeout. Raises ExtensionTooLong, and as `ack`."""
        await self._on_delivery(EXTEND, request, request.visibility_ms)
        return Extended(visibility_ms=request.visibility_ms)

    async def left(self, request: LeftRequest) -> Left:
        """What is left of the visibility timeout. Raises AlreadyAcked, ReceiptExpired, ReceiptSuperseded."""
        topic = self._topics.get(request.topic, request.subscription)
        parts = receipts.parse("receipt", request.receipt)
        reply = await self._scripts.call(LEFT, topic.partition, topic.named("messages", "inflight"), parts)
        if reply[0] != b"ok":
            if reply[0] == b"already_acked":
                await check_known(self._scripts, topic)
            raise refusal(reply, request.topic, parts.id, None)
        _, left_ms, since_ms = reply
        extendable_ms = max(0, min(VISIBILITY_MS_MAX, DELIVERY_TOTAL_MS_MAX - since_ms))
        return Left(left_ms=left_ms, extendable_ms=extendable_ms)

    async def _on_delivery(
        self, call: Call, request: NackRequest | ExtendRequest | BuryRequest, *args: Any
    ) -> list[Any]:
        parts = receipts.parse("receipt", request.receipt)
        identity = RequestIdentity(
            "queue.bury" if isinstance(request, BuryRequest) else call.name, request, request.request_id
        )
        ask = self._topics.call if call is EXTEND else self._topics.call_with_all
        reply = await ask(call, self._topics.get(request.topic, request.subscription), identity, *parts, *args)
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, parts.id, request.request_id)
        return reply


def _named_deliveries(request: AckRequest) -> list[ReceiptParts]:
    given = [field for field in ("id", "receipt", "receipts") if getattr(request, field) is not None]
    if not given:
        raise FieldMissing(field="receipt")
    if len(given) > 1:
        raise FieldInvalid(field=given[1], reason=f"cannot be combined with {given[0]}")
    if request.id is not None:
        encode_name("id", request.id)
        return [ReceiptParts(request.id, "", "")]
    if request.receipt is not None:
        return [receipts.parse("receipt", request.receipt)]
    return receipts.parse_all("receipts", request.receipts or [])


def _next_request(request: AckRequest) -> ConsumeRequest | None:
    """Its request id is made of that of the ack, so that a retry gets the same messages again."""
    if request.then is None:
        if isinstance(request.visibility_ms, int) or request.max != 1 or request.wait_ms:
            raise FieldInvalid(field="then", reason="is needed for max, visibility_ms and wait_ms")
        return None
    encode_name("consumer", request.consumer)
    request_id = None
    if request.request_id is not None:
        request_id = "then-" + blake2b(request.request_id.encode(), digest_size=16).hexdigest()
    return ConsumeRequest(
        topic=request.topic,
        subscription=request.subscription,
        consumer=request.consumer,
        max=request.max,
        visibility_ms=request.visibility_ms,
        wait_ms=request.wait_ms,
        request_id=request_id,
    )


def _acked(request: AckRequest, named: list[ReceiptParts], reply: list[Any]) -> Acked | BatchAcked:
    """Raises the refusal of the only message."""
    if request.receipts is None:
        if reply[1] != b"ok":
            raise refusal(reply[1:], request.topic, named[0].id, None)
        return Acked()
    refused = []
    for receipt, parts, code in zip(request.receipts, named, reply[1:], strict=True):
        if code != b"ok":
            refused.append(Refused(receipt, code.decode(), refusal([code], request.topic, parts.id, None).detail))
    return BatchAcked(ack=not refused, acked=len(named) - len(refused), refused=refused)
