"""The leader's part: explore what nodes tell, and end one wait of each deadlock.

A circle is closed by a new wait and by nothing else (docs/explanation/deadlocks.md), so each wait is explored once,
when it is told, and nothing is done while nothing is told. What looks like a deadlock is read a second time before a
wait is ended, and the script that ends it looks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from service import background
from service.clock import steady_s
from service.error_registry import NotCommitted, RaftMessageInvalid
from service.errors import SimpulError
from service.histogram import LatencyHistogram
from service.keys import Keys
from service.lock.calls import CANCEL, HAND_OVER
from service.lock.deadlock import told
from service.lock.deadlock.cycles import Step, find
from service.lock.deadlock.graph import Hold, Picture, Reduction, Wait, common, is_plain, without
from service.lock.deadlock.sight import Sight, stuck_in
from service.lock.deadlock.table import Table
from service.lock.deadlock.told import Told
from service.raft.runner import Runner
from service.store.scripts import Scripts

log = logging.getLogger("simpul.lock")

EXPLORED_AT_ONCE_MAX = 1_000
"""Waits whose surroundings are read together. More would keep the leader's event loop for too long."""
ROUNDS_MAX = 10
"""How often circles are looked for behind those found already, before others are explored."""
UNTOLD_MS = 1_000
"""How old a wait is when its node is not waited for any more to tell of it."""
AGAIN_S = 0.2
"""Pause after Redis did not answer."""
_REST = 4
_REST_S_MAX = 0.2
"""After an exploration the leader rests four times as long as it took, and at most so long: whatever is told, a fifth
of its time goes into it."""


class Watch:
    def __init__(self, runner: Runner, scripts: Scripts, keys: Keys) -> None:
        self._runner = runner
        self._scripts = scripts
        self._wake_channel = keys.wake_channel
        self.sight = Sight(scripts, keys)
        self.table = Table()
        self._new: dict[bytes, Told] = {}
        self._due = asyncio.Event()
        self._exploring = 0
        self._task: asyncio.Task[None] | None = None
        self.found = 0
        self.ended = 0
        self.seconds = LatencyHistogram()
        """From the moment a circle closed to the end of a wait in it, by Redis time."""

    def start(self) -> None:
        self._task = background.start(self._run(), "exploring waits")

    async def stop(self) -> None:
        await background.stop(self._task)

    @property
    def told(self) -> int:
        """How many waits are known; 0 while this node does not lead."""
        leads = self._runner.leads() and self.table.term == self._runner.soft_state.term
        return len(self.table) if leads else 0

    @property
    def unexplored(self) -> int:
        """How many waits were told and not looked at yet; 0 while this node does not lead."""
        return len(self._new) + self._exploring if self._runner.leads() else 0

    async def receive(self, body: bytes) -> bytes:
        """A node's telling. Raises RaftMessageInvalid, NotCommitted when this node does not lead in the term meant."""
        try:
            telling = told.decode(body)
        except msgspec.DecodeError as error:
            raise RaftMessageInvalid(reason=f"it tells of no waits: {error}") from None
        self.must_lead(telling.term)
        new = self.table.hear(telling)
        if new:
            self._new.update((wait.waiter, wait) for wait in new)
            self._due.set()
        return b""

    def must_lead(self, term: int | None = None) -> None:
        """Raises NotCommitted. What an earlier office knew is forgotten here."""
        state = self._runner.soft_state
        if not self._runner.leads() or term not in (None, state.term):
            raise NotCommitted(reason="this node does not lead")
        if self.table.term != state.term:
            self.table.take_over(state.term)
            self._new.clear()

    # Exploring

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while self._new and self._runner.leads():
                waits = [self._new.pop(waiter) for waiter in list(self._new)[:EXPLORED_AT_ONCE_MAX]]
                began = steady_s()
                self._exploring = len(waits)
                try:
                    await self._explore([wait for wait in waits if self.table.knows(wait.waiter)])
                except SimpulError as error:
                    log.debug("%d waits could not be explored: %s", len(waits), error.detail)
                    self._new.update((wait.waiter, wait) for wait in waits)
                    await asyncio.sleep(AGAIN_S)
                else:
                    await asyncio.sleep(min(_REST_S_MAX, _REST * (steady_s() - began)))
                finally:
                    self._exploring = 0

    async def _explore(self, waits: Sequence[Told]) -> None:
        """End one wait of every circle that one of these stands in or behind."""
        picture, names = await self.sight.explore({wait.owner for wait in waits}, self.table.waits_of)
        if is_plain(picture):
            return
        reduction = Reduction(picture)
        if not reduction.stuck:
            return
        again = await self.sight.read(names[lock] for lock in stuck_in(picture, reduction.is_stuck))
        cycles, is_settled = self._choose(common(picture, again))
        self.found += len(cycles)
        resources = {lock: name.encode() for lock, name in names.items()}
        ended = await asyncio.gather(*(self._end(cycle, resources) for cycle in cycles))
        if not is_settled or not all(ended):
            self._new.update((wait.waiter, wait) for wait in waits)

    def _choose(self, picture: Picture) -> tuple[list[tuple[Step, ...]], bool]:
        """The circles to break now, and whether that leaves none."""
        chosen: list[tuple[Step, ...]] = []
        for _ in range(ROUNDS_MAX):
            found = find(picture, self._may_end)
            if not found:
                return chosen, True
            for cycle in found:
                victim = cycle[0].wait.waiter
                if not self.table.knows(victim):
                    return chosen, False
                chosen.append(cycle)
                picture = without(picture, victim)
        return chosen, False

    def _may_end(self, wait: Wait) -> bool:
        """The youngest may be so young that it was not told yet, and then it is waited for. One that is never told is
        of a node that does not reach the leader, or knows no deadlocks: another is ended instead."""
        return self.table.knows(wait.waiter) or self.sight.now_ms - wait.place // 1000 < UNTOLD_MS

    async def _end(self, cycle: Sequence[Step], names: dict[bytes, bytes]) -> bool:
        """False when its victim does not wait so any more."""
        lock, wait, blocker = cycle[0]
        place = self.sight.place(names[lock].decode())
        seen = (blocker.owner, blocker.token) if isinstance(blocker, Hold) else (blocker.waiter, b"")
        reply = await self._scripts.call(
            CANCEL,
            place.partition,
            (place.partition.quarantine, *place.line_keys, place.partition.lock_events),
            (wait.waiter, wait.place, *seen, told.verdict(cycle, names), self._wake_channel),
        )
        _, waited_ms, more = reply
        while more:
            keys = (place.partition.quarantine, *place.line_keys)
            *_, more = await self._scripts.call(HAND_OVER, place.partition, keys, (self._wake_channel,))
        if waited_ms < 0:
            log.info("a deadlock was over before a wait was ended: %s", _in_words(cycle, names))
            return False
        self.ended += 1
        self.seconds.observe(waited_ms / 1000)
        log.info("deadlock, first wait ended after %d ms: %s", waited_ms, _in_words(cycle, names))
        return True


def _in_words(cycle: Sequence[Step], names: dict[bytes, bytes]) -> str:
    return ", ".join(
        f"{step.wait.owner!r} waits for {names[step.lock]!r} because of {step.blocker.owner!r}" for step in cycle
    )
