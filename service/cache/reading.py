"""Reads that go to Redis: what they find is kept in the near cache if nothing was written or lost meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from service.cache.near import Entry, NearCache
from service.keys import Partition
from service.store.scripts import Scripts, declare

GET = declare("cache.get", keys="fence entry", args="fence")
READ = declare("cache.read", keys="fence versions entry+", args="fence known+")
FILL = declare("cache.fill", keys="fence versions entry names", args="fence fill_ms stale_ms nonce early")

_UNCHANGED = b"="
_NOTHING = b""


class Reader:
    def __init__(self, scripts: Scripts, near: NearCache) -> None:
        self._scripts = scripts
        self._near = near

    async def read(self, partition: Partition, keys: Sequence[bytes]) -> list[Entry | None]:
        """The latest values of keys of one partition, all as of one moment. Raises what the store raises."""
        if not self._scripts.has(READ):
            return [await self._read_plainly(partition, key) for key in keys]
        near, number = self._near, partition.number
        held = [near.held(key) for key in keys]
        fills = [near.begin_fill(key) for key in keys]
        asked = near.ask(number)
        may_keep = False
        try:
            known = tuple(b"" if entry is None else entry.version for entry in held)
            reply = await self._scripts.call(READ, partition, (partition.versions, *keys), known)
            may_keep = near.answered(number, int(reply[1]), asked)
        finally:
            # A list first: every fill must be ended, whatever comes of the first.
            written = [near.end_fill(key, fill) for key, fill in zip(keys, fills, strict=True)]
        found: list[Entry | None] = []
        for at, key in enumerate(keys):
            told, left_ms, copy = reply[2 + 2 * at], reply[3 + 2 * at], held[at]
            if copy is not None:
                if told == _UNCHANGED:
                    near.unchanged += 1
                    if may_keep:
                        near.confirm(key, copy, asked)
                    found.append(copy)
                    continue
                near.drop_stale(key, copy.version)
            # Counted from before the question, so that the copy never outlives the original.
            expires_at = asked.at + left_ms / 1000 if left_ms >= 0 else inf
            entry = self._told(told, expires_at, number)
            if entry is not None and may_keep and entry.version >= written[at]:
                near.keep(key, entry._replace(read_at=asked.at))
            found.append(entry)
        return found

    async def read_or_fill(
        self, partition: Partition, key: bytes, args: tuple[Any, ...]
    ) -> tuple[list[Any], Entry | None]:
        """As cache.fill answers: its reply, and the entry in it. A fresh one is kept. Raises what the store raises."""
        near, number = self._near, partition.number
        fill = near.begin_fill(key)
        asked = near.ask(number)
        may_keep = False
        try:
            reply = await self._scripts.call(FILL, partition, (partition.versions, key, partition.names), args)
            may_keep = near.answered(number, int(reply[1]), asked)
        finally:
            written = near.end_fill(key, fill)
        _, _, state, left_ms, told, _ = reply
        if told == _NOTHING:
            near.not_found += 1
            return reply, None
        is_fresh = state == b"fresh" or (state == b"granted" and left_ms != 0)
        near.sent += 1
        entry = parsed(told, asked.at + left_ms / 1000 if left_ms >= 0 else inf, number)
        if is_fresh and may_keep and entry.version >= written:
            near.keep(key, entry._replace(read_at=asked.at))
        return reply, entry

    async def _read_plainly(self, partition: Partition, key: bytes) -> Entry | None:
        """While the cluster works with scripts of a release before cache.read. Such an answer is never kept."""
        reply = await self._scripts.call(GET, partition, (key,), ())
        return self._told(_NOTHING if len(reply) == 1 else reply[1], inf, partition.number)

    def _told(self, told: bytes, expires_at: float, number: int) -> Entry | None:
        if told == _NOTHING:
            self._near.not_found += 1
            return None
        self._near.sent += 1
        return parsed(told, expires_at, number)


def parsed(told: bytes, expires_at: float, number: int) -> Entry:
    """An entry as it stands in Redis: see lua/lib/cache_entry.lua."""
    head, _, value = told.partition(b" ")
    if b"~" not in head:
        return Entry(int(head), value, expires_at, number)
    version, _, marks = head.partition(b"~")
    _, delta_ms, _, _, absent = marks.split(b".")
    return Entry(int(version) or int(absent), value, expires_at, number, int(delta_ms))
