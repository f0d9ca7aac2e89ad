"""What a group becomes: keys and arguments of one script call. Nothing is asked of Redis here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.atomic.wire import (
    AckMessage,
    AtomicRequest,
    CheckLock,
    GroupOperation,
    InvalidateKey,
    PublishMessage,
    PutValue,
)
from service.error_registry import FieldInvalid, PayloadTooLarge, TagNotShared
from service.keys import Keys, Partition, hash_part
from service.limits import ATOMIC_BYTES_MAX
from service.lock.calls import Place
from service.names import encode_name
from service.payload import check_payload
from service.queue import outgoing, receipts
from service.queue.topics import PART_KEYS, Topic

_SHARED_KEYS = 6
"""Keys before those of the operations."""
_FOR_EVER_MS = 0

Packed = tuple[str, bytes]
"""An operation as text (lua/lib/group_operation.lua), and its payload."""


class Plan:
    """A checked group. `keys` and `args` are those of its operations, in their order."""

    def __init__(self, keys: Keys, request: AtomicRequest, ids: list[str], topic_named: Callable[[str], Topic]) -> None:
        """`ids` are those of the messages it publishes. Raises FieldInvalid, TagNotShared, PayloadTooLarge."""
        self._keys = keys
        self._ids = iter(ids)
        self._topic_named = topic_named
        self._first: tuple[str, bytes] | None = None
        self._things: dict[tuple[str, ...], int] = {}
        self._places: dict[bytes, str] = {}
        self.keys: list[bytes] = []
        self.args: list[Any] = []
        for number, operation in enumerate(request.operations):
            self.args += self._packed(number, operation)
        size_bytes = sum(map(len, self.args[1::2]))
        if size_bytes > ATOMIC_BYTES_MAX:
            raise PayloadTooLarge(field="operations", size_bytes=size_bytes, limit_bytes=ATOMIC_BYTES_MAX)

    @property
    def partition(self) -> Partition:
        assert self._first is not None  # noqa: S101 - a group has an operation
        return self._keys.partition_of(self._first[1])

    def _packed(self, number: int, operation: GroupOperation) -> Packed:
        at = f"operations[{number}]"
        if isinstance(operation, CheckLock):
            return self._check(at, number, operation)
        if isinstance(operation, AckMessage):
            return self._ack(at, number, operation)
        if isinstance(operation, PublishMessage):
            return self._publish(at, number, operation)
        if isinstance(operation, PutValue):
            return self._put(at, number, operation)
        return self._invalidate(at, number, operation)

    def _check(self, at: str, number: int, operation: CheckLock) -> Packed:
        self._share_tag(f"{at}.resource", operation.resource)
        self._once(f"{at}.resource", number, "lock", operation.resource)
        owner = operation.owner or ""
        if operation.owner is not None:
            encode_name(f"{at}.owner", owner)
        part = self._part(Place(self._keys, operation.resource).hold_keys)
        return f"check {part} {operation.token} {owner}", b""

    def _ack(self, at: str, number: int, operation: AckMessage) -> Packed:
        part = self._topic_part(at, operation.topic)
        named = receipts.parse(f"{at}.receipt", operation.receipt)
        self._once(f"{at}.receipt", number, "message", operation.topic, named.id)
        return f"ack {part} {named.delivery} {named.generation} {named.id}", b""

    def _publish(self, at: str, number: int, operation: PublishMessage) -> Packed:
        part = self._topic_part(at, operation.topic)
        message_id = next(self._ids)
        if operation.id is not None:
            encode_name(f"{at}.id", operation.id)
        self._once(f"{at}.id", number, "message", operation.topic, message_id)
        priority, ttl_ms, key, headers = outgoing.option_of(f"{at}.", operation) or (0, 0, "", "")
        sizes = f"{len(key.encode())} {len(headers.encode())}"
        asked = f"publish {part} {operation.delay_ms} {priority} {ttl_ms} {sizes} {key}{headers}{message_id}"
        return asked, check_payload(f"{at}.data", operation.data)

    def _put(self, at: str, number: int, operation: PutValue) -> Packed:
        key = self._cache_key(at, number, operation.key)
        of = self._keys.partition_of(key)
        tags = operation.tags if isinstance(operation.tags, list) else []
        named = (of.tag + encode_name(f"{at}.tags[{place}]", tag) for place, tag in enumerate(tags))
        tag_keys = tuple(dict.fromkeys(named))
        part = self._part((of.cache + key, of.names, *tag_keys))
        if_version = "" if operation.if_version is None else operation.if_version
        asked = f"put {part} {operation.ttl_ms or _FOR_EVER_MS} {if_version} {len(tag_keys)} {operation.key}"
        return asked, check_payload(f"{at}.value", operation.value)

    def _invalidate(self, at: str, number: int, operation: InvalidateKey) -> Packed:
        key = self._cache_key(at, number, operation.key)
        return f"invalidate {self._part((self._keys.partition_of(key).cache + key,))}", b""

    def _cache_key(self, at: str, number: int, name: str) -> bytes:
        key = self._share_tag(f"{at}.key", name)
        self._once(f"{at}.key", number, "key", name)
        return key

    def _topic_part(self, at: str, name: str) -> str:
        self._share_tag(f"{at}.topic", name)
        topic = self._topic_named(name)
        part = self._places.get(topic.ready)
        if part is None:
            part = self._places[topic.ready] = self._part(topic.named(*PART_KEYS))
        return part

    def _part(self, keys: tuple[bytes, ...]) -> str:
        """Takes the keys along. The place of the first in KEYS, counted from 1."""
        self.keys += keys
        return str(_SHARED_KEYS + len(self.keys) - len(keys) + 1)

    def _share_tag(self, field: str, name: str) -> bytes:
        encoded = encode_name(field, name)
        if self._first is None:
            self._first = field, encoded
        first_field, first = self._first
        # Not "the same partition": two tags that meet in one by chance would be a group that works by chance.
        tag = hash_part(first)
        if hash_part(encoded) != tag:
            raise TagNotShared(
                field=field,
                name=name,
                other_field=first_field,
                other_name=first.decode(),
                example=f"{{{tag.decode()}}}:{name}",
            )
        return encoded

    def _once(self, field: str, number: int, *thing: str) -> None:
        """All operations happen at one moment, so none can build on another of the same thing."""
        before = self._things.setdefault(thing, number)
        if before != number:
            raise FieldInvalid(field=field, reason=f"names the same {thing[0]} as operations[{before}]")
