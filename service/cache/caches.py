"""Cache operations: reads from the near cache where allowed, everything else one script call a partition."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from service.cache.keeper import Keeper
from service.cache.near import Entry, NearCache
from service.cache.reading import Reader
from service.cache.wire import Found, GetRequest, Invalidated, InvalidateRequest, Missing, PutDone, PutRequest
from service.error_registry import (
    FieldInvalid,
    FieldMissing,
    OutcomeUnknown,
    RequestIdReused,
    VersionMismatch,
)
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.limits import INTEGER_MAX
from service.names import RequestIdentity, encode_name
from service.payload import check_payload
from service.store.scripts import Scripts, declare

_ONCE = "fence fingerprint keep_ms"
PUT = declare("cache.put", keys="fence outcome versions entry", args=f"{_ONCE} value ttl_ms if_version channel")
INVALIDATE = declare("cache.invalidate", keys="fence outcome versions entry+", args=f"{_ONCE} channel")

_FOR_EVER_MS = 0


class Caches:
    def __init__(self, scripts: Scripts, keys: Keys, near: NearCache, keeper: Keeper, *, outcome_keep_ms: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self._near = near
        self._keeper = keeper
        self._reader = Reader(scripts, near)
        self._keep_ms = outcome_keep_ms

    async def put(self, request: PutRequest) -> PutDone:
        """Store a value. Raises VersionMismatch, PayloadTooLarge, FieldInvalid, RequestIdReused."""
        key = encode_name("key", request.key)
        value = check_payload("value", request.value)
        partition = self._keys.partition_of(key)
        identity = RequestIdentity("cache.put", request, request.request_id)
        entry_key = partition.cache + key
        reply = await self._scripts.call(
            PUT,
            partition,
            (partition.outcome + identity.key_suffix, partition.versions, entry_key),
            (
                identity.fingerprint,
                self._keep_ms,
                value,
                request.ttl_ms or _FOR_EVER_MS,
                b"" if request.if_version is None else request.if_version,
                self._keys.invalidate_channel,
            ),
        )
        if reply[0] == b"ok":
            # This node's own readers see the write with its reply, not when the publication comes round.
            self._near.wrote(entry_key, partition.number, reply[1])
            return PutDone(version=reply[1])
        if reply[0] == b"version_mismatch":
            raise VersionMismatch(key=request.key, version=int(reply[1]), if_version=request.if_version)
        raise RequestIdReused(request_id=request.request_id)

    async def get(self, request: GetRequest) -> Found | Missing:
        """Read a value: `local` may come from this node's near cache, `strong` is compared with Redis."""
        key = encode_name("key", request.key)
        partition = self._keys.partition_of(key)
        entry_key = partition.cache + key
        if request.consistency == "local":
            entry = self._near.get(entry_key, partition.number)
            if entry is not None and (
                request.min_version is None or self._is_as_new_as(entry, partition, request.min_version)
            ):
                return Found(msgspec.Raw(entry.value), True, entry.version, "local")
            if self._near.held(entry_key) is not None:
                self._keeper.look(partition.number)
        (found,) = await self._reader.read(partition, (entry_key,))
        return Missing() if found is None else Found(msgspec.Raw(found.value), True, found.version, "redis")

    def _is_as_new_as(self, entry: Entry, partition: Partition, version: int) -> bool:
        """A write of another key is no reason to ask, once this node has heard of it: then it heard of this key's."""
        return entry.version >= version or self._near.hearing.covers(partition.number, version)

    async def invalidate(self, request: InvalidateRequest) -> Invalidated:
        """Remove keys. All keys of one partition go together; each partition on its own.

        Raises FieldMissing, FieldInvalid, RequestIdReused.
        """
        by_partition: dict[Partition, list[bytes]] = {}
        for field, name in _named_keys(request):
            key = encode_name(field, name)
            partition = self._keys.partition_of(key)
            by_partition.setdefault(partition, []).append(partition.cache + key)
        identity = RequestIdentity("cache.invalidate", request, request.request_id)
        replies = await asyncio.gather(
            *(self._invalidate(partition, keys, identity) for partition, keys in by_partition.items()),
            return_exceptions=True,
        )
        done = [reply for reply in replies if isinstance(reply, list)]
        failed = [reply for reply in replies if isinstance(reply, BaseException)]
        if failed and done and isinstance(failed[0], SimpulError):
            raise OutcomeUnknown(reason=f"{len(failed)} of {len(replies)} partitions failed ({failed[0].code})")
        if failed:
            raise failed[0]
        if any(reply[0] != b"ok" for reply in done):
            raise RequestIdReused(request_id=request.request_id)
        return Invalidated(invalidated=sum(reply[1] for reply in done))

    async def _invalidate(self, partition: Partition, keys: list[bytes], identity: RequestIdentity) -> list[Any]:
        reply = await self._scripts.call(
            INVALIDATE,
            partition,
            (partition.outcome + identity.key_suffix, partition.versions, *keys),
            (identity.fingerprint, self._keep_ms, self._keys.invalidate_channel),
        )
        for key in keys:
            self._near.written(key, INTEGER_MAX)
        return reply

    def listener(self) -> Callable[[bytes], None]:
        """Hears publications of cache.put and cache.invalidate: `<version> <redis key>`."""
        near = self._near
        first = len(self._keys.partitions[0].cache.partition(b"{p")[0]) + len(b"{p")

        def heard(message: bytes) -> None:
            version, _, entry_key = message.partition(b" ")
            near.heard(entry_key, int(entry_key[first : first + 2]), int(version))

        return heard


def _named_keys(request: InvalidateRequest) -> list[tuple[str, str]]:
    if request.key is not None and request.keys is not None:
        raise FieldInvalid(field="keys", reason="cannot be combined with key")
    if request.key is not None:
        return [("key", request.key)]
    if request.keys is not None:
        return [(f"keys[{position}]", key) for position, key in enumerate(request.keys)]
    raise FieldMissing(field="key")
