"""Holds this node's copies against Redis: how many of those that may be served are overwritten, and for how long.

The audit shares nothing with the hearing but the clock: what it is told is not used to renew, drop or repair a copy, so
that it does not see its own doing. It asks for versions only, by the script that compares doubted copies.

When a copy was overwritten is not written down anywhere. What the audit knows is that Redis said so in an answer, so it
was before that; it follows the copy from there until it is gone. The time in which it still could be served is thus the
least that it was stale for. One that can be served longer than the bound after that answer proves the bound broken,
whatever the reason; Redis is asked once more first, for it may itself have gone back to that version.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from service import background
from service.cache.keeper import COMPARE
from service.cache.near import Entry, NearCache
from service.cache.wire import Audit
from service.clock import steady_s
from service.errors import SimpulError
from service.histogram import LatencyHistogram
from service.keys import Keys, Partition
from service.store.scripts import Scripts

log = logging.getLogger("simpul.cache")

EVERY_S = 1.0
FIRST_LOOK_S = 0.001
LATER = 1.25
"""Each pause between two looks at an overwritten copy is longer by this: its time is known to a quarter."""


class _Stale(NamedTuple):
    """A copy that Redis called overwritten: how long after that it could be served, and whether that breaks the
    bound."""

    for_s: float
    is_broken: bool


class _Look(NamedTuple):
    sampled: int
    stale: Sequence[_Stale]


class Auditor:
    """`per_s`: copies looked at in a second unasked, of one partition at a time; 0: none."""

    def __init__(self, scripts: Scripts, keys: Keys, near: NearCache, *, per_s: int) -> None:
        self._scripts = scripts
        self._partitions = keys.partitions
        self._near = near
        self._per_s = per_s
        self._chance = random.Random()  # noqa: S311
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.sampled = 0
        self.stale = 0
        self.broken = 0
        self.ages = LatencyHistogram()

    def start(self) -> None:
        if self._per_s:
            self._task = background.start(self._run(), "near cache audit")

    async def stop(self) -> None:
        await background.stop(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(background.until_beat_s(EVERY_S))
            try:
                await self.step()
            except SimpulError as error:
                log.debug("no audit: %s", error.detail)

    async def step(self) -> None:
        """Look at a few copies of one partition in use; at nothing if there is none. Raises what the store raises."""
        good_until, now = self._near.hearing.good_until, steady_s()
        weights = [size * (good > now) for size, good in zip(self._near.sizes(), good_until, strict=True)]
        if any(weights):
            (partition,) = self._chance.choices(self._partitions, weights)
            await self._look(partition, self._per_s)

    async def audit(self, most: int) -> Audit:
        """Look at up to `most` copies drawn from all, now; one audit at a time. Raises what the store raises.

        Takes a round trip, or up to the bound when something is stale.
        """
        async with self._turn:
            sizes = self._near.sizes()
            held = sum(sizes)
            drawn = self._chance.sample(range(len(sizes)), min(most, held), counts=sizes) if held else []
            looks = await asyncio.gather(
                *(self._look(self._partitions[number], share) for number, share in Counter(drawn).items())
            )
        stale = [one for look in looks for one in look.stale]
        return Audit(
            entries=held,
            sampled=sum(look.sampled for look in looks),
            stale=len(stale),
            oldest_stale_ms=round(1000 * max((one.for_s for one in stale), default=0.0)),
            broken=sum(one.is_broken for one in stale),
            bound_ms=round(1000 * self._near.hearing.bound_s),
        )

    async def _look(self, partition: Partition, most: int) -> _Look:
        copies = self._draw(partition.number, most)
        if not copies:
            return _Look(0, ())
        current = await self._ask(partition, copies)
        answered_at = steady_s()
        overwritten = [entry for entry, same in zip(copies.items(), current, strict=True) if not same]
        stale = await asyncio.gather(
            *(self._follow(partition, key, entry, answered_at) for key, entry in overwritten),
        )
        self.sampled += len(copies)
        self.stale += len(stale)
        for one in stale:
            self.ages.observe(one.for_s)
            self.broken += one.is_broken
        return _Look(len(copies), stale)

    def _draw(self, number: int, most: int) -> dict[bytes, Entry]:
        """Copies of the partition drawn at random, without those that may not be served now."""
        keys, copies = self._near.keys_of(number), {}
        places = sorted(self._chance.sample(range(len(keys)), min(most, len(keys))))
        walk, at = iter(keys), 0
        for place in places:
            key = next(islice(walk, place - at, None))
            at = place + 1
            entry = self._near.servable(key)
            if entry is not None:
                copies[key] = entry
        return copies

    async def _ask(self, partition: Partition, copies: dict[bytes, Entry]) -> Sequence[int]:
        """1 for each that is the latest, else 0."""
        known = tuple(entry.version for entry in copies.values())
        reply = await self._scripts.call(COMPARE, partition, (partition.versions, *copies), known)
        return reply[2:]

    async def _follow(self, partition: Partition, key: bytes, copy: Entry, answered_at: float) -> _Stale:
        """Until the copy is gone, or the bound is over since Redis called it overwritten."""
        near, bound_s = self._near, self._near.hearing.bound_s
        served_s, pause_s = 0.0, FIRST_LOOK_S
        while True:
            held, passed_s = near.held(key), steady_s() - answered_at
            if held is None or held.version != copy.version:
                return _Stale(served_s, is_broken=False)
            if near.servable(key) is not None:
                served_s = passed_s
            if passed_s > bound_s:
                break
            # One that lapsed is looked at again as well: it must not come back.
            await asyncio.sleep(min(pause_s, bound_s - passed_s + FIRST_LOOK_S))
            pause_s *= LATER
        if served_s <= bound_s or (await self._ask(partition, {key: copy}))[0]:
            return _Stale(min(served_s, bound_s), is_broken=False)
        near.drop_stale(key, copy.version)
        log.warning(
            "a copy of version %d in partition %d could be served %.0f ms after Redis said that it was overwritten, "
            "%.0f ms are the most: it is dropped now",
            copy.version,
            partition.number,
            1000 * served_s,
            1000 * bound_s,
        )
        return _Stale(served_s, is_broken=True)
