"""One partition's lock events as this node has read them, for as long as somebody watches a lock of it here.

Read through scripts like everything else, so under the fence: a node that slept through a generation reads nothing.
Each entry is published on a channel named as the stream, and the mirror then reads on; should the message be lost, it
reads on a second later. A blocking XREAD would need a connection of its own for every slot of a Redis Cluster, and no
fence would stand in front of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from itertools import islice
from typing import NamedTuple

from service import background
from service.errors import SimpulError
from service.keys import Partition
from service.limits import LOCK_EVENTS_KEEP_MS, LOCK_EVENTS_MAX
from service.lock.calls import EVENTS, NOTE_END, RECORD
from service.lock.events import Entry, Hold, Holds, LockEvent, read_entry
from service.names import encode_name
from service.store.scripts import Scripts

log = logging.getLogger("simpul.lock")

READ_AT_ONCE = 256
KEPT_MAX = LOCK_EVENTS_MAX + READ_AT_ONCE
"""Events here: all that Redis keeps, so that whoever comes back is answered from memory."""
LOOK_EVERY_S = 1.0
"""A lost message costs so much, and nothing else."""
RECORD_EVERY_S = LOCK_EVENTS_KEEP_MS / 1000 / 10
AGAIN_S = 0.5
"""Pause before Redis is asked again that did not answer."""
_MARGIN_S = 0.001
"""Redis ends a lease within the millisecond after its time."""


class Told(NamedTuple):
    """An event to be passed on, or none: a mark of the log itself. `number` counts within the mirror; `at` is the entry
    that a reader who has this one has read up to."""

    number: int
    at: bytes
    lock: bytes
    event: LockEvent | None


class Mirror:
    def __init__(self, scripts: Scripts, partition: Partition) -> None:
        self.partition = partition
        self.at = b""
        """The entry that was read last."""
        self.epoch = 0
        """Goes up when what is here may not follow on what was here before."""
        self.why_new_epoch = ""
        self.told: deque[Told] = deque(maxlen=KEPT_MAX)
        self.next_number = 0
        self.readers: set[asyncio.Event] = set()
        """Set whenever there is something new."""
        self._scripts = scripts
        self._holds = Holds()
        self._locks: Counter[bytes] = Counter()
        self._prefixes: Counter[bytes] = Counter()
        self._timers: dict[tuple[bytes, int], asyncio.TimerHandle] = {}
        self._reading = asyncio.Lock()
        self._is_due = asyncio.Event()
        self._is_loading = True
        self._recorded_at = 0.0
        self._task: asyncio.Task[None] | None = None

    # Coming and going

    async def begin(self) -> None:
        """Have events recorded, and read what is. Once. Raises what the store raises."""
        async with self._reading:
            if self._task is None:
                await self._read_on()
                self._task = background.start(self._run(), f"events of partition {self.partition.number}")

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await background.stop(self._task)

    def watch(self, lock: bytes, *, is_prefix: bool) -> None:
        """From now on ends of such holds are noted as soon as they come."""
        (self._prefixes if is_prefix else self._locks)[lock] += 1
        for hold in self._holds:
            self._look_in(hold, 0.0)

    def unwatch(self, lock: bytes, *, is_prefix: bool) -> None:
        counts = self._prefixes if is_prefix else self._locks
        counts[lock] -= 1
        if not counts[lock]:
            del counts[lock]

    @property
    def first_number(self) -> int:
        """Of the oldest event that is still here."""
        return self.next_number - len(self.told)

    def tells_of(self, lock: bytes, number: int) -> bool:
        """Whether an event from `number` on is about this lock."""
        return any(one.lock == lock for one in islice(self.told, max(0, number - self.first_number), None))

    def know(self, hold: Hold, left_ms: int) -> None:
        """A hold that stands in Redis, recorded or not."""
        if self._holds.get(hold.lock, hold.token) is None:
            self._holds.know(hold)
        self._look_in(hold, left_ms / 1000)

    # What is heard

    def read_soon(self) -> None:
        """There is more to read, or there may be."""
        self._is_due.set()

    def begin_anew(self, why: str) -> None:
        """What comes may not follow on what was read: a new generation."""
        self.why_new_epoch = why
        self.epoch += 1
        self.at = b""
        self.told.clear()
        self._is_loading = True
        self._is_due.set()

    @property
    def is_current(self) -> bool:
        """False from a new epoch on until all that is recorded was read."""
        return not self._is_loading

    def look_at_all(self) -> None:
        """Holds may be given up earlier than was said: a quarantine ended, or is shorter now."""
        for hold in self._holds:
            self._look_in(hold, 0.0)

    # Reading

    async def read(self) -> None:
        """All there is now. Raises what the store raises."""
        async with self._reading:
            await self._read_on()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._is_due.wait()
            except TimeoutError:
                pass
            self._is_due.clear()
            try:
                if loop.time() - self._recorded_at > RECORD_EVERY_S:
                    await self._keep_recording()
                await self.read()
            except SimpulError as error:
                log.debug("events of partition %d: %s", self.partition.number, error.detail)
                await asyncio.sleep(AGAIN_S)

    async def _keep_recording(self) -> None:
        of = self.partition
        await self._scripts.call(RECORD, of, (of.lock_events,), (LOCK_EVENTS_KEEP_MS,))
        self._recorded_at = asyncio.get_running_loop().time()

    async def _read_on(self) -> None:
        of, was_loading = self.partition, self._is_loading
        if was_loading:
            await self._keep_recording()
        while True:
            epoch = self.epoch
            _, is_gap, *entries = await self._scripts.call(EVENTS, of, (of.lock_events,), (self.at, READ_AT_ONCE))
            if epoch != self.epoch:
                was_loading = True
                continue  # a generation began while Redis answered
            if is_gap:
                self.begin_anew("overrun")
                await self._keep_recording()
                was_loading = True
                continue
            for entry in entries:
                self._take(read_entry(entry, of.lock))
            if len(entries) < READ_AT_ONCE:
                break
        if was_loading and self.at:
            self._is_loading = False
            self.look_at_all()
        if was_loading or entries:
            self._notify()

    def _take(self, entry: Entry) -> None:
        event = entry.event
        is_repeat = event is not None and self._holds.has_told_end(entry.lock, event)
        for end in self._holds.follow(entry.lock, event) if event is not None else ():
            self._tell(entry.lock, end)
        self.at = entry.id
        self._tell(entry.lock, None if is_repeat else event)
        if event is not None:
            hold = self._holds.get(entry.lock, event.token)
            if hold is not None and event.ttl_ms is not None:
                self._look_in(hold, event.ttl_ms / 1000)

    def _tell(self, lock: bytes, event: LockEvent | None) -> None:
        self.told.append(Told(self.next_number, self.at, lock, event))
        self.next_number += 1

    def _notify(self) -> None:
        for reader in self.readers:
            reader.set()

    # Ends that nobody records

    def _look_in(self, hold: Hold, pause_s: float) -> None:
        if not self._is_watched(hold.lock):
            return
        key = hold.lock, hold.token
        if key in self._timers:
            self._timers[key].cancel()
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(pause_s + _MARGIN_S, self._look, hold)

    def _is_watched(self, lock: bytes) -> bool:
        return lock in self._locks or any(map(lock.startswith, self._prefixes))

    def _look(self, hold: Hold) -> None:
        self._timers.pop((hold.lock, hold.token), None)
        if self._holds.get(hold.lock, hold.token) is not None and self._is_watched(hold.lock):
            background.finite(self._note_end(hold), "noting the end of a hold")

    async def _note_end(self, hold: Hold) -> None:
        """Ask how long the hold goes on; one that does not is recorded as ended, by this call or by somebody before."""
        of, name = self.partition, encode_name("resource", hold.resource)
        keys: tuple[bytes, ...] = (of.quarantine, hold.lock, of.readers + name, of.reader_holds + name, of.lock_events)
        args = (encode_name("owner", hold.owner), hold.token, hold.mode, self.at or b"0-0")
        try:
            _, left_ms = await self._scripts.call(NOTE_END, of, keys, args)
            if not left_ms:
                await self.read()
                left_ms = round(AGAIN_S * 1000)  # unless it is read of now
        except SimpulError as error:
            log.debug("the end of a hold in partition %d: %s", of.number, error.detail)
            left_ms = round(AGAIN_S * 1000)
        if self._holds.get(hold.lock, hold.token) is not None:
            self._look_in(hold, left_ms / 1000)
