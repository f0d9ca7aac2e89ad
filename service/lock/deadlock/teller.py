"""Every node's part: tell the leader of waits that last, and of their end.

Most waits are over within milliseconds, and nobody hears of them. What lasts longer than the grace is told once, many
together, and again only to another leader or when the answer was lost. So a node whose waits just go on says nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable

from service import background
from service.decisions.node.leader_line import LeaderLine
from service.error_registry import NotCommitted
from service.lock.deadlock import told
from service.lock.deadlock.told import BATCH_MAX, DEADLINE_S, PATH, Telling, Told
from service.raft.connection import Unreachable
from service.raft.messages import NodeId
from service.raft.runner import Runner

log = logging.getLogger("simpul.lock")

GRACE_S = 0.05
"""A wait that is over before this is told to nobody. A deadlock is found that much later; below it every short wait
would cost a message."""
_TOGETHER_S = 0.01
"""Waits that are due within this are told in one message."""
ENDS_AFTER_S = 1.0
"""How long the end of a wait may stay untold when there is nothing else to tell. The leader takes nothing for a wait
that does not stand in Redis, so nothing hangs on it but memory."""
AGAIN_S = 0.1
"""Pause before a leader is told again that did not answer."""


class Teller:
    def __init__(self, me: NodeId, runner: Runner, line: LeaderLine) -> None:
        self._me = me
        self._runner = runner
        self._line = line
        self._life = secrets.token_hex(8)
        self._number = 0
        self._waits: dict[bytes, Told] = {}
        """All that wait here, by waiter."""
        self._young: deque[tuple[float, Told]] = deque()
        """Those within their grace, with its end."""
        self._untold: dict[bytes, Told] = {}
        self._told: set[bytes] = set()
        """Waiters that the leader of `_office` knows, or has just been told."""
        self._ended: list[bytes] = []
        self._office: tuple[NodeId, int] | None = None
        self._due = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._task: asyncio.Task[None] | None = None
        self.tellings = 0

    def start(self) -> None:
        self._task = background.start(self._run(), "telling of waits")

    async def stop(self) -> None:
        await background.stop(self._task)
        for timer in self._timers.values():
            timer.cancel()

    # What is heard of waits

    def began(self, wait: Told) -> None:
        """It stands in line, or does so anew."""
        loop = asyncio.get_running_loop()
        self._waits[wait.waiter] = wait
        self._young.append((loop.time() + GRACE_S, wait))
        self._call_in("grace", GRACE_S, self._grow_up)

    def ended(self, waiter: bytes) -> None:
        """It was granted, refused or given up. For one that never began nothing happens."""
        self._waits.pop(waiter, None)
        self._untold.pop(waiter, None)
        if waiter in self._told:
            self._told.discard(waiter)
            self._ended.append(waiter)
            self._call_in("ends", ENDS_AFTER_S, self._due.set)

    def _grow_up(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._young and self._young[0][0] <= now:
            _, wait = self._young.popleft()
            # By identity: what stands in line anew since has a grace of its own.
            if self._waits.get(wait.waiter) is wait:
                self._untold[wait.waiter] = wait
        if self._untold:
            self._due.set()
        if self._young:
            self._call_in("grace", max(_TOGETHER_S, self._young[0][0] - now), self._grow_up)

    def _call_in(self, name: str, delay_s: float, callback: Callable[[], None]) -> None:
        """One timer of each name, which is not put off by later calls."""
        if name in self._timers:
            return

        def fire() -> None:
            del self._timers[name]
            callback()

        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, fire)

    # Telling

    async def _run(self) -> None:
        while True:
            state = self._runner.soft_state
            if state.leader is None:
                await self._runner.changed()
                continue
            if self._office != (state.leader, state.term):
                self._begin_office(state.leader, state.term)
            if not self._due.is_set():
                await background.first_of((self._due.wait(), self._runner.changed()))
                continue
            self._due.clear()
            if not await self._tell(state.term):
                await background.first_of((self._runner.changed(),), AGAIN_S)

    def _begin_office(self, leader: NodeId, term: int) -> None:
        """A leader knows only what it was told in its own term."""
        self._office = leader, term
        self._told.clear()
        self._ended.clear()
        young = {wait.waiter for _, wait in self._young}
        self._untold = {waiter: wait for waiter, wait in self._waits.items() if waiter not in young}
        if self._untold:
            self._due.set()

    async def _tell(self, term: int) -> bool:
        began, ended = tuple(self._untold.values())[:BATCH_MAX], tuple(self._ended)
        if not began and not ended:
            return True
        self._ended.clear()
        for wait in began:
            del self._untold[wait.waiter]
        # Known from now on: should it end while this is on its way, its end must be told, too.
        self._told.update(wait.waiter for wait in began)
        self._number += 1
        self.tellings += 1
        telling = Telling(self._me, self._life, term, self._number, began, ended)
        try:
            await self._line.ask(PATH, told.encode(telling), DEADLINE_S)
        except (Unreachable, NotCommitted) as error:
            log.debug("the leader was not told of %d waits: %s", len(began), error)
            self._take_back(began, ended)
            return False
        if self._untold:
            self._due.set()
        return True

    def _take_back(self, began: Iterable[Told], ended: Iterable[bytes]) -> None:
        """It may or may not have been heard."""
        self._ended = [*ended, *self._ended]
        again = {wait.waiter: wait for wait in began if self._waits.get(wait.waiter) is wait}
        self._untold = {**again, **self._untold}
        self._due.set()
