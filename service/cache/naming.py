"""The names of keys, which each partition keeps in order once somebody removes by prefix: begun, made whole, swept.

Until then no write pays for them. `cache.begin_names` lets the counter of versions jump into the upper half of its
generation; writers see that in the counter they read anyway, and keep the name of each key that was not there before.
The keys that were there are found by one SCAN of Redis, which begins after that, so nothing is missed between the two.

What ends by itself leaves its name behind. So the node looks at two names for every one that it may have added.
"""

from __future__ import annotations

import asyncio
import logging
import re
from secrets import token_hex

import hiredis

from service import background
from service.error_registry import StoreUnsettled
from service.errors import SimpulError
from service.keys import NAMES_MARK, PARTITIONS, Keys, Partition
from service.store.link import Link
from service.store.primaries import Primaries
from service.store.scripts import Scripts, declare, typed_error

log = logging.getLogger("simpul.cache")

BEGIN_NAMES = declare("cache.begin_names", keys="fence names versions", args="fence build")
ADD_NAMES = declare("cache.add_names", keys="fence names entry+", args="fence build is_last")
NAMED = declare("cache.named", keys="fence names versions", args="fence prefix after max")
REMOVE_NAMED = declare("cache.remove_named", keys="fence names versions entry+", args="fence channel up_to")

SCAN_COUNT = 500
"""Keys that one call of SCAN looks at."""
SWEPT_AFTER = 128
"""Writes of a partition, through this node, after which twice as many names are looked at."""
NAMES_LOOKED_AT_MAX = 500
_NONE = -1


class Names:
    def __init__(self, scripts: Scripts, keys: Keys, primaries: Primaries) -> None:
        self._scripts = scripts
        self._keys = keys
        self._primaries = primaries
        self._are_kept = bytearray(PARTITIONS)
        self._writes = [0] * PARTITIONS
        self._swept_to = [b""] * PARTITIONS
        self._due: dict[int, None] = {}
        self._wanted = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None
        self._build: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._sweeper = background.start(self._sweep_when_due(), "cache names")

    async def stop(self) -> None:
        await background.stop(self._build)
        await background.stop(self._sweeper)

    # -- what writers want to know

    @property
    def is_known(self) -> bool:
        """Whether the active scripts can keep names: those of an earlier release cannot."""
        return self._scripts.has(BEGIN_NAMES)

    def are_kept(self, number: int) -> bool:
        """As this node has heard last: when it is wrong, the write itself tells."""
        return bool(self._are_kept[number])

    def wrote(self, number: int, version: int, keys: int = 1) -> None:
        """A write of so many keys was answered with this version, or refused since names are kept."""
        self._are_kept[number] = bool(version & NAMES_MARK)
        if not self._are_kept[number]:
            return
        self._writes[number] += keys
        if self._writes[number] >= SWEPT_AFTER:
            self._due[number] = None
            self._wanted.set()

    # -- the look at all keys

    async def make_whole(self, within_s: float) -> bool:
        """Whether the names of all keys are kept, waiting so long for it. The work goes on also when nobody waits.

        Raises what the store raises, and StoreUnsettled when primaries changed meanwhile.
        """
        if self._build is None or self._build.done():
            self._build = asyncio.create_task(self._make_whole(), name="cache names of all keys")
            self._build.add_done_callback(_noted)
        await asyncio.wait((self._build,), timeout=within_s)
        if not self._build.done():
            return False
        self._build.result()
        return True

    async def _make_whole(self) -> None:
        build = token_hex(8)
        partitions = self._keys.partitions
        replies = await asyncio.gather(*(self._begin(partition, build) for partition in partitions))
        wanted = {one.number: one for one, reply in zip(partitions, replies, strict=True) if not reply[1]}
        if not wanted:
            return
        before = self._places()
        for link in self._primaries.links:
            await self._scan(link, wanted, build)
        if self._places() != before:
            raise StoreUnsettled(reason="Redis was restarted or rearranged while its keys were looked at")
        for partition in wanted.values():
            await self._add(partition, [], build, is_last=True)

    async def _begin(self, partition: Partition, build: str) -> list[int]:
        return await self._scripts.call(BEGIN_NAMES, partition, (partition.names, partition.versions), (build,))

    def _places(self) -> list[tuple[str, str]]:
        """Which run of which primary has each partition: SCAN keeps its promise within one only."""
        found = []
        for link in self._primaries.table:
            if link.incarnation is None or not link.is_up:
                raise link.refusal
            found.append((link.address, link.incarnation.run_id))
        return found

    async def _scan(self, link: Link, wanted: dict[int, Partition], build: str) -> None:
        number_in = re.compile(re.escape(self._keys.partitions[0].cache.partition(b"{p")[0]) + rb"\{p(\d\d)\}:")
        cursor = 0
        while True:
            reply = await link.execute("SCAN", cursor, "MATCH", self._keys.cache_pattern, "COUNT", SCAN_COUNT)
            if isinstance(reply, hiredis.ReplyError):
                raise typed_error(str(reply), link.address)
            found: dict[int, list[bytes]] = {}
            for key in reply[1]:
                number = number_in.match(key)
                if number and int(number[1]) in wanted:
                    found.setdefault(int(number[1]), []).append(key)
            for one, entries in found.items():
                await self._add(wanted[one], entries, build)
            cursor = int(reply[0])
            if not cursor:
                return

    async def _add(self, partition: Partition, entries: list[bytes], build: str, *, is_last: bool = False) -> None:
        reply = await self._scripts.call(ADD_NAMES, partition, (partition.names, *entries), (build, int(is_last)))
        if not reply[1]:
            raise StoreUnsettled(reason="Redis lost data while its keys were looked at")

    # -- names of keys that ended by themselves

    async def _sweep_when_due(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._due:
                number = next(iter(self._due))
                del self._due[number]
                try:
                    await self.sweep(self._keys.partitions[number])
                except SimpulError as error:
                    # Names that are too many do no harm; the next writes make them due again.
                    log.debug("names of partition %d not swept: %s", number, error.detail)

    async def sweep(self, partition: Partition) -> None:
        """Forget the names of keys that are gone, among the next ones in order. Raises what the store raises."""
        number = partition.number
        most = min(2 * self._writes[number], NAMES_LOOKED_AT_MAX)
        self._writes[number] -= most // 2
        keys = (partition.names, partition.versions)
        _, _, _, *names = await self._scripts.call(NAMED, partition, keys, (b"", self._swept_to[number], most))
        self._swept_to[number] = names[-1] if names else b""
        if names:
            entries = (partition.cache + name for name in names)
            args = (self._keys.invalidate_channel, _NONE)
            await self._scripts.call(REMOVE_NAMED, partition, (*keys, *entries), args)


def _noted(build: asyncio.Task[None]) -> None:
    if not build.cancelled() and build.exception() is not None:
        log.debug("names of all keys not found: %s", build.exception())
