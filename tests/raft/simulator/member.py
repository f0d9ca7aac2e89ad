"""One simulated process: a core, its disk, a state machine, and the runner's duties between them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from service.raft.config import Config
from service.raft.core import Raft
from service.raft.errors import CorruptState, InvariantBroken
from service.raft.events import describe
from service.raft.messages import Entry, EntryKind, Message, Snapshot
from service.raft.ready import Ready, WriteAck
from tests.raft.simulator.disk import Disk, DiskDamaged, Write
from tests.raft.simulator.invariants import Before, Violation
from tests.raft.simulator.trace import brief

if TYPE_CHECKING:
    from tests.raft.simulator.cluster import Cluster

TICK_MS = 50


@dataclass(slots=True)
class Machine:
    """A state machine whose whole state is a hash of its history: two that differ differ for ever."""

    applied: int = 0
    digest: int = 0

    def apply(self, entry: Entry) -> None:
        self.applied = entry.index
        if entry.kind is EntryKind.NORMAL:
            self.digest = crc32(entry.data, self.digest)

    def save(self) -> bytes:
        return b"%d" % self.digest

    def load(self, snapshot: Snapshot) -> None:
        self.applied = snapshot.index
        self.digest = int(snapshot.data)


class Member:
    """A member that can be stopped at any point between two events."""

    def __init__(self, cluster: Cluster, config: Config, disk: Disk, random: Random) -> None:
        self.id = config.node
        self.config = config
        self.disk = disk
        self.core: Raft | None = None
        self.machine = Machine()
        self.life = 0
        self.refused = False
        self.lacks_disk = False
        self.paused = False
        self.tick_us = TICK_MS * 1000
        self.compact_every = 0
        self.old_acks: list[WriteAck] = []
        self._cluster = cluster
        self._random = random
        self._inbox: list[Message] = []
        self._missed_ticks = 0
        disk.on_done = self._written
        disk.on_failure = self._disk_failed

    # Life

    def start(self) -> None:
        """Start from what the disk holds, or refuse for ever."""
        if self.core is not None or self.refused or self.lacks_disk:
            return
        try:
            stored = self.disk.load()
        except DiskDamaged as damage:
            self.refused = True
            self._note(f"refuses to start: {damage}")
            return
        self.life += 1
        self.machine = Machine()
        if stored.snapshot is not None:
            self.machine.load(stored.snapshot)
        random = Random(f"{self._cluster.spec.seed}:timeouts:{self.id}:{self.life}")
        try:
            self.core = self._cluster.raft(self.config, random, stored)
        except (CorruptState, InvariantBroken) as error:
            raise Violation("start-up", f"{self.id} cannot start: {error}") from error
        self.core.count_absence(self.config.election_ticks - self.config.heartbeat_ticks)  # as a runner does
        self._note(f"starts in term {stored.hard_state.term} with log to {self.disk.last}")
        self._cluster.checker.on_start(self, self.core)
        self._pump()

    def crash(self, why: str) -> None:
        """Stop between two instructions; queued writes meet their fate."""
        if self.core is None:
            return
        self.old_acks = list(self.core.writes_out)
        self.core = None
        self.paused = False
        self._inbox.clear()
        self._note(f"crashes ({why}); writes {self.disk.crash()}")

    def pause(self, paused: bool) -> None:
        """SIGSTOP and SIGCONT: messages wait, ticks are missed and only partly made up."""
        if self.core is None or paused == self.paused:
            return
        self.paused = paused
        self._note("pauses" if paused else "resumes")
        if not paused:
            # A client's read may be the first thing a resumed leader sees, before news of its successor.
            self._cluster.workload.read(self)
            inbox, self._inbox = self._inbox, []
            for message in inbox:
                self.deliver(message)
            missed, self._missed_ticks = self._missed_ticks, 0
            self.ticks(min(missed, self.config.heartbeat_ticks))

    # Input

    def run_clock(self) -> None:
        """Tick at this member's own rate, for ever; a stopped member misses its ticks."""
        self._cluster.scheduler.after(self.tick_us, self.run_clock)
        if self.paused:
            self._missed_ticks += 1
        elif self.core is not None:
            self.ticks(1)

    def ticks(self, count: int) -> None:
        """The clock advances; more than one is a jump."""
        for _ in range(count):
            if self.core is None:
                return
            try:
                self.core.tick()
            except InvariantBroken as error:
                raise Violation("core", f"{self.id}: {error}") from error
            self._pump()

    def deliver(self, message: Message) -> None:
        """A message arrives."""
        if self.core is None:
            return
        if self.paused:
            self._inbox.append(message)
            return
        core = self.core
        self._note(f"gets {brief(message)}")
        before = Before.of(core)
        try:
            core.step(message)
        except InvariantBroken as error:
            raise Violation("core", f"{self.id} on {brief(message)}: {error}") from error
        self._cluster.checker.on_step(self, core, message, before)
        self._pump()

    def _written(self, write: Write) -> None:
        if self.core is None or write.life != self.life or self.paused:
            # The next write's ack attests this one too, except when it was the last: hand it over on resume.
            if self.paused and self.core is not None and write.life == self.life:
                self._cluster.scheduler.after(5_000, self._written, write)
            return
        self._note(f"wrote {write.ack.number}")
        if write.ack.snapshot_index:
            self._restore(self.core, write.ack.snapshot_index)
        self.acknowledge(write.ack)

    def acknowledge(self, ack: WriteAck) -> None:
        """Give an ack to the core; faults give old ones again."""
        if self.core is None:
            return
        try:
            self.core.advance(ack)
        except InvariantBroken as error:
            raise Violation("core", f"{self.id}: {error}") from error
        self._pump()

    def _restore(self, core: Raft, index: int) -> None:
        snapshot = self.disk.snapshot
        pending = core.log.pending_snapshot
        if pending is not None and snapshot is not None and pending.index == index == snapshot.index:
            self.machine.load(snapshot)
            self._cluster.checker.on_restore(self, self.machine)

    def _disk_failed(self, reason: str) -> None:
        # A failed write may or may not be on the platter: nothing may be acknowledged, so the process ends.
        self.crash(reason)
        self._cluster.scheduler.after(self._random.randrange(200_000, 1_500_000), self.start)

    # Output

    def pump(self) -> None:
        """Do what the core asks for, after something was given to it from outside."""
        self._pump()

    def _pump(self) -> None:
        core = self.core
        checker = self._cluster.checker
        while core is not None and core.has_ready():
            ready = core.ready()
            self._do(core, ready)
            core = self.core
        if core is not None:
            checker.after(self, core)
        self._cluster.replacement.after()

    def _do(self, core: Raft, ready: Ready) -> None:
        cluster = self._cluster
        cluster.checker.on_ready(self, core, ready)
        for message in ready.messages:
            self._note(f"sends {brief(message)}")
            cluster.network.send(message)
        if ready.write_ack is not None:
            self.disk.submit(ready, ready.write_ack, self.life, core.ticks)
        for event in ready.events:
            self._note(describe(self.id, event, TICK_MS))
        for entry in ready.committed:
            self.machine.apply(entry)
            cluster.checker.on_apply(self, entry, self.machine)
            cluster.workload.on_apply(self, entry)
            cluster.replacement.on_apply(self, entry)
        for read in ready.read_states:
            cluster.workload.on_read(self, read)
        if ready.apply_ack is not None:
            core.advance(ready.apply_ack)
            self._compact(core)

    def _compact(self, core: Raft) -> None:
        base = core.log.snapshot.index if core.log.snapshot else 0
        if self.compact_every and self.machine.applied - base >= self.compact_every:
            term = core.log.term_at(self.machine.applied)
            assert term is not None, "the entry just applied is in the log"
            snapshot = Snapshot(self.machine.applied, term, self.config.members, self.machine.save())
            self.disk.compact(snapshot)
            core.compact(snapshot)

    def _note(self, what: str) -> None:
        self._cluster.trace.add(self.id, what)
