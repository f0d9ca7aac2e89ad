"""Cache operations: reads from the near cache where allowed, everything else one script call a partition."""

import asyncio
from math import inf
from typing import Any

import msgspec

from service.cache.near import Entry, NearCache
from service.cache.wire import Found, GetRequest, Invalidated, InvalidateRequest, Missing, PutDone, PutRequest
from service.error_registry import FieldInvalid, FieldMissing, OutcomeUnknown, RequestIdReused, VersionMismatch
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.limits import INTEGER_MAX
from service.names import RequestIdentity, encode_name
from service.payload import check_payload
from service.store.scripts import Scripts, declare

_ONCE = "fence fingerprint keep_ms"
PUT = declare("cache.put", keys="fence outcome versions entry", args=f"{_ONCE} value ttl_ms if_version channel")
GET = declare("cache.get", keys="fence entry", args="fence")
INVALIDATE = declare("cache.invalidate", keys="fence outcome versions entry+", args=f"{_ONCE} channel")

_FOR_EVER_MS = 0


class Caches:
    def __init__(self, scripts: Scripts, keys: Keys, near: NearCache, *, outcome_keep_ms: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self._near = near
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
            self._near.written(entry_key, reply[1])
            return PutDone(version=reply[1])
        if reply[0] == b"version_mismatch":
            raise VersionMismatch(key=request.key, version=int(reply[1]), if_version=request.if_version)
        raise RequestIdReused(request_id=request.request_id)

    async def get(self, request: GetRequest) -> Found | Missing:
        """Read a value: `local` may come from this node's near cache, `strong` comes from Redis."""
        key = encode_name("key", request.key)
        partition = self._keys.partition_of(key)
        entry_key = partition.cache + key
        if request.consistency == "local":
            entry = self._near.get(entry_key)
            if entry is not None:
                return Found(msgspec.Raw(entry.value), True, entry.version, "local")
        return await self._read(partition, entry_key)

    async def _read(self, partition: Partition, entry_key: bytes) -> Found | Missing:
        fill = self._near.begin_fill(entry_key)
        entry = None
        try:
            reply = await self._scripts.call(GET, partition, (entry_key,), ())
            if len(reply) > 1:
                version, _, value = reply[1].partition(b" ")
                # Counted from before the question, so that the copy never outlives the original.
                expires_at = fill.started_at + reply[2] / 1000 if reply[2] >= 0 else inf
                entry = Entry(int(version), value, expires_at)
        finally:
            self._near.end_fill(entry_key, fill, entry)
        if entry is None:
            return Missing()
        return Found(msgspec.Raw(entry.value), True, entry.version, "redis")

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

    def heard(self, message: bytes) -> None:
        """A publication of cache.put or cache.invalidate: `<version> <redis key>`."""
        version, _, entry_key = message.partition(b" ")
        self._near.written(entry_key, int(version))


def _named_keys(request: InvalidateRequest) -> list[tuple[str, str]]:
    if request.key is not None and request.keys is not None:
        raise FieldInvalid(field="keys", reason="cannot be combined with key")
    if request.key is not None:
        return [("key", request.key)]
    if request.keys is not None:
        return [(f"keys[{position}]", key) for position, key in enumerate(request.keys)]
    raise FieldMissing(field="key")
