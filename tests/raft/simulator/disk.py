"""A disk with a write queue: what is acknowledged is durable, what is queued may be lost, kept or torn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random

from service.raft.messages import Entry, HardState, Snapshot
from service.raft.ready import Ready, WriteAck
from service.raft.state import Stored
from tests.raft.simulator.scheduler import MS, Scheduler

Record = HardState | Snapshot | Entry


class Tear(Enum):
    """Which write a crash is waiting for: any of several records, or the first one of a newer term."""

    ANY = "any"
    NEW_TERM = "new term"


class DiskDamaged(Exception):
    """A record that was durable is unreadable: the member must not start."""


@dataclass(frozen=True, slots=True)
class Write:
    """One Ready's records in the order they reach the platter."""

    records: tuple[Record, ...]
    ack: WriteAck
    life: int
    submitted_tick: int


class Disk:
    """Durable records of one member, and the writes on their way."""

    def __init__(self, scheduler: Scheduler, random: Random) -> None:
        self.hard_state = HardState()
        self.snapshot: Snapshot | None = None
        self.entries: dict[int, Entry] = {}
        self.last = 0
        self.queue: deque[Write] = deque()
        self.synced_last = 0
        self.damaged: int | None = None
        self.hung_until = 0
        self.failing = ""
        self.slow_acks_until = 0
        self.tear: Tear | None = None
        self.on_done: Callable[[Write], None] = lambda _write: None
        self.on_failure: Callable[[str], None] = lambda _reason: None
        self.on_entry: Callable[[Entry, HardState], None] = lambda _entry, _state: None
        self.on_replace: Callable[[Entry, Entry], None] = lambda _old, _new: None
        self._scheduler = scheduler
        self._random = random
        self._generation = 0

    # Writing

    def records_of(self, ready: Ready) -> tuple[Record, ...]:
        """The order a runner must keep: term and vote, then snapshot, then entries."""
        head: list[Record] = []
        if ready.hard_state is not None:
            head.append(ready.hard_state)
        if ready.snapshot is not None:
            head.append(ready.snapshot)
        return (*head, *ready.entries)

    def submit(self, ready: Ready, ack: WriteAck, life: int, tick: int) -> None:
        """Queue a write; writes finish in order."""
        self.queue.append(Write(self.records_of(ready), ack, life, tick))
        if len(self.queue) == 1:
            self._start()

    def _start(self) -> None:
        latency = self._random.randrange(1 * MS, 15 * MS)
        wait = max(0, self.hung_until - self._scheduler.now)
        self._scheduler.after(wait + latency, self._finish, self._generation)

    def recover(self) -> None:
        """No longer hung, slow or failing. A write that hangs is done now, not when the hang would have ended."""
        is_hung = self._scheduler.now < self.hung_until
        self.hung_until = self.slow_acks_until = 0
        self.failing = ""
        self.tear = None
        if is_hung and self.queue:
            self._generation += 1
            self._start()

    def _finish(self, generation: int) -> None:
        if generation != self._generation:
            return
        if self._scheduler.now < self.hung_until:
            self._scheduler.after(self.hung_until - self._scheduler.now, self._finish, generation)
            return
        if self.failing:
            reason, self.failing = self.failing, ""
            self.on_failure(reason)
            return
        if self.tear is not None and self._is_torn(self.tear, self.queue[0]):
            self.on_failure("killed in the middle of a write")
            return
        write = self.queue.popleft()
        for record in write.records:
            self.put(record)
        self.synced_last = self.last
        slow = self._scheduler.now < self.slow_acks_until
        delay = self._random.randrange(50 * MS, 1500 * MS) if slow else self._random.randrange(0, 3 * MS)
        self._scheduler.after(delay, self.on_done, write)
        if self.queue:
            self._start()

    def _is_torn(self, tear: Tear, write: Write) -> bool:
        if len(write.records) < 2:
            return False
        return tear is Tear.ANY or write.ack.term > self.hard_state.term

    def put(self, record: Record) -> None:
        """One record reaches the platter; an entry replaces everything from its index on."""
        if isinstance(record, HardState):
            self.hard_state = record
        elif isinstance(record, Snapshot):
            self.snapshot = record
            self.entries.clear()
            self.last = record.index
        else:
            old = self.entries.get(record.index)
            if old is not None:
                if old.term != record.term:
                    self.on_replace(old, record)
                for index in range(record.index, self.last + 1):
                    self.entries.pop(index, None)
            self.on_entry(record, self.hard_state)
            self.entries[record.index] = record
            self.last = record.index

    def compact(self, snapshot: Snapshot) -> None:
        """Store a snapshot taken by this member, behind all queued writes in effect: it only covers applied
        entries, which are durable. Entries it covers are dropped."""
        if self.snapshot is None or snapshot.index > self.snapshot.index:
            self.snapshot = snapshot
            for index in [index for index in self.entries if index <= snapshot.index]:
                del self.entries[index]
            self.last = max(self.last, snapshot.index)

    # Crashing and starting

    def crash(self) -> str:
        """Power is lost: each queued write, in order, survives whole, in part, or not at all."""
        self._generation += 1
        self.synced_last = self.last
        fate = "lost"
        while self.queue:
            write = self.queue.popleft()
            luck = self._random.random()
            kept = len(write.records)
            if self.tear is not None and self._is_torn(self.tear, write):
                self.tear = None
                kept = self._random.randrange(1, len(write.records))
            elif luck >= 0.3:
                kept = self._random.randrange(len(write.records)) if luck < 0.6 else 0
            for record in write.records[:kept]:
                self.put(record)
            self.synced_last = min(self.synced_last, self.last)
            if kept < len(write.records):
                fate = f"kept {kept} of {len(write.records)}"
                break
            fate = "kept"
        self.queue.clear()
        return fate

    def flip(self) -> int | None:
        """Damage one stored entry; None if there is none."""
        if not self.entries:
            return None
        self.damaged = self._random.choice(sorted(self.entries))
        return self.damaged

    def load(self) -> Stored:
        """Read everything back. Damage above what was ever synced is an unacknowledged tail and is cut off.

        Raises DiskDamaged for any other.
        """
        if self.damaged is not None and self.damaged in self.entries:
            if self.damaged <= self.synced_last:
                raise DiskDamaged(f"entry {self.damaged} is damaged and was acknowledged")
            for index in range(self.damaged, self.last + 1):
                del self.entries[index]
            self.last = self.damaged - 1
        self.damaged = None
        self.synced_last = self.last
        return Stored(self.hard_state, self.snapshot, tuple(self.entries[index] for index in sorted(self.entries)))

    def wipe(self) -> None:
        """Another disk takes its place, with nothing on it."""
        self.hard_state = HardState()
        self.snapshot = self.damaged = self.tear = None
        self.entries.clear()
        self.last = self.synced_last = 0
        self.failing = ""

    # Looking

    def holds(self, index: int, term: int) -> bool:
        """True if the entry is durable here, itself or inside a snapshot."""
        if index == 0 or (self.snapshot is not None and index <= self.snapshot.index):
            return True
        entry = self.entries.get(index)
        return entry is not None and entry.term == term
