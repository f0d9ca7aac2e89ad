"""Streams of lock events that clients watch, and the mirrors of partitions that feed them.

A watcher is a cursor into the mirrors of its partitions: what it has not read yet is what the mirror still keeps, so a
slow one costs no memory of its own and is told when it was overrun. How far it has read goes to the client as the id of
each event, and comes back when the client connects again, to whatever node.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple, Protocol

import msgspec

from service import background
from service.error_registry import FieldInvalid, NodeStopping, WatchersFull
from service.keys import Keys, Partition
from service.limits import WATCHERS_PER_NODE_MAX
from service.lock.events import Hold, LockEvent
from service.lock.mirror import Mirror
from service.lock.waiting import EVERY
from service.lock.wire import LockState
from service.names import encode_name
from service.store.scripts import Scripts

TAKEN_AT_ONCE = 256
CALM_TRIES = 3
"""How often the state of a lock is read again that changed while it was read."""


class Listening(Protocol):
    """The subscriber, as watching uses it."""

    def hear(self, channel: bytes, handler: Callable[[bytes], None]) -> None: ...
    def hear_no_more(self, channel: bytes) -> None: ...


class Inspecting(Protocol):
    async def inspect(self, resource: str) -> LockState: ...


class Gap(msgspec.Struct):
    """Something may be missing before what follows. `reason` is generation (Redis may have lost data), overrun (the log
    does not reach back as far) or slow (this client reads too slowly, and is cut off)."""

    reason: str


class Frame(NamedTuple):
    """One event for a client. `at` is what it sends back to go on from here."""

    name: str
    at: str
    data: LockEvent | LockState | Gap


class Wanted(NamedTuple):
    """What a client watches: locks by name, and locks whose names begin with a prefix."""

    locks: tuple[str, ...]
    prefixes: tuple[str, ...] = ()


class Place(msgspec.Struct, array_like=True, frozen=True):
    """How far a client has read: by partition, the id of the entry that it read last."""

    generation: int
    read_up_to: dict[int, bytes]

    def encode(self) -> str:
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Place:
        """Raises FieldInvalid."""
        try:
            return msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except ValueError:
            raise FieldInvalid(field="Last-Event-ID", reason="is none that a node has sent: leave it out") from None


class Watcher:
    """One client's stream: `frames` until there are none, then `news`."""

    def __init__(self, wanted: Wanted, mirrors: dict[Partition, Mirror], keys: Keys, generation: int) -> None:
        self.is_over = False
        """Nothing comes any more."""
        self.news = asyncio.Event()
        self.mirrors = mirrors
        self.locks = {_key_of(name, keys): name for name in wanted.locks}
        self._prefixes = tuple(prefix.encode() for prefix in wanted.prefixes)
        self._generation = generation
        self._cursors = {partition: mirror.next_number for partition, mirror in mirrors.items()}
        self._epochs = {partition: mirror.epoch for partition, mirror in mirrors.items()}
        self._read_up_to = {partition.number: mirror.at for partition, mirror in mirrors.items()}
        self.gap: tuple[str, set[Partition]] | None = None
        """Why, and in which partitions, it must yet be told that something may be missing."""
        self._known_up_to: dict[bytes, int] = {}
        """By lock: events before this number are in the state that was told."""
        for mirror in mirrors.values():
            mirror.readers.add(self.news)
        for partition, lock, is_prefix in self._interests():
            mirrors[partition].watch(lock, is_prefix=is_prefix)

    def _interests(self) -> Iterable[tuple[Partition, bytes, bool]]:
        for partition in self.mirrors:
            yield from ((partition, lock, False) for lock in self.locks if lock.startswith(partition.lock))
            yield from ((partition, partition.lock + prefix, True) for prefix in self._prefixes)

    def leave(self) -> None:
        for mirror in self.mirrors.values():
            mirror.readers.discard(self.news)
        for partition, lock, is_prefix in self._interests():
            self.mirrors[partition].unwatch(lock, is_prefix=is_prefix)

    def end(self) -> None:
        self.is_over = True
        self.news.set()

    @property
    def at(self) -> str:
        return Place(self._generation, self._read_up_to).encode()

    # Where it begins

    def go_on(self, place: Place) -> list[Partition]:
        """Set the cursors behind what the client has read. The partitions in which that is not known any more."""
        if place.generation != self._generation:
            return list(self.mirrors)
        return [one for one, mirror in self.mirrors.items() if not self._go_on(one, mirror, place)]

    def _go_on(self, partition: Partition, mirror: Mirror, place: Place) -> bool:
        read = place.read_up_to.get(partition.number)
        number = next((one.number for one in mirror.told if one.at == read), None)
        if read is None or number is None:
            return False
        self._cursors[partition], self._read_up_to[partition.number] = number + 1, read
        return True

    def knows(self, lock: bytes, number: int) -> None:
        """The client was told how the lock stands after the events before `number`."""
        self._known_up_to[lock] = number

    # What it is told

    def move_on(self, generation: int) -> None:
        """Where events may not follow on those told there is a `gap`; from now on what is new there is told."""
        self._generation = generation
        for partition, mirror in self.mirrors.items():
            if mirror.is_current and mirror.epoch != self._epochs[partition]:
                _, partitions = self.gap or ("", set())
                self.gap = (mirror.why_new_epoch, {*partitions, partition})
                self._epochs[partition], self._cursors[partition] = mirror.epoch, mirror.next_number
                self._read_up_to[partition.number] = mirror.at

    @property
    def is_overrun(self) -> bool:
        return any(
            mirror.epoch == self._epochs[one] and self._cursors[one] < mirror.first_number
            for one, mirror in self.mirrors.items()
        )

    def take(self) -> list[Frame]:
        """The next events, in the order of each lock; not all of them if there are many."""
        found: list[Frame] = []
        for partition, mirror in self.mirrors.items():
            if mirror.epoch != self._epochs[partition]:
                continue
            for told in islice(mirror.told, self._cursors[partition] - mirror.first_number, None):
                if len(found) >= TAKEN_AT_ONCE:
                    self.news.set()
                    return found
                self._cursors[partition], self._read_up_to[partition.number] = told.number + 1, told.at
                if told.event is not None and self._wants(partition, told.lock, told.number):
                    found.append(Frame(told.event.event, self.at, told.event))
        return found

    def _wants(self, partition: Partition, lock: bytes, number: int) -> bool:
        if number < self._known_up_to.get(lock, 0):
            return False
        return lock in self.locks or any(lock.startswith(prefix, len(partition.lock)) for prefix in self._prefixes)


class Watching:
    """One node's watchers. Costs nothing while there are none."""

    def __init__(self, scripts: Scripts, keys: Keys, listening: Listening, inspecting: Inspecting) -> None:
        self.sent = 0
        self.gaps = 0
        self._scripts = scripts
        self._keys = keys
        self._listening = listening
        self._inspecting = inspecting
        self._mirrors: dict[Partition, Mirror] = {}
        self._users: dict[Partition, int] = {}
        self._watchers: set[Watcher] = set()
        self._opening = 0
        self._is_closed = False

    @property
    def watchers(self) -> int:
        return len(self._watchers) + self._opening

    @property
    def mirrored(self) -> int:
        """Partitions whose events this node reads."""
        return len(self._mirrors)

    async def open(self, wanted: Wanted, last_event_id: str | None) -> tuple[Watcher, list[Frame]]:
        """A stream, and what it begins with: how each lock stands, or nothing where it goes on.

        Raises WatchersFull, NodeStopping, FieldInvalid, and what the store raises.
        """
        place = Place.decode(last_event_id) if last_event_id else None
        partitions = self._partitions_of(wanted)
        if self._is_closed:
            raise NodeStopping(resource=", ".join((*wanted.locks, *wanted.prefixes)))
        if self.watchers >= WATCHERS_PER_NODE_MAX:
            raise WatchersFull(limit=WATCHERS_PER_NODE_MAX)
        self._opening += 1
        mirrors = {partition: self._mirror_of(partition) for partition in partitions}
        watcher = None
        try:
            begun = await asyncio.gather(*(one.begin() for one in mirrors.values()), return_exceptions=True)
            for failure in filter(None, begun):
                raise failure
            watcher = Watcher(wanted, mirrors, self._keys, self._scripts.generation)
            self._watchers.add(watcher)
            return watcher, await self._beginning(watcher, place)
        except BaseException:
            self._leave(watcher, mirrors)
            raise
        finally:
            self._opening -= 1

    async def _beginning(self, watcher: Watcher, place: Place | None) -> list[Frame]:
        if place is None:
            return await self._states(watcher, watcher.locks)
        lost = watcher.go_on(place)
        if lost:
            is_old = place.generation != self._scripts.generation
            watcher.gap = ("generation" if is_old else "overrun", {*lost})
        return []

    async def frames(self, watcher: Watcher) -> list[Frame]:
        """What there is to tell now. Raises what the store raises; then nothing is lost, and it is asked again."""
        watcher.news.clear()
        watcher.move_on(self._scripts.generation)
        if watcher.gap is not None:
            found = await self._gap(watcher, *watcher.gap)
            watcher.gap = None
        elif watcher.is_overrun:
            watcher.is_over = True
            found = [Frame("gap", "", Gap("slow"))]
        else:
            found = watcher.take()
        self.sent += len(found)
        self.gaps += bool(found) and found[0].name == "gap"
        return found

    def leave(self, watcher: Watcher) -> None:
        self._leave(watcher, watcher.mirrors)

    def close(self) -> None:
        """The node stops: every stream ends."""
        self._is_closed = True
        for watcher in self._watchers:
            watcher.end()

    async def stop(self) -> None:
        for mirror in self._mirrors.values():
            await mirror.stop()

    # What is heard

    def heard_wake(self, message: bytes) -> None:
        """A quarantine has ended, or is shorter now."""
        if message.startswith(EVERY):
            for partition, mirror in self._mirrors.items():
                if partition.lock.startswith(message[len(EVERY) :]):
                    mirror.look_at_all()

    def read_now(self) -> None:
        """After a gap in the subscription, in which messages were lost."""
        for mirror in self._mirrors.values():
            mirror.read_soon()

    def begin_anew(self) -> None:
        """A new generation."""
        for mirror in self._mirrors.values():
            mirror.begin_anew("generation")

    # Mirrors

    def _partitions_of(self, wanted: Wanted) -> list[Partition]:
        if wanted.prefixes:
            return list(self._keys.partitions)
        return list(dict.fromkeys(self._keys.partition_of(encode_name("lock", name)) for name in wanted.locks))

    def _mirror_of(self, partition: Partition) -> Mirror:
        self._users[partition] = self._users.get(partition, 0) + 1
        mirror = self._mirrors.get(partition)
        if mirror is None:
            mirror = self._mirrors[partition] = Mirror(self._scripts, partition)
            self._listening.hear(partition.lock_events, lambda _: mirror.read_soon())
        return mirror

    def _leave(self, watcher: Watcher | None, mirrors: Iterable[Partition]) -> None:
        if watcher is not None:
            self._watchers.discard(watcher)
            watcher.leave()
        for partition in mirrors:
            self._users[partition] -= 1
            if not self._users[partition]:
                del self._users[partition]
                self._listening.hear_no_more(partition.lock_events)
                background.finite(self._mirrors.pop(partition).stop(), "closing a mirror")

    # How locks stand

    async def _gap(self, watcher: Watcher, reason: str, partitions: Iterable[Partition]) -> list[Frame]:
        beginnings = tuple(partition.lock for partition in partitions)
        states = await self._states(watcher, [lock for lock in watcher.locks if lock.startswith(beginnings)])
        return [Frame("gap", watcher.at, Gap(reason)), *states]

    async def _states(self, watcher: Watcher, locks: Iterable[bytes]) -> list[Frame]:
        return [await self._state(watcher, lock) for lock in locks]

    async def _state(self, watcher: Watcher, lock: bytes) -> Frame:
        """Read between two readings of the events that show nothing of this lock, so that none is told twice."""
        resource = watcher.locks[lock]
        mirror = next(one for partition, one in watcher.mirrors.items() if lock.startswith(partition.lock))
        for _ in range(CALM_TRIES):
            await mirror.read()
            number = mirror.next_number
            state = await self._inspecting.inspect(resource)
            await mirror.read()
            if not mirror.tells_of(lock, number):
                break
        watcher.knows(lock, number)
        for one in state.holders:
            mirror.know(Hold(lock, resource, one.owner, one.token, one.mode), one.expires_in_ms)
        return Frame("state", watcher.at, state)


def _key_of(name: str, keys: Keys) -> bytes:
    encoded = encode_name("lock", name)
    return keys.partition_of(encoded).lock + encoded
