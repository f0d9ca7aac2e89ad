"""Cache operations: reads from the near cache where allowed, everything else one script call a partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import UNSET

from service.cache.filling import Filler, Patience, answer_of
from service.cache.keeper import Keeper
from service.cache.naming import Names
from service.cache.near import Entry, NearCache
from service.cache.reading import Reader
from service.cache.removing import Remover
from service.cache.wire import (
    Found,
    GetManyDone,
    GetManyRequest,
    GetRequest,
    Invalidated,
    InvalidateRequest,
    Missing,
    PutDone,
    PutManyDone,
    PutManyRequest,
    PutRequest,
    Read,
)
from service.cache.writing import Writer
from service.keys import Keys, Partition
from service.names import encode_name, encode_names
from service.store.scripts import Scripts


class Caches:
    def __init__(
        self, scripts: Scripts, keys: Keys, near: NearCache, keeper: Keeper, names: Names, *, outcome_keep_ms: int
    ) -> None:
        self._keys = keys
        self._near = near
        self._keeper = keeper
        self._reader = Reader(scripts, near)
        self._writer = Writer(scripts, keys, near, names, outcome_keep_ms=outcome_keep_ms)
        self._remover = Remover(scripts, keys, near, names, outcome_keep_ms=outcome_keep_ms)
        self.filler = Filler(self._reader, near)

    async def put(self, request: PutRequest) -> PutDone:
        """See Writer.put."""
        return await self._writer.put(request)

    async def put_many(self, request: PutManyRequest) -> PutManyDone:
        """See Writer.put_many."""
        return await self._writer.put_many(request)

    async def invalidate(self, request: InvalidateRequest) -> Invalidated:
        """See Remover.remove."""
        return await self._remover.remove(request)

    async def get(self, request: GetRequest, patience: Patience | None = None) -> Found | Missing:
        """Read a value: `local` may come from this node's near cache, `strong` is compared with Redis. With fill_ms or
        stale_ms see Filler.get. Raises FieldInvalid, and what the store raises."""
        key = encode_name("key", request.key)
        partition = self._keys.partition_of(key)
        entry_key = partition.cache + key
        if request.consistency == "local":
            entry = self._copy(partition, entry_key, request.min_version)
            if entry is not None:
                if entry.value and request.fill_ms is None:
                    return Found(msgspec.Raw(entry.value), True, entry.version, "local")
                return await self.filler.refreshed(partition, entry_key, request, answer_of(entry, "local"), entry)
        if request.fill_ms is not None or request.stale_ms is not None:
            return await self.filler.get(partition, entry_key, request, patience)
        (found,) = await self._reader.read(partition, (entry_key,))
        return Missing() if found is None else answer_of(found, "redis")

    def _copy(self, partition: Partition, entry_key: bytes, min_version: int | None) -> Entry | None:
        entry = self._near.get(entry_key, partition.number)
        if entry is not None:
            # A write of another key is no reason to ask, once this node has heard of it: then it heard of this key's.
            if min_version is None or entry.version >= min_version:
                return entry
            if self._near.hearing.covers(partition.number, min_version):
                return entry
        if self._near.held(entry_key) is not None:
            self._keeper.look(partition.number)
        return None

    async def get_many(self, request: GetManyRequest) -> GetManyDone:
        """Read several values, those of one partition as of one moment. Raises FieldInvalid, what the store raises."""
        found: list[Read | None] = [None] * len(request.keys)
        asked: dict[Partition, list[tuple[int, bytes]]] = {}
        for place, key in enumerate(encode_names("keys", request.keys)):
            partition = self._keys.partition_of(key)
            entry_key = partition.cache + key
            entry = self._copy(partition, entry_key, None) if request.consistency == "local" else None
            if entry is not None:
                found[place] = _shown(entry, "local")
            else:
                asked.setdefault(partition, []).append((place, entry_key))
        if len(asked) == 1:  # no tasks for what needs none
            await self._read_into(found, *asked.popitem())
        elif asked:
            await asyncio.gather(*(self._read_into(found, partition, wanted) for partition, wanted in asked.items()))
        return GetManyDone([one or Read(_NULL, False) for one in found])

    async def _read_into(self, found: list[Read | None], partition: Partition, wanted: list[tuple[int, bytes]]) -> None:
        entries = await self._reader.read(partition, [entry_key for _, entry_key in wanted])
        for (place, _), entry in zip(wanted, entries, strict=True):
            if entry is not None:
                found[place] = _shown(entry, "redis")

    def listener(self) -> Callable[[bytes], None]:
        """Hears publications of the scripts that write or remove values: `<version> <redis key>`."""
        near, filler = self._near, self.filler
        first = len(self._keys.partitions[0].cache.partition(b"{p")[0]) + len(b"{p")

        def heard(message: bytes) -> None:
            version, _, entry_key = message.partition(b" ")
            near.heard(entry_key, int(entry_key[first : first + 2]), int(version))
            filler.heard(entry_key)

        return heard


_NULL = msgspec.Raw(b"null")


def _shown(entry: Entry, source: str) -> Read:
    if not entry.value:
        return Read(_NULL, False, UNSET, UNSET, True)
    return Read(msgspec.Raw(entry.value), True, entry.version, source)  # type: ignore[arg-type]
