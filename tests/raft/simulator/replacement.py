"""An operator who replaces a lost disk, step by step as docs/explanation/raft-operation.md says: the cluster decides
without the member, every other member learns of it, and only then the member comes back with an empty disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.raft.messages import Entry
from tests.raft.simulator.scheduler import MS

if TYPE_CHECKING:
    from tests.raft.simulator.cluster import Cluster
    from tests.raft.simulator.member import Member

ASK_AGAIN_US = 300 * MS


class Replacement:
    """At most one disk is being replaced at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self.of: Member | None = None
        self.done = 0
        self._cluster = cluster
        self._decided_at = 0

    def begin(self, member: Member) -> None:
        """`member` loses its disk, unless the cluster has too few others that work."""
        damaged = [other for other in self._cluster.members if other.refused or other.disk.damaged is not None]
        if self.of is not None or damaged or len(self._cluster.members) == 1:
            return
        member.crash("its disk is lost")
        member.lacks_disk = True
        self.of = member
        self._decided_at = 0
        self._ask()

    def _ask(self) -> None:
        """Propose the decision until one is committed."""
        leader = self._cluster.workload.leader()
        if self.of is None or self._decided_at:
            return
        if leader is not None:
            self._cluster.workload.propose(leader, self._command(self.of))
        self._cluster.scheduler.after(ASK_AGAIN_US, self._ask)

    def _command(self, member: Member) -> bytes:
        return f"replace {member.id} after {self.done}".encode()

    def on_apply(self, member: Member, entry: Entry) -> None:
        """A member learns that the disk is lost: it hears the old one no more, and forgets what it acknowledged."""
        if self.of is None or member.core is None or entry.data != self._command(self.of):
            return
        self._decided_at = self._decided_at or entry.index
        self._cluster.network.forget_disk(self.of.id, member.id)
        member.core.report_disk_replaced(self.of.id)
        self._cluster.checker.on_disk_lost(member, self.of.id)

    def after(self) -> None:
        """Once all others show the decision, whether from the log or in a snapshot, the new disk is put in."""
        if self.of is None or not self._decided_at:
            return
        others = [member for member in self._cluster.members if member is not self.of]
        if any(member.core is None or member.machine.applied < self._decided_at for member in others):
            return
        member, self.of = self.of, None
        self.done += 1
        for other in others:
            self._cluster.network.forget_disk(member.id, other.id)
        self._cluster.network.new_disk(member.id)
        self._cluster.checker.on_new_disk(member)
        member.disk.wipe()
        member.lacks_disk = False
        self._cluster.trace.add(member.id, "has a new disk")
        # Not from within the step of another member.
        self._cluster.scheduler.after(1 * MS, member.start)
