"""Clients: they propose unique commands, read linearizably, and remember what they were promised."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from service.raft.core import Raft
from service.raft.errors import NotLeader, Refused
from service.raft.log import entry_bytes
from service.raft.messages import Entry, NodeId
from service.raft.ready import Proposed, ReadState, Role
from tests.raft.simulator.invariants import Violation
from tests.raft.simulator.scheduler import MS

if TYPE_CHECKING:
    from tests.raft.simulator.cluster import Cluster
    from tests.raft.simulator.member import Member


class Workload:
    """Open-loop clients that try any member and follow its advice about the leader once."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.acknowledged: dict[int, Entry] = {}
        self.reads_served = 0
        self.running = True
        self._cluster = cluster
        self._random = random
        self._commands = 0
        self._reads = 0
        self._waiting: dict[tuple[NodeId, int], deque[tuple[Proposed, bytes]]] = {}
        self._floors: dict[bytes, int] = {}

    def run(self) -> None:
        """One client action, and the next one scheduled."""
        if not self.running:
            return
        self._cluster.scheduler.after(self._random.randrange(4 * MS, 60 * MS), self.run)
        member = self._random.choice(self._cluster.members)
        luck = self._random.random()
        if luck < 0.1:
            self.read(member)
        elif luck < 0.25:
            # A deposed leader that does not know it yet is where a stale read would come from.
            for other in self._cluster.members:
                if other.core is not None and other.core.role is Role.LEADER:
                    self.read(other)
        else:
            for _ in range(self._random.randrange(1, 12) if luck > 0.95 else 1):
                self.propose(member)

    def propose(self, member: Member, command: bytes = b"") -> Proposed | None:
        """Propose a command (default: a unique one) at `member`, or at the leader it names; None if refused."""
        core = member.core
        if core is None or member.paused:
            return None
        self._commands += 1
        data = command or b"c%d" % self._commands
        try:
            proposed = core.propose(data)
        except NotLeader as refusal:
            leader = self._cluster.by_id.get(refusal.leader or "")
            if leader is None or leader is member or leader.core is None or leader.paused:
                return None
            member, core = leader, leader.core
            try:
                proposed = core.propose(data)
            except Refused:
                return None
        except Refused:
            return None
        self._check_backlog(core)
        waiting = self._waiting.setdefault((member.id, member.life), deque())
        waiting.append((proposed, data))
        self._cluster.trace.add(member.id, f"proposes {data.decode()} at {proposed.index}/{proposed.term}")
        member.pump()
        return proposed

    def _check_backlog(self, core: Raft) -> None:
        waiting = sum(map(entry_bytes, core.log.entries[core.log.commit - core.log.base : -1]))
        if waiting > core.config.max_uncommitted_bytes:
            raise Violation("backlog", f"{core.id} accepts a command while {waiting} bytes wait")

    def on_apply(self, member: Member, entry: Entry) -> None:
        """A member applied an entry: whoever proposed it there now knows its outcome."""
        waiting = self._waiting.get((member.id, member.life))
        while waiting and waiting[0][0].index <= entry.index:
            proposed, data = waiting.popleft()
            if proposed.index == entry.index and proposed.term == entry.term:
                if entry.data != data:
                    raise Violation("acknowledged", f"{data!r} was acknowledged as {entry}")
                self.acknowledged[entry.index] = entry

    def read(self, member: Member) -> None:
        """Ask for a linearizable read: it must see everything committed by now."""
        if member.core is None or member.paused:
            return
        self._reads += 1
        context = b"r%d" % self._reads
        self._floors[context] = self._cluster.checker.max_committed
        try:
            member.core.read_index(context, is_urgent=self._reads % 4 != 0)
        except Refused:
            return
        self._cluster.trace.add(member.id, f"reads {context.decode()}")
        member.pump()

    def on_read(self, member: Member, read: ReadState) -> None:
        """A read is permitted; one that could miss an acknowledged command is stale."""
        floor = self._floors[read.context]
        if read.index < floor:
            raise Violation(
                "linearizable read",
                f"{member.id} may serve {read.context!r} at {read.index}, but {floor} was committed before",
            )
        self.reads_served += 1

    def leader(self) -> Member | None:
        """The running leader of the highest term, if any."""
        leaders = [
            (member.core.term, member)
            for member in self._cluster.members
            if member.core is not None and not member.paused and member.core.role is Role.LEADER
        ]
        return max(leaders, key=lambda pair: pair[0])[1] if leaders else None
