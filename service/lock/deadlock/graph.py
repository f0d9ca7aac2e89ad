"""Which owners can never go on: the rules, without any IO.

An owner is one party: what it holds it gives back only once everything it waits for was granted. A wait is granted when
all that stand ahead of it in each of its lines were granted, and what is held then leaves room for it. Both only ever
become true, so it does not matter in what order owners finish: let finish whoever can, as long as somebody can. Who is
left can never go on by itself.

Where something is not known it is taken for what lets others go on: an owner nobody saw waiting finishes, and what an
owner holds itself never stands in its own way (two processes may use one name). So what is found is true of all worlds
that agree with what was seen, and a loss of sight costs a find, not a false alarm.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

SHARED, SEMAPHORE = "shared", "semaphore"
"""Modes in which several hold a lock, each with its like only. In any other one holds it alone."""


class Hold(NamedTuple):
    """One hold of a lock. Its token is its identity: no two grants have the same."""

    owner: bytes
    token: int
    mode: str
    permits: int = 1
    expires_in_ms: int = 0


class Wait(NamedTuple):
    """One place in one line. A wait that stands in several lines has the same waiter in each."""

    waiter: bytes
    place: int
    """Where it stands, and since when: Redis TIME in microseconds when it joined (lua/lock/wait)."""
    owner: bytes
    mode: str
    permits: int = 1


class Line(NamedTuple):
    """One lock: who holds it, and who waits for it, in order."""

    holds: tuple[Hold, ...]
    waits: tuple[Wait, ...]
    limit: int = 0
    """Permits that there are, where it is held or waited for as a semaphore."""


Picture = Mapping[bytes, Line]
"""Lines by the key of their lock."""


def in_the_way(wait: Wait, hold: Hold | Wait) -> bool:
    """Whether a hold (also one that is still waited for) keeps a later wait for the same lock out. Permits of a
    semaphore keep out together, so each of them does."""
    return hold.owner != wait.owner and not wait.mode == hold.mode == SHARED


def is_plain(picture: Picture) -> bool:
    """Whether nobody in it is in two places, so that nobody can be stuck: all holders go on, and then all lines do. A
    fraction of what a reduction costs, and true of most contention."""
    seen = {hold.owner for line in picture.values() for hold in line.holds}
    for line in picture.values():
        for wait in line.waits:
            if wait.owner in seen:
                return False
            seen.add(wait.owner)
    return True


def common(earlier: Picture, later: Picture) -> Picture:
    """What two readings agree upon, and which therefore was so at a moment between them, all of it at once: no token
    and no place is ever given twice."""
    lines = {}
    for lock, now in later.items():
        before = earlier.get(lock)
        if before is None:
            continue
        tokens = {(hold.owner, hold.token): hold.permits for hold in before.holds}
        places = {(wait.waiter, wait.place) for wait in before.waits}
        lines[lock] = Line(
            tuple(
                hold._replace(permits=min(hold.permits, tokens[hold.owner, hold.token]))
                for hold in now.holds
                if (hold.owner, hold.token) in tokens
            ),
            tuple(wait for wait in now.waits if (wait.waiter, wait.place) in places),
            now.limit,
        )
    return lines


def without(picture: Picture, waiter: bytes) -> Picture:
    """As it is once a wait has ended."""
    return {
        lock: line._replace(waits=tuple(wait for wait in line.waits if wait.waiter != waiter))
        for lock, line in picture.items()
    }


class Reduction:
    """Everybody who can finish has finished: `finished` owners, and `granted` waits (their ids). The rest is stuck."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.finished: set[bytes] = set()
        self.granted: set[bytes] = set()
        self.waits_of: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self.lines_of: defaultdict[bytes, list[tuple[bytes, Wait]]] = defaultdict(list)
        """By waiter: the locks that it waits for and its place in each line."""
        self._floors = {lock: _Floor(line) for lock, line in picture.items()}
        self._floors_of: defaultdict[bytes, set[bytes]] = defaultdict(set)
        owners = set()
        for lock, line in picture.items():
            for hold in line.holds:
                owners.add(hold.owner)
                self._floors_of[hold.owner].add(lock)
            for wait in line.waits:
                owners.add(wait.owner)
                self.waits_of[wait.owner].add(wait.waiter)
                self.lines_of[wait.waiter].append((lock, wait))
                self._floors_of[wait.owner].add(lock)
        self._due = list(picture)
        for owner in owners:
            self._finish_if_done(owner)
        while self._due:
            self._serve(self._due.pop())

    @property
    def stuck(self) -> frozenset[bytes]:
        """Owners who can never go on by themselves."""
        return frozenset(owner for owner in self.waits_of if owner not in self.finished)

    def is_stuck(self, wait: Wait) -> bool:
        return wait.waiter not in self.granted

    def _finish_if_done(self, owner: bytes) -> None:
        if owner in self.finished or not self.granted.issuperset(self.waits_of.get(owner, ())):
            return
        self.finished.add(owner)
        for lock in self._floors_of[owner]:
            self._floors[lock].leave(owner)
            self._due.append(lock)

    def _serve(self, lock: bytes) -> None:
        floor = self._floors[lock]
        while (wait := floor.next) is not None and self._fits(wait.waiter):
            self.granted.add(wait.waiter)
            for other, place in self.lines_of[wait.waiter]:
                self._floors[other].let_in(place)
                if other != lock:
                    self._due.append(other)
            self._finish_if_done(wait.owner)

    def _fits(self, waiter: bytes) -> bool:
        """It stands first in all of its lines, and there is room for it in each."""
        return all(
            (first := self._floors[lock].next) is not None and first.waiter == waiter and self._floors[lock].fits(wait)
            for lock, wait in self.lines_of[waiter]
        )


class _Floor:
    """One line while it is served: who is in, and who is next."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._served = 0
        self._in: Counter[tuple[bytes, str]] = Counter()
        """Permits by owner and mode."""
        self._total: Counter[str] = Counter()
        for hold in line.holds:
            self._enter(hold)

    @property
    def next(self) -> Wait | None:
        return self._line.waits[self._served] if self._served < len(self._line.waits) else None

    def fits(self, wait: Wait) -> bool:
        others = {mode: total - self._in[wait.owner, mode] for mode, total in self._total.items()}
        alike = others.pop(wait.mode, 0) if wait.mode in (SHARED, SEMAPHORE) else 0
        if any(others.values()):
            return False
        return wait.mode != SEMAPHORE or alike + wait.permits <= self._line.limit

    def let_in(self, wait: Wait) -> None:
        self._served += 1
        self._enter(wait)

    def leave(self, owner: bytes) -> None:
        for mode in list(self._total):
            self._total[mode] -= self._in.pop((owner, mode), 0)

    def _enter(self, one: Hold | Wait) -> None:
        self._in[one.owner, one.mode] += one.permits
        self._total[one.mode] += one.permits
