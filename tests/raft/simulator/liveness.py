"""After the chaos: faults end, or settle into a permanent one, and the cluster must work and stay calm."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from service.raft.messages import NodeId
from service.raft.ready import Proposed, Role
from tests.raft.simulator.invariants import Violation
from tests.raft.simulator.member import TICK_MS
from tests.raft.simulator.scheduler import MS

if TYPE_CHECKING:
    from tests.raft.simulator.cluster import Cluster
    from tests.raft.simulator.member import Member

CONVERGE_ELECTIONS = 40
"""Shortest election timeouts within which a cluster must serve again; a split vote is luck."""

FIND_ELECTIONS = 12
"""Shortest election timeouts within which what was lost is found without anything new being sent."""

CALM_ELECTIONS = 8
"""Shortest election timeouts during which nobody may start an election afterwards."""


def fault_for(random: Random, members: int) -> str:
    """Which permanent fault, if any, the liveness phase of a run has."""
    choices = ["heal", "heal"]
    if members >= 3:
        choices += ["deaf leader", "mute leader", "lost link"]
    if members == 5:
        choices += ["full omission", "full omission"]
    return random.choice(choices)


def settle(cluster: Cluster, fault: str) -> None:
    """End all passing faults, install the permanent one, and demand progress. Raises Violation."""
    cluster.trace.add("liveness", fault)
    cluster.network.heal()
    for member in cluster.members:
        member.disk.recover()
        member.tick_us = TICK_MS * 1000
        member.pause(False)
        member.start()
    _install(cluster, fault)
    election_us = cluster.members[0].config.election_ticks * TICK_MS * MS
    cluster.network.weather.drop = 0.3
    cluster.scheduler.run_until(cluster.scheduler.now + 2 * election_us)
    _find_what_was_lost(cluster, election_us)
    _converge(cluster, election_us, fault)
    _stay_calm(cluster, election_us, fault)
    if fault == "heal" and len(cluster.members) > 1 and not _unavailable(cluster):
        _hand_over(cluster, election_us)
    _keep_promises(cluster)


def _find_what_was_lost(cluster: Cluster, election_us: int) -> None:
    """What is lost in the last moment of bad weather is found missing by the core itself, not by the next command."""
    leader = cluster.workload.leader()
    if leader is not None:
        for _ in range(3):
            cluster.workload.propose(leader)
    term = cluster.checker.max_term
    cluster.scheduler.run_until(cluster.scheduler.now + TICK_MS * MS)
    cluster.network.weather.drop = 0.0
    behind: list[NodeId] = []
    # A follower with a long way to go may need one round for each entry.
    for _ in range(FIND_ELECTIONS):
        cluster.scheduler.run_until(cluster.scheduler.now + election_us)
        behind = _behind(cluster, leader, term)
        if not behind:
            return
    raise Violation("lost and not found", f"{behind} lack what the leader has committed")


def _behind(cluster: Cluster, leader: Member | None, term: int) -> list[NodeId]:
    """Who lacks what `leader` has committed; nobody once it leads no more or the term has changed."""
    if leader is None or leader.core is None or cluster.workload.leader() is not leader:
        return []
    log = leader.core.log
    if cluster.checker.max_term > term or log.commit < log.last:
        return []
    return [member.id for member in _reached(cluster, leader) if member.machine.applied < log.commit]


def _install(cluster: Cluster, fault: str) -> None:
    leader = cluster.workload.leader() or cluster.members[0]
    others = [member.id for member in cluster.members if member is not leader]
    permanent = cluster.network.permanent
    if _unavailable(cluster) and fault != "heal":
        # A refused disk already costs one member: another fault could cost the majority, which Raft does
        # not promise to survive.
        return
    if fault == "deaf leader":
        permanent.update((other, leader.id) for other in others)
    elif fault == "mute leader":
        permanent.update((leader.id, other) for other in others)
    elif fault == "lost link":
        permanent.update(((leader.id, others[0]), (others[0], leader.id)))
    elif fault == "full omission":
        permanent.update(omission_graph([member.id for member in cluster.members]))


def omission_graph(nodes: list[NodeId]) -> set[tuple[NodeId, NodeId]]:
    """Blocked directions of Howard and Abraham's five nodes (2020).

    1, 2 and 3 see each other, 4 sees only 2, and 5 sees only 3.
    """
    one, two, three, four, five = nodes
    linked = {(one, two), (one, three), (two, three), (two, four), (three, five)}
    return {
        (here, there)
        for here in nodes
        for there in nodes
        if here != there and (here, there) not in linked and (there, here) not in linked
    }


def _unavailable(cluster: Cluster) -> int:
    return sum(member.refused or member.lacks_disk for member in cluster.members)


def _reached(cluster: Cluster, leader: Member) -> list[Member]:
    return [
        member
        for member in cluster.members
        if member.core is not None and cluster.network.connected(leader.id, member.id)
    ]


def _converge(cluster: Cluster, election_us: int, fault: str) -> None:
    """A command proposed now must be applied by every member that its leader can talk with."""
    served_reads = cluster.workload.reads_served
    accepted: list[Proposed] = []

    def probe() -> None:
        leader = cluster.workload.leader()
        if leader is not None:
            proposed = cluster.workload.propose(leader)
            if proposed is not None:
                accepted.append(proposed)
            cluster.workload.read(leader)

    def done() -> bool:
        leader = cluster.workload.leader()
        if leader is None or leader.core is None or cluster.workload.reads_served == served_reads:
            return False
        core = leader.core
        reached = _reached(cluster, leader)
        return (
            len(reached) > len(cluster.members) // 2
            and bool(accepted)
            and accepted[-1].index <= core.log.commit
            and core.log.term_at(core.log.commit) == core.term
            and core.log.commit == core.log.last
            and all(member.machine.applied == core.log.commit for member in reached)
        )

    start = cluster.scheduler.now
    for attempt in range(4 * CONVERGE_ELECTIONS):
        probe()
        if cluster.scheduler.run_until(start + (attempt + 1) * election_us // 4, done):
            return
    states = [
        f"{member.id}:{member.core.role.value}/{member.core.term}/{member.machine.applied}"
        if member.core
        else f"{member.id}:down"
        for member in cluster.members
    ]
    raise Violation("liveness", f"after {fault} no progress in {CONVERGE_ELECTIONS} elections: {states}")


def _stay_calm(cluster: Cluster, election_us: int, fault: str) -> None:
    """With a leader in place no member may raise the term again, whoever it cannot hear."""
    # Members that had just begun to campaign when the leader won may finish doing so.
    cluster.scheduler.run_until(cluster.scheduler.now + 2 * election_us)
    term = cluster.checker.max_term
    cluster.scheduler.run_until(cluster.scheduler.now + CALM_ELECTIONS * election_us)
    if cluster.checker.max_term > term:
        raise Violation("thrashing terms", f"after {fault} the term rose from {term} to {cluster.checker.max_term}")
    leaders = [m.id for m in cluster.members if m.core is not None and m.core.role is Role.LEADER]
    if len(leaders) != 1:
        raise Violation("liveness", f"after {fault} the leaders are {leaders}")


def _hand_over(cluster: Cluster, election_us: int) -> None:
    """Leadership goes to whom it is given to, and stays if that one does not answer (thesis §3.10)."""
    old, target = _leader_and_another(cluster)
    assert old.core is not None
    old.core.transfer_leadership(target.id)
    old.pump()
    if not cluster.scheduler.run_until(
        cluster.scheduler.now + election_us, lambda: cluster.workload.leader() is target
    ):
        raise Violation("transfer", f"{target.id} did not take over from {old.id}")
    cluster.scheduler.run_until(cluster.scheduler.now + election_us)
    leader, silent = _leader_and_another(cluster)
    assert leader.core is not None
    silent.pause(True)
    cluster.workload.propose(leader)
    leader.core.transfer_leadership(silent.id)
    leader.pump()
    if cluster.workload.propose(leader) is not None:
        raise Violation("transfer", f"{leader.id} takes a command that {silent.id} may never get")
    cluster.scheduler.run_until(cluster.scheduler.now + 2 * election_us)
    if cluster.workload.propose(leader) is None:
        raise Violation("transfer", f"{leader.id} still waits for {silent.id} and takes no command")
    silent.pause(False)
    cluster.scheduler.run_until(cluster.scheduler.now + election_us)


def _leader_and_another(cluster: Cluster) -> tuple[Member, Member]:
    leader = cluster.workload.leader()
    if leader is None:
        raise Violation("liveness", "a calm cluster has lost its leader")
    return leader, next(member for member in cluster.members if member is not leader)


def _keep_promises(cluster: Cluster) -> None:
    """Every acknowledged command is committed where it was acknowledged, and stays on a majority of disks."""
    cluster.checker.at_end()
    for index, entry in cluster.workload.acknowledged.items():
        committed = cluster.checker.committed.get(index)
        if committed != entry:
            raise Violation("acknowledged", f"{entry} was acknowledged, but {committed} is committed")
