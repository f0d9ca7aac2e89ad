"""One run: build the world from a seed, let chaos reign, then demand order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from service.raft.config import Config
from service.raft.core import Raft
from service.raft.messages import Message, NodeId
from service.raft.state import Stored
from tests.raft.simulator import faults, liveness
from tests.raft.simulator.disk import Disk
from tests.raft.simulator.invariants import Checker, Violation
from tests.raft.simulator.member import Member
from tests.raft.simulator.network import Network
from tests.raft.simulator.replacement import Replacement
from tests.raft.simulator.scheduler import MS, Scheduler
from tests.raft.simulator.trace import Trace
from tests.raft.simulator.workload import Workload

CHAOS_US = 7_000 * MS

RaftFactory = Callable[[Config, Random, Stored], Raft]
DiskFactory = Callable[[Scheduler, Random], Disk]


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that determines a run."""

    seed: int
    members: int = 3
    keep: tuple[int, ...] | None = None
    """Which faults of the drawn schedule happen; None: all."""
    chaos_us: int = CHAOS_US
    crash_step: int | None = None
    """Crash a member right after this many steps, for the exhaustive crash test."""

    def command(self) -> str:
        """The one command that replays this run."""
        parts = [f"python -m tests.raft.simulator --seed {self.seed} --members {self.members}"]
        if self.keep is not None:
            parts.append("--keep " + (",".join(map(str, self.keep)) or "none"))
        if self.chaos_us != CHAOS_US:
            parts.append(f"--chaos-us {self.chaos_us}")
        if self.crash_step is not None:
            parts.append(f"--crash-step {self.crash_step}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed."""

    spec: Spec
    violation: Violation | None
    steps: int
    digest: str
    committed: int
    reads: int
    terms: int
    lines: tuple[str, ...]


class Cluster:
    """The world of one run."""

    def __init__(
        self, spec: Spec, raft: RaftFactory = Raft, disk: DiskFactory = Disk, *, keep_lines: bool = False
    ) -> None:
        self.spec = spec
        self.raft = raft
        self.scheduler = Scheduler()
        self.trace = Trace(self.scheduler, keep=keep_lines)
        self.network = Network(self.scheduler, self.stream("network"), self._deliver)
        self.members: list[Member] = []
        self.by_id: dict[NodeId, Member] = {}
        self.checker = Checker(lambda: self.members)
        self.workload = Workload(self, self.stream("workload"))
        self.replacement = Replacement(self)
        names = tuple(f"n{number + 1}" for number in range(spec.members))
        settings = self.stream("settings")
        for name in names:
            self._add(self._config(name, names, settings), disk)
        self.faults = faults.draw(self.stream("faults"), spec.members, CHAOS_US)
        self.ending = liveness.fault_for(self.stream("ending"), spec.members)

    def stream(self, name: str) -> Random:
        """A random stream of its own, so that one component's draws never shift another's."""
        return Random(f"{self.spec.seed}:{self.spec.members}:{name}")

    def _config(self, name: NodeId, names: tuple[NodeId, ...], settings: Random) -> Config:
        return Config(
            node=name,
            members=names,
            heartbeat_ticks=2,
            election_ticks=10,
            max_entry_bytes=64,
            max_message_bytes=settings.choice((64, 300, 2000)),
            max_inflight_messages=settings.choice((1, 2, 8)),
            max_uncommitted_bytes=settings.choice((400, 4000)),
            max_apply_bytes=settings.choice((1, 200, 4000)),
            trailing_entries=settings.choice((0, 3, 20)),
            snapshot_retry_ticks=12,
        )

    def _add(self, config: Config, make_disk: DiskFactory) -> None:
        name = config.node
        disk = make_disk(self.scheduler, self.stream(f"disk:{name}"))
        disk.on_replace = lambda old, new: self.checker.on_replace(name, old, new)
        disk.on_entry = lambda entry, state: self.checker.on_entry(name, entry, state)
        member = Member(self, config, disk, self.stream(f"member:{name}"))
        settings = self.stream(f"pace:{name}")
        member.tick_us = settings.randrange(40 * MS, 62 * MS)
        member.compact_every = settings.choice((0, 5, 15, 40))
        self.members.append(member)
        self.by_id[name] = member

    def _deliver(self, to: NodeId, message: Message) -> None:
        self.by_id[to].deliver(message)

    def run(self) -> None:
        """Chaos, then order. Raises Violation."""
        for member in self.members:
            member.start()
            self.scheduler.after(0, member.run_clock)
        keep = range(len(self.faults)) if self.spec.keep is None else self.spec.keep
        for number in keep:
            if self.faults[number].at_us < self.spec.chaos_us:
                self.scheduler.after(self.faults[number].at_us, faults.inject, self, self.faults[number])
        self.workload.run()
        self.scheduler.run_until(self.spec.chaos_us, self._crash_here)
        self.scheduler.run_until(self.spec.chaos_us)
        self.workload.running = False
        liveness.settle(self, self.ending)

    def _crash_here(self) -> bool:
        if self.scheduler.steps != self.spec.crash_step:
            return False
        # The member whose log is longest: most often the leader, always one with something to lose.
        member = max(self.members, key=lambda m: m.core.log.last if m.core else -1)
        member.crash("killed at this step")
        self.scheduler.after(30 * MS, member.start)
        return True


def simulate(spec: Spec, raft: RaftFactory = Raft, disk: DiskFactory = Disk, *, keep_lines: bool = False) -> Outcome:
    """Run one world to its end or to its first violation."""
    cluster = Cluster(spec, raft, disk, keep_lines=keep_lines)
    violation: Violation | None = None
    try:
        cluster.run()
    except Violation as found:
        violation = found
        cluster.trace.add("violation", str(found))
    digest = cluster.trace.digest()
    return Outcome(
        spec,
        violation,
        cluster.scheduler.steps,
        digest,
        cluster.checker.max_committed,
        cluster.workload.reads_served,
        cluster.checker.max_term,
        tuple(cluster.trace.lines),
    )
