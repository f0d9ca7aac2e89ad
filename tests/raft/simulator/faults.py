"""The schedule of faults: drawn whole before the run, so that shrinking can leave some out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from service.raft.errors import Refused
from service.raft.messages import NodeId
from service.raft.ready import Role
from tests.raft.simulator.disk import Tear
from tests.raft.simulator.network import Weather
from tests.raft.simulator.scheduler import MS

if TYPE_CHECKING:
    from tests.raft.simulator.cluster import Cluster


STORMS = 0.2
"""Share of schedules that do nothing but depose leaders in the middle of replication."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `kind` at `at_us` to member `who` (and `other`), for `lasts_us`, of severity `amount`."""

    at_us: int
    kind: str
    who: int
    other: int
    lasts_us: int
    amount: float

    def __str__(self) -> str:
        return (
            f"{self.at_us / 1e6:.3f}s {self.kind} n{self.who + 1} n{self.other + 1} "
            f"for {self.lasts_us / 1e6:.3f}s amount {self.amount:.2f}"
        )


def draw(random: Random, members: int, length_us: int) -> tuple[Fault, ...]:
    """A schedule for a chaos phase of `length_us`, ordered by time."""
    mood = [kind for kind in KINDS if random.random() < 0.5] or ["crash_leader"]
    count = random.randrange(4, 22)
    if random.random() < STORMS:
        # Quick changes of leaders, each with a tail nobody else has: the histories of figures 7 and 8.
        mood, count = ["uneven_logs", "uneven_logs", "crash_leader", "isolate_leader"], 28
    faults = [
        Fault(
            random.randrange(length_us),
            random.choice(mood),
            random.randrange(members),
            random.randrange(members),
            random.randrange(50 * MS, 2500 * MS),
            random.random(),
        )
        for _ in range(count)
    ]
    return tuple(sorted(faults, key=lambda fault: fault.at_us))


def inject(cluster: Cluster, fault: Fault) -> None:
    """Make it happen."""
    cluster.trace.add("fault", str(fault))
    KINDS[fault.kind](cluster, fault)


def _crash(cluster: Cluster, fault: Fault) -> None:
    member = cluster.members[fault.who]
    member.crash("killed")
    cluster.scheduler.after(fault.lasts_us, member.start)


def _leader_or(cluster: Cluster, who: int) -> int:
    leader = cluster.workload.leader()
    return cluster.members.index(leader) if leader else who


def _crash_leader(cluster: Cluster, fault: Fault) -> None:
    member = cluster.members[_leader_or(cluster, fault.who)]
    member.crash("killed leader")
    cluster.scheduler.after(fault.lasts_us, member.start)


def _crash_all(cluster: Cluster, fault: Fault) -> None:
    for member in cluster.members:
        member.crash("power cut")
        cluster.scheduler.after(fault.lasts_us // 4, member.start)


def _quick_restart(cluster: Cluster, fault: Fault) -> None:
    member = cluster.members[fault.who]
    member.crash("restarted")
    cluster.scheduler.after(2 * MS, member.start)


def _pause(cluster: Cluster, fault: Fault) -> None:
    who = _leader_or(cluster, fault.who) if fault.amount < 0.5 else fault.who
    member = cluster.members[who]
    member.pause(True)
    cluster.scheduler.after(fault.lasts_us, member.pause, False)


def _links(cluster: Cluster, inside: Sequence[NodeId], both: bool) -> list[tuple[NodeId, NodeId]]:
    outside = [member.id for member in cluster.members if member.id not in inside]
    links = [(one, other) for one in inside for other in outside]
    return links + [(other, one) for one, other in links] if both else links


def _partition(cluster: Cluster, fault: Fault) -> None:
    size = len(cluster.members)
    picked = {fault.who, fault.other} if fault.amount < 0.6 else {fault.who}
    inside = [cluster.members[index].id for index in sorted(picked)]
    if len(inside) < size:
        cluster.network.cut(_links(cluster, inside, both=True), fault.lasts_us)


def _isolate_leader(cluster: Cluster, fault: Fault) -> None:
    node = cluster.members[_leader_or(cluster, fault.who)].id
    cluster.network.cut(_links(cluster, [node], both=True), fault.lasts_us)


def _deaf_leader(cluster: Cluster, fault: Fault) -> None:
    node = cluster.members[_leader_or(cluster, fault.who)].id
    links = [(other, one) for one, other in _links(cluster, [node], both=False)]
    cluster.network.cut(links, fault.lasts_us)


def _mute_leader(cluster: Cluster, fault: Fault) -> None:
    node = cluster.members[_leader_or(cluster, fault.who)].id
    cluster.network.cut(_links(cluster, [node], both=False), fault.lasts_us)


def _one_link(cluster: Cluster, fault: Fault) -> None:
    one, other = cluster.members[fault.who].id, cluster.members[fault.other].id
    links = [(one, other)] if fault.amount < 0.5 else [(one, other), (other, one)]
    cluster.network.cut(links, fault.lasts_us)


def _weather(cluster: Cluster, fault: Fault) -> None:
    rough = fault.amount
    cluster.network.weather = Weather(
        drop=0.4 * rough * rough,
        duplicate=0.3 * rough,
        straggle=0.1 * rough,
        delay_us=(1 * MS, int((5 + 200 * rough) * MS)),
    )


def _calm(cluster: Cluster, _fault: Fault) -> None:
    cluster.network.weather = Weather()


def _replay(cluster: Cluster, fault: Fault) -> None:
    cluster.network.replay(int(80 * fault.amount))


def _misdeliver(cluster: Cluster, fault: Fault) -> None:
    cluster.network.misdeliver(int(40 * fault.amount))


def _lonely_campaign(cluster: Cluster, fault: Fault) -> None:
    """A member that was told to take over, and cut off at that moment, comes back with a newer term."""
    member = cluster.members[fault.who]
    core = member.core
    if core is None or member.paused or core.role is Role.LEADER or not core.may_campaign():
        return
    cluster.network.cut(_links(cluster, [member.id], both=True), fault.lasts_us)
    core.start_election(transfer=True)
    member.pump()


def _hang_disk(cluster: Cluster, fault: Fault) -> None:
    who = _leader_or(cluster, fault.who) if fault.amount < 0.5 else fault.who
    cluster.members[who].disk.hung_until = cluster.scheduler.now + 2 * fault.lasts_us


def _fail_disk(cluster: Cluster, fault: Fault) -> None:
    cluster.members[fault.who].disk.failing = "EIO" if fault.amount < 0.5 else "ENOSPC"


def _tear_write(cluster: Cluster, fault: Fault) -> None:
    for member in cluster.members if fault.amount < 0.5 else [cluster.members[fault.who]]:
        member.disk.tear = Tear.NEW_TERM if fault.amount < 0.7 else Tear.ANY


def _slow_acks(cluster: Cluster, fault: Fault) -> None:
    cluster.members[fault.who].disk.slow_acks_until = cluster.scheduler.now + fault.lasts_us


def _old_acks(cluster: Cluster, fault: Fault) -> None:
    member = cluster.members[fault.who]
    for ack in list(member.old_acks):
        member.acknowledge(ack)


def _flip(cluster: Cluster, fault: Fault) -> None:
    """Damage is silent until a restart; a majority of disks always stays readable."""
    lost = [m for m in cluster.members if m.refused or m.lacks_disk or m.disk.damaged is not None]
    member = cluster.members[fault.who]
    if member in lost or len(lost) < (len(cluster.members) - 1) // 2:
        index = member.disk.flip()
        cluster.trace.add(member.id, f"bit flip in entry {index}")
        member.crash("killed after a bit flip")
        cluster.scheduler.after(fault.lasts_us // 4, member.start)


def _replace_disk(cluster: Cluster, fault: Fault) -> None:
    """Of anyone, or of the follower that a leader counts most on, as soon as there is one."""
    if not cluster.workload.running:
        return  # it waited beyond the chaos: with a permanent fault the decision might never find a majority
    leader = cluster.workload.leader()
    matches = leader.core.peer_states() if leader is not None and leader.core is not None else {}
    counted_on = max(matches, key=lambda node: (matches[node].match, node), default=None)
    if fault.amount < 0.3:
        cluster.replacement.begin(cluster.members[fault.who])
    elif counted_on is not None and matches[counted_on].match:
        cluster.replacement.begin(cluster.by_id[counted_on])
    else:
        cluster.scheduler.after(100 * MS, _replace_disk, cluster, fault)


def _clock_jump(cluster: Cluster, fault: Fault) -> None:
    member = cluster.members[fault.who]
    if not member.paused:
        member.ticks(int(fault.amount * 25))


def _tick_rate(cluster: Cluster, fault: Fault) -> None:
    cluster.members[fault.who].tick_us = int((25 + 75 * fault.amount) * MS)


def _transfer(cluster: Cluster, fault: Fault) -> None:
    leader = cluster.workload.leader()
    if leader is not None and leader.core is not None:
        try:
            leader.core.transfer_leadership(cluster.members[fault.other].id)
        except Refused:
            return
        leader.pump()


def _uneven_logs(cluster: Cluster, fault: Fault) -> None:
    """A leader that takes commands nobody else gets: the raw material of figures 7 and 8."""
    leader = cluster.workload.leader()
    if leader is not None and leader.core is not None and leader.core.role is Role.LEADER:
        keep = cluster.members[fault.other].id if fault.amount < 0.5 else leader.id
        cluster.network.cut(_links(cluster, sorted({leader.id, keep}), both=True), fault.lasts_us)
        for _ in range(3):
            cluster.workload.propose(leader)
        if fault.amount < 0.3:
            leader.crash("killed with entries nobody has")
            cluster.scheduler.after(fault.lasts_us, leader.start)


KINDS: dict[str, Callable[[Cluster, Fault], None]] = {
    "crash": _crash,
    "crash_leader": _crash_leader,
    "crash_all": _crash_all,
    "quick_restart": _quick_restart,
    "pause": _pause,
    "partition": _partition,
    "isolate_leader": _isolate_leader,
    "deaf_leader": _deaf_leader,
    "mute_leader": _mute_leader,
    "one_link": _one_link,
    "weather": _weather,
    "calm": _calm,
    "replay": _replay,
    "misdeliver": _misdeliver,
    "lonely_campaign": _lonely_campaign,
    "hang_disk": _hang_disk,
    "fail_disk": _fail_disk,
    "tear_write": _tear_write,
    "slow_acks": _slow_acks,
    "old_acks": _old_acks,
    "flip": _flip,
    "replace_disk": _replace_disk,
    "clock_jump": _clock_jump,
    "tick_rate": _tick_rate,
    "transfer": _transfer,
    "uneven_logs": _uneven_logs,
}
