"""Lines as Redis has them: read whole, page by page, and only those that a question leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from service.keys import Keys
from service.lock.calls import BLOCKERS, Place
from service.lock.deadlock.graph import Hold, Line, Picture, Wait
from service.lock.deadlock.told import Told
from service.store.scripts import Scripts

_FIELDS = 5
_READ_AT_ONCE = 100
"""Lines on their way at once, so that clients' calls to Redis do not queue up behind them."""


class Sight:
    """`now_ms` is Redis TIME of the latest reading."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys
        self.now_ms = 0
        self.lines_read = 0

    def place(self, resource: str) -> Place:
        return Place(self._keys, resource)

    async def read(self, resources: Iterable[str]) -> dict[bytes, Line]:
        """These lines, by the key of their lock. Raises what the store raises."""
        lines: dict[bytes, Line] = {}
        places = [Place(self._keys, resource) for resource in resources]
        for some in (places[at : at + _READ_AT_ONCE] for at in range(0, len(places), _READ_AT_ONCE)):
            found = await asyncio.gather(*map(self._line, some))
            lines.update((place.lock, line) for place, line in zip(some, found, strict=True))
        self.lines_read += len(lines)
        return lines

    async def explore(
        self, owners: Iterable[bytes], waits_of: Callable[[bytes], Collection[Told]]
    ) -> tuple[dict[bytes, Line], dict[bytes, str]]:
        """What these owners wait for, and whoever keeps them waiting, and so on, as far as `waits_of` knows of waits;
        and the resources of the locks. Where holders wait for nothing that is one line.

        Raises what the store raises."""
        picture: dict[bytes, Line] = {}
        locks: dict[str, bytes] = {}
        asked: set[bytes] = set()
        next_ = set(owners)
        while next_:
            asked |= next_
            theirs = {resource for owner in next_ for wait in waits_of(owner) for resource in wait.resources}
            fresh = theirs.difference(locks)
            locks.update((resource, self.place(resource).lock) for resource in fresh)
            picture.update(await self.read(fresh))
            next_ = {
                blocker
                for resource in theirs
                for blocker in _who_keep_waiting(picture[locks[resource]], next_)
                if blocker not in asked and waits_of(blocker)
            }
        return picture, {lock: resource for resource, lock in locks.items()}

    async def _line(self, place: Place) -> Line:
        of = place.partition
        keys = (*place.hold_keys, place.waiters, of.waiter_info + place.name, of.sessions)
        holds: list[Hold] = []
        waits: list[Wait] = []
        cursor, after = b"0", b"0"
        while cursor or after:
            reply = await self._scripts.call(BLOCKERS, of, keys, (cursor, after))
            _, cursor, after, self.now_ms, limit, count, *rest = reply
            split = _FIELDS * count
            holds += (Hold(one[0], int(one[1]), one[3].decode(), one[4], one[2]) for one in _in_fives(rest[:split]))
            waits += (Wait(one[0], int(one[1]), one[2], one[3].decode(), one[4]) for one in _in_fives(rest[split:]))
        # A hash that is read in pages may show a field twice.
        return Line(tuple({hold.token: hold for hold in holds}.values()), tuple(waits), limit)


def _who_keep_waiting(line: Line, owners: Collection[bytes]) -> Iterator[bytes]:
    last = max((at for at, wait in enumerate(line.waits) if wait.owner in owners), default=-1)
    if last >= 0:
        yield from (hold.owner for hold in line.holds)
        yield from (wait.owner for wait in line.waits[:last])


def _in_fives(values: list[Any]) -> Iterator[list[Any]]:
    return (values[at : at + _FIELDS] for at in range(0, len(values), _FIELDS))


def stuck_in(picture: Picture, is_stuck: Callable[[Wait], bool]) -> list[bytes]:
    """The locks at which somebody is stuck."""
    return [lock for lock, line in picture.items() if any(map(is_stuck, line.waits))]
