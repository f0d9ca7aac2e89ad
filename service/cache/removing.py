"""Removals: by key, and by tag, whose index names the keys of each partition."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from service.cache.near import NearCache
from service.cache.wire import Invalidated, InvalidateRequest
from service.cache.writing import all_or_unknown
from service.error_registry import FieldInvalid, FieldMissing, RequestIdReused
from service.keys import Keys, Partition
from service.limits import INTEGER_MAX, REMOVED_MAX
from service.names import RequestIdentity, encode_name
from service.store.scripts import Scripts, declare

INVALIDATE = declare("cache.invalidate", keys="fence outcome versions entry+", args="fence fingerprint keep_ms channel")
TAGGED = declare("cache.tagged", keys="fence tag", args="fence max")
UNTAG = declare("cache.untag", keys="fence tag versions entry+", args="fence channel name+")


class Remover:
    def __init__(self, scripts: Scripts, keys: Keys, near: NearCache, *, outcome_keep_ms: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self._near = near
        self._keep_ms = outcome_keep_ms

    async def remove(self, request: InvalidateRequest) -> Invalidated:
        """Remove keys, or all keys of a tag. All of one partition go together; each partition on its own.

        Raises FieldMissing, FieldInvalid, RequestIdReused; OutcomeUnknown when some partitions failed.
        """
        named = [name for name in ("key", "keys", "tag") if getattr(request, name) not in (None, UNSET)]
        if not named:
            raise FieldMissing(field="key")
        if len(named) > 1:
            raise FieldInvalid(field=named[1], reason=f"cannot be combined with {named[0]}")
        if request.tag is not UNSET:
            return await self._remove_tagged(encode_name("tag", request.tag))
        by_partition: dict[Partition, list[bytes]] = {}
        for field, name in _named_keys(request):
            key = encode_name(field, name)
            partition = self._keys.partition_of(key)
            by_partition.setdefault(partition, []).append(partition.cache + key)
        identity = RequestIdentity("cache.invalidate", request, request.request_id)
        replies = await all_or_unknown(
            self._invalidate(partition, keys, identity) for partition, keys in by_partition.items()
        )
        if any(reply[0] != b"ok" for reply in replies):
            raise RequestIdReused(request_id=request.request_id)
        return Invalidated(invalidated=sum(reply[1] for reply in replies))

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

    async def _remove_tagged(self, tag: bytes) -> Invalidated:
        """A tag's keys may be in any partition: each is asked, and each that has some is worked on."""
        replies = await all_or_unknown(
            self._untag(partition, partition.tag + tag) for partition in self._keys.partitions
        )
        is_more = any(more for _, more in replies)
        return Invalidated(invalidated=sum(removed for removed, _ in replies), more=True if is_more else UNSET)

    async def _untag(self, partition: Partition, tag: bytes) -> tuple[int, bool]:
        _, count, *names = await self._scripts.call(TAGGED, partition, (tag,), (REMOVED_MAX,))
        if not names:
            return 0, False
        entries = tuple(partition.cache + name for name in names)
        reply = await self._scripts.call(
            UNTAG, partition, (tag, partition.versions, *entries), (self._keys.invalidate_channel, *names)
        )
        for key in entries:
            self._near.written(key, INTEGER_MAX)
        return reply[1], count > len(names)


def _named_keys(request: InvalidateRequest) -> list[tuple[str, str]]:
    if request.keys is not None:
        return [(f"keys[{position}]", key) for position, key in enumerate(request.keys)]
    return [("key", request.key or "")]
