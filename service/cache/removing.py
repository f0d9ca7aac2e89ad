"""Removals: by key, by tag, whose index names the keys of each partition, and by prefix, by the names of all keys."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

from msgspec import UNSET

from service.cache.naming import NAMED, REMOVE_NAMED, Names
from service.cache.near import NearCache
from service.cache.wire import Invalidated, InvalidateRequest
from service.cache.writing import all_or_unknown
from service.error_registry import FieldInvalid, FieldMissing, RequestIdReused
from service.keys import Keys, Partition
from service.limits import INTEGER_MAX, PREFIX_BYTES_MIN, PREFIX_REMOVED_MAX, REMOVED_MAX
from service.names import RequestIdentity, encode_name
from service.store.scripts import Scripts, declare

INVALIDATE = declare("cache.invalidate", keys="fence outcome versions entry+", args="fence fingerprint keep_ms channel")
TAGGED = declare("cache.tagged", keys="fence tag", args="fence max")
UNTAG = declare("cache.untag", keys="fence tag versions entry+", args="fence channel name+")

AT_A_TIME = 100
"""Values that one call removes by prefix: Redis does nothing else meanwhile."""
PARTITIONS_AT_ONCE = 8
"""Partitions worked on at a time: other requests of this node wait behind their calls."""
MAKE_WHOLE_WITHIN_S = 5.0
"""How long the first removal by prefix waits while all keys are looked at."""


class _Left:
    """What a removal by prefix may still do before it answers, and what it has done."""

    def __init__(self) -> None:
        self.values = PREFIX_REMOVED_MAX
        self.removed = 0


class _End(Enum):
    DONE = "no name that begins so is left, but of what was written meanwhile"
    MORE = "there may be others"
    UNKNOWN = "the partition does not keep the names of all keys"


class Remover:
    def __init__(self, scripts: Scripts, keys: Keys, near: NearCache, names: Names, *, outcome_keep_ms: int) -> None:
        self._scripts = scripts
        self._names = names
        self._keys = keys
        self._near = near
        self._keep_ms = outcome_keep_ms

    async def remove(self, request: InvalidateRequest) -> Invalidated:
        """Remove keys, or all keys of a tag or prefix. All of one partition go together; each partition on its own.

        Raises FieldMissing, FieldInvalid, RequestIdReused; OutcomeUnknown when some partitions failed.
        """
        named = [name for name in ("key", "keys", "tag", "prefix") if getattr(request, name) not in (None, UNSET)]
        if not named:
            raise FieldMissing(field="key" if request.all is UNSET else "prefix")
        if len(named) > 1:
            raise FieldInvalid(field=named[1], reason=f"cannot be combined with {named[0]}")
        if request.prefix is not UNSET:
            return await self._remove_by_prefix(_checked_prefix(request.prefix, takes_all=request.all is True))
        if request.all is not UNSET:
            raise FieldInvalid(field="all", reason=f"goes with prefix, not with {named[0]}")
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

    async def _remove_by_prefix(self, prefix: bytes) -> Invalidated:
        """What was written before goes; what is written meanwhile may stay. Raises what the store raises."""
        left = _Left()
        ends = await self._remove_everywhere(prefix, left)
        if _End.UNKNOWN in ends:
            if not await self._names.make_whole(MAKE_WHOLE_WITHIN_S):
                return Invalidated(invalidated=left.removed, more=True)
            ends = await self._remove_everywhere(prefix, left)
        return Invalidated(invalidated=left.removed, more=UNSET if ends == {_End.DONE} else True)

    async def _remove_everywhere(self, prefix: bytes, left: _Left) -> set[_End]:
        turns = asyncio.Semaphore(PARTITIONS_AT_ONCE)
        partitions = self._keys.partitions_of_prefix(prefix)
        return set(await all_or_unknown(self._remove_in(one, prefix, left, turns) for one in partitions))

    async def _remove_in(self, partition: Partition, prefix: bytes, left: _Left, turns: asyncio.Semaphore) -> _End:
        keys, after, until = (partition.names, partition.versions), b"", None
        while left.values > 0:
            async with turns:
                _, is_whole, counter, *names = await self._scripts.call(
                    NAMED, partition, keys, (prefix, after, AT_A_TIME)
                )
                if not is_whole:
                    return _End.UNKNOWN
                until = counter if until is None else until
                if not names:
                    return _End.DONE
                left.values -= len(names)
                removed = await self._remove_named(partition, names, until)
                left.removed += removed
            after = names[-1]
        return _End.MORE

    async def _remove_named(self, partition: Partition, names: list[bytes], until: bytes) -> int:
        entries = tuple(partition.cache + name for name in names)
        reply = await self._scripts.call(
            REMOVE_NAMED,
            partition,
            (partition.names, partition.versions, *entries),
            (self._keys.invalidate_channel, until),
        )
        for key in entries:
            self._near.written(key, INTEGER_MAX)
        return int(reply[1])


def _checked_prefix(prefix: str, *, takes_all: bool) -> bytes:
    encoded = encode_name("prefix", prefix) if prefix else b""
    if len(encoded) < PREFIX_BYTES_MIN and not takes_all:
        reason = (
            f"has {len(encoded)} bytes: one of less than {PREFIX_BYTES_MIN} may mean nearly every key, and needs all"
        )
        raise FieldInvalid(field="prefix", reason=f"{reason}: true")
    return encoded


def _named_keys(request: InvalidateRequest) -> list[tuple[str, str]]:
    if request.keys is not None:
        return [(f"keys[{position}]", key) for position, key in enumerate(request.keys)]
    return [("key", request.key or "")]
