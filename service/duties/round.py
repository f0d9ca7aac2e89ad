"""Does this node's duties in the partitions it owns, each when it is due, and stops when they are given to another."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple, Protocol

from service import background
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import DutyStale
from service.errors import SimpulError
from service.keys import Keys, Partition

log = logging.getLogger("simpul.duties")

AGAIN_S = 0.5
"""Pause after a duty that Redis refused."""
AT_ONCE_MAX = 64
"""Duties under way at a time; the others wait for the next turn."""


class Post(NamedTuple):
    """By which right a duty is done: sent with every call, and refused by Redis once a newer one was."""

    assignment: int
    node: str


class Duty(Protocol):
    async def work(self, partition: Partition, post: Post) -> float | None:
        """One bounded piece of work. Seconds until the next one; None when there is none until something changes.

        Raises DutyStale when another node does it now, or what the store raises.
        """


def check_duty(reply: list[Any], partition: Partition) -> None:
    """What the script of a duty answered. Raises DutyStale."""
    if reply[0] == b"duty_stale":
        raise DutyStale(partition=partition.number, duty=reply[1].decode())


class Round:
    """One node's duties. `look` at any time says that there may be work sooner than it was thought."""

    def __init__(self, me: str, machine: DecisionMachine, keys: Keys, duties: Sequence[Duty]) -> None:
        self._me = me
        self._machine = machine
        self._keys = keys
        self._duties = tuple(duties)
        self._due: list[tuple[float, int, Duty, Partition]] = []
        self._next: dict[tuple[Duty, Partition], int] = {}
        """The number of the only entry that counts: a duty that is looked at sooner is not done twice."""
        self._numbers = count()
        self._known: tuple[int, int, int] = (0, 0, 0)
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._machine.on_change(self._follow)
        self._task = background.start(self._run(), "duties")
        self._follow()

    async def stop(self) -> None:
        await background.stop(self._task)

    @property
    def post(self) -> Post:
        return Post(self._machine.state.assignment, self._me)

    def look(self) -> None:
        """Do every duty of every own partition now."""
        self._due = []
        self._next.clear()
        now = asyncio.get_running_loop().time()
        for partition in self._own():
            for duty in self._duties:
                self._schedule(now, duty, partition)
        self._woken.set()

    def look_at(self, duty: Duty, prefix: bytes) -> None:
        """Do one duty of the partition whose keys begin so now, if it is an own one."""
        for partition in self._own():
            if partition.fence.startswith(prefix):
                self._schedule(asyncio.get_running_loop().time(), duty, partition)
                self._woken.set()

    def _own(self) -> list[Partition]:
        owners = self._machine.state.owners
        return [self._keys.partitions[number] for number, owner in enumerate(owners) if owner == self._me]

    def _follow(self) -> None:
        """A new assignment, or a generation or a setting with which there is other work to do."""
        state = self._machine.state
        now = state.assignment, state.generation, state.setting("lock_history")
        if now != self._known:
            self._known = now
            self.look()

    def _schedule(self, due_at: float, duty: Duty, partition: Partition) -> None:
        number = self._next[duty, partition] = next(self._numbers)
        heapq.heappush(self._due, (due_at, number, duty, partition))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            ready: list[tuple[Duty, Partition]] = []
            while self._due and self._due[0][0] <= loop.time() and len(ready) < AT_ONCE_MAX:
                _, number, duty, partition = heapq.heappop(self._due)
                if self._next.get((duty, partition)) == number:
                    ready.append((duty, partition))
            if ready:
                await asyncio.gather(*(self._do(duty, partition) for duty, partition in ready))
                continue
            pause_s = self._due[0][0] - loop.time() if self._due else None
            try:
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _do(self, duty: Duty, partition: Partition) -> None:
        post, known, number = self.post, self._known, self._next.get((duty, partition))
        try:
            again_s = await duty.work(partition, post)
        except DutyStale as error:
            log.debug("%s", error.detail)
            return
        except SimpulError as error:
            log.debug("duty in partition %d: %s", partition.number, error.detail)
            again_s = AGAIN_S
        is_looked_at = self._next.get((duty, partition)) != number
        if again_s is not None and known == self._known and not is_looked_at:
            self._schedule(asyncio.get_running_loop().time() + again_s, duty, partition)
