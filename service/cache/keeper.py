"""Keeps the near cache worth reading: asks Redis how far partitions in use have counted, and compares doubted copies.

Nothing is asked for partitions that nobody reads, and a near cache that nobody reads costs nothing at all: its copies
lapse, and the next reader's own question revives them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from service import background
from service.cache.near import NearCache
from service.clock import steady_s
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.store.scripts import Scripts, declare

log = logging.getLogger("simpul.cache")

COMPARE = declare("cache.compare", keys="fence versions entry+", args="fence known+")

ROUNDS = 4
"""Rounds in the time that a copy may be served for."""
COMPARED_MAX = 500
"""Copies of one partition that are compared after a loss; the others are dropped, and read again when wanted."""


class Keeper:
    def __init__(self, scripts: Scripts, keys: Keys, near: NearCache) -> None:
        self._scripts = scripts
        self._partitions = keys.partitions
        self._near = near
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._rests = True
        self.rounds = 0
        self.repairs = 0

    def start(self) -> None:
        self._task = background.start(self._run(), "near cache keeper")

    async def stop(self) -> None:
        await background.stop(self._task)

    def look(self, number: int) -> None:
        """Somebody wanted a copy of this partition that may not be served now."""
        if self._rests or self._near.hearing.is_doubted(number):
            self._wanted.set()

    async def _run(self) -> None:
        pause_s = self._near.hearing.bound_s / ROUNDS
        while True:
            self._rests = True
            await self._wanted.wait()
            self._rests = False
            self._wanted.clear()
            while await self.round():
                try:
                    async with asyncio.timeout(pause_s):
                        await self._wanted.wait()
                        self._wanted.clear()
                except TimeoutError:
                    continue

    async def round(self) -> bool:
        """See to the partitions in use. Whether another round is wanted: copies were, since the last one."""
        hearing, now = self._near.hearing, steady_s()
        hearing.overdue(now)
        in_use = any(hearing.used)
        numbers = hearing.to_renew(now)
        if numbers:
            self.rounds += 1
            await asyncio.gather(*(self._see_to(self._partitions[number]) for number in numbers))
        return in_use

    async def _see_to(self, partition: Partition) -> None:
        try:
            await self.compare(partition, COMPARED_MAX if self._near.hearing.is_doubted(partition.number) else 0)
        except SimpulError as error:
            # Its copies lapse, and are wanted again by the next reader.
            log.debug("partition %d not compared: %s", partition.number, error.detail)

    async def compare(self, partition: Partition, most: int) -> None:
        """Ask for the counter, and for doubted copies which of them are current."""
        near, number = self._near, partition.number
        asked = near.ask(number)
        copies = near.copies(number, most)
        counter, is_current = await self._ask(partition, copies)
        if not near.hearing.is_doubted(number):
            near.answered(number, counter, asked)
            return
        self.repairs += 1
        current = {key: version for (key, version), same in zip(copies.items(), is_current, strict=True) if same}
        near.compared(number, counter, asked, current)

    async def _ask(self, partition: Partition, copies: dict[bytes, int]) -> tuple[int, Sequence[int]]:
        keys = (partition.versions, *copies)
        reply = await self._scripts.call(COMPARE, partition, keys, tuple(copies.values()))
        return int(reply[1]), reply[2:]
