"""Requests parked on this node until they are granted the lock they wait for.

Their places are records in Redis, in one line per lock for all nodes; here is only who is to be told. Whatever ends a
hold gives the lock to the next in line inside its script and publishes that to the session of the node which parks the
waiter. Nothing is polled: a line has one timer, for when its lock's hold ends by itself. A place lives as long as the
node's session does, which one call a partition keeps alive; its reply also names grants whose message was lost.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from operator import gt
from typing import Any

from service import background
from service.error_registry import LockWaitersFull, NodeStopping
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.limits import LOCK_WAITERS_PER_NODE_MAX
from service.lock.calls import ATTEND, HAND_OVER, Place
from service.lock.deadlock.teller import Teller
from service.lock.deadlock.told import Told, refusal
from service.store.scripts import Scripts

log = logging.getLogger("simpul.lock")

SESSION_MS = 10_000
"""A node that is silent for so long waits for nothing any more. Long enough for a failover of Redis to a replica."""
ATTEND_EVERY_S = 1.0
"""Less than a grant stays unconfirmed (2 s, lua/lib/hand_over): a lost message then costs time, but not the turn."""
AGAIN_S = 1.0
"""Pause before a line is looked at again that Redis would not let us look at."""
_MARGIN_S = 0.001
"""Redis ends a lease within the millisecond after its time."""
EVERY = b"*"
"""Published before the beginning of keys instead of one key: a quarantine of all these has ended or is shorter now."""
TURN, ENDED = b"0", b"1"
"""Told instead of a token, for no grant has these: that it may take its turn, to one that waits for several locks; that
a wait was ended, and why."""


@dataclass(eq=False)
class Parked:
    """One request that waits."""

    places: tuple[Place, ...]
    """In one partition."""
    waiter: bytes
    owner: bytes
    enqueue: Callable[[], Awaitable[None]]
    """Stands in line, or takes up the place it has."""
    arrival: int
    """Rises with each that comes to this node."""
    granted: asyncio.Future[int]
    """The token, once it is its turn; of several locks nothing but that they are granted."""
    is_queued: bool = False
    positions: tuple[int, ...] = ()
    """In its lines. They only get better, unless it lost its places and joined anew."""

    def grant(self, token: int) -> None:
        if not self.granted.done():
            self.granted.set_result(token)

    def refuse(self, error: SimpulError) -> None:
        if not self.granted.done():
            self.granted.set_exception(error)
            self.granted.exception()  # one that is just confirming does not look at it

    def again(self) -> None:
        """What it was granted has passed on: it begins anew."""
        self.granted = asyncio.get_running_loop().create_future()
        self.is_queued = False


@dataclass
class _Line:
    place: Place
    parked: list[Parked] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    def cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Waiting:
    """One node's parked requests. Methods that return nothing never raise."""

    def __init__(self, scripts: Scripts, keys: Keys, teller: Teller) -> None:
        self._scripts = scripts
        self._teller = teller
        self._wake_channel = keys.wake_channel
        self.session = secrets.token_hex(8).encode()
        self.channel = keys.wake_channel + b":" + self.session
        """Where this node hears of grants to its waiters."""
        self._lines: dict[bytes, _Line] = {}
        self._by_waiter: dict[bytes, list[Parked]] = {}
        self._hurry = asyncio.Event()
        self._is_somebody_here = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._count = self._arrivals = 0
        self._is_closed = False

    def start(self) -> None:
        self._task = background.start(self._attend_for_ever(), "attending to waiters")

    async def stop(self) -> None:
        await background.stop(self._task)
        for line in self._lines.values():
            line.cancel_timer()

    @property
    def parked(self) -> int:
        return self._count

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    # Coming and going

    def park(
        self, places: tuple[Place, ...], waiter: bytes, owner: bytes, enqueue: Callable[[], Awaitable[None]]
    ) -> Parked:
        """Before standing in line, so that no grant is published to nobody. Raises LockWaitersFull, NodeStopping."""
        if self._is_closed:
            raise NodeStopping(resource=places[0].name.decode())
        if self._count >= LOCK_WAITERS_PER_NODE_MAX:
            raise LockWaitersFull(limit=LOCK_WAITERS_PER_NODE_MAX, where="on this node")
        self._arrivals += 1
        parked = Parked(places, waiter, owner, enqueue, self._arrivals, asyncio.get_running_loop().create_future())
        for place in places:
            self._lines.setdefault(place.lock, _Line(place)).parked.append(parked)
        self._by_waiter.setdefault(waiter, []).append(parked)
        self._count += 1
        self._is_somebody_here.set()
        return parked

    def stands(self, parked: Parked, positions: tuple[int, ...]) -> None:
        """It has these places in its lines."""
        is_new = not parked.is_queued or any(map(gt, positions, parked.positions))
        parked.is_queued, parked.positions = True, positions
        if is_new:
            resources = tuple(place.name.decode() for place in parked.places)
            self._teller.began(Told(parked.waiter, parked.owner, resources))

    def leave(self, parked: Parked) -> bool:
        """False when another request waits here in the same place: a retry of this one."""
        for place in parked.places:
            line = self._lines[place.lock]
            line.parked.remove(parked)
            if not line.parked:
                line.cancel_timer()
                del self._lines[place.lock]
        others = self._by_waiter[parked.waiter]
        others.remove(parked)
        if not others:
            del self._by_waiter[parked.waiter]
            self._teller.ended(parked.waiter)
        self._count -= 1
        if not self._count:
            self._is_somebody_here.clear()
        return not others

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry on for a client that is gone."""
        background.finite(work, "withdrawing a waiter")

    def close(self) -> None:
        """The node stops: nobody waits any longer, and each gives up its place."""
        self._is_closed = True
        for line in self._lines.values():
            for parked in line.parked:
                parked.refuse(NodeStopping(resource=line.place.name.decode()))

    # What is heard

    def heard_grant(self, message: bytes) -> None:
        """`waiter token`, from the script that gave it the lock; `waiter TURN`, or `waiter ENDED why`."""
        waiter, _, said = message.partition(b" ")
        token, _, why = said.partition(b" ")
        for parked in self._by_waiter.get(waiter, ()):
            if token == ENDED:
                parked.refuse(refusal(why))
            elif token == TURN:
                if not parked.granted.done():
                    background.finite(self._enqueue([parked]), "taking a turn")
            else:
                parked.grant(int(token))

    def heard_wake(self, message: bytes) -> None:
        """The key of a lock that is free sooner than it was said, or the beginning of keys out of quarantine."""
        if not message.startswith(EVERY):
            self.look(message)
            return
        beginning = message[len(EVERY) :]
        for lock in [lock for lock in self._lines if lock.startswith(beginning)]:
            self.look(lock)

    def attend_now(self) -> None:
        """After a gap in the subscription, in which messages were lost."""
        self._hurry.set()

    def begin_anew(self) -> None:
        """A new generation: the lines may be gone, and are formed again in the order of each node."""
        for line in self._lines.values():
            for parked in line.parked:
                parked.is_queued = False
        self._hurry.set()

    # Looking at lines

    def expect(self, lock: bytes, left_ms: int) -> None:
        """The hold of a lock ends in so many ms: look then, unless nobody waits here any more."""
        self._look_in(lock, left_ms / 1000 + _MARGIN_S)

    def look(self, lock: bytes) -> None:
        if lock in self._lines:
            background.finite(self._look(self._lines[lock].place), "looking at a line")

    def hand_over_more(self, place: Place) -> None:
        """A script had more to do than it may do at once."""
        background.finite(self._look(place), "handing over")

    def _look_in(self, lock: bytes, pause_s: float) -> None:
        line = self._lines.get(lock)
        if line is not None:
            line.cancel_timer()
            line.timer = asyncio.get_running_loop().call_later(pause_s, self.look, lock)

    async def _look(self, place: Place) -> None:
        try:
            await self.hand_over(place)
        except SimpulError as error:
            log.debug("looking at a line: %s", error.detail)
            self._look_in(place.lock, AGAIN_S)

    async def hand_over(self, place: Place) -> int:
        """Give the lock to the next in line if it is free. How many wait yet. Raises what the store raises."""
        while True:
            keys = (place.partition.quarantine, *place.line_keys)
            reply = await self._scripts.call(HAND_OVER, place.partition, keys, (self._wake_channel,))
            _, left_ms, waiters, _, more = reply
            if not more:
                self.expect(place.lock, left_ms)
                return int(waiters)

    # Attending

    async def _attend_for_ever(self) -> None:
        while True:
            await self._is_somebody_here.wait()
            try:
                async with asyncio.timeout(background.until_beat_s(ATTEND_EVERY_S)):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()
            by_partition: dict[Partition, list[_Line]] = {}
            for line in self._lines.values():
                by_partition.setdefault(line.place.partition, []).append(line)
            # All in one write: calls to one Redis that are made in one turn of the loop are sent together.
            await asyncio.gather(*(self._attend(partition, lines) for partition, lines in by_partition.items()))

    async def _attend(self, partition: Partition, lines: list[_Line]) -> None:
        """`lines` are those of the partition; one that is formed meanwhile has just been put into Redis, too."""
        try:
            cursor = b"0"
            while True:
                keys, args = (partition.sessions, partition.granted), (self.session, SESSION_MS, cursor)
                _, is_new, cursor, *said = await self._scripts.call(ATTEND, partition, keys, args)
                if is_new:
                    self._doubt(partition)
                for waiter, about in zip(said[::2], said[1::2], strict=True):
                    if waiter:
                        self.heard_grant(waiter + b" " + about)
                    else:
                        self.look(about)
                if cursor == b"0":
                    break
        except SimpulError as error:
            log.debug("attending to partition %d: %s", partition.number, error.detail)
            return
        await self._stand_in_line_again(lines)

    def _doubt(self, partition: Partition) -> None:
        """This session had ended: others may have passed over its waiters."""
        for line in self._lines.values():
            if line.place.partition is partition:
                for parked in line.parked:
                    parked.is_queued = False

    async def _stand_in_line_again(self, lines: list[_Line]) -> None:
        """In the order in which they came to this node: what is sent first is done first."""
        missing = {
            parked for line in lines for parked in line.parked if not parked.is_queued and not parked.granted.done()
        }
        await self._enqueue(sorted(missing, key=lambda parked: parked.arrival))

    async def _enqueue(self, missing: list[Parked]) -> None:
        answers = await asyncio.gather(*(parked.enqueue() for parked in missing), return_exceptions=True)
        for parked, answer in zip(missing, answers, strict=True):
            if isinstance(answer, SimpulError):
                parked.is_queued = False
                log.debug("standing in line again for %r: %s", parked.places[0].lock, answer.detail)
            elif isinstance(answer, BaseException):
                raise answer
