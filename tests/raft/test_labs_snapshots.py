"""The snapshot behaviours that MIT 6.5840's Raft labs test: basic, install, unreliable, crash, init."""

from __future__ import annotations

import pytest

from service.raft.messages import InstallSnapshot
from tests.raft.test_labs import lossy
from tests.raft.world import ELECTION, RaftClass, World


def test_a_snapshot_shortens_the_log_and_changes_nothing_else(raft: RaftClass) -> None:
    world = World(3, raft, trailing_entries=0)
    world.elect("n1")
    for number in range(20):
        world.propose(b"%d" % number)
        if number % 5 == 4:
            for host in world.hosts.values():
                host.compact()
    assert all(len(world.core(node).log.entries) < 5 for node in world.hosts)
    world.agree(*(b"%d" % number for number in range(20)))


@pytest.mark.parametrize("loss", [0.0, 0.15])
@pytest.mark.parametrize("crash", [False, True])
def test_a_straggler_behind_the_compacted_log_gets_a_snapshot(loss: float, crash: bool, raft: RaftClass) -> None:
    """The labs' install-snapshot tests: disconnected or crashed, reliable or not."""
    world = World(3, raft, trailing_entries=0, snapshot_retry_ticks=ELECTION)
    world.elect("n1")
    world.propose(b"0")
    if crash:
        world.crash("n3")
    else:
        world.isolate("n3")
    for number in range(1, 15):
        world.propose(b"%d" % number)
    for node in ("n1", "n2"):
        world.hosts[node].compact()
    lossy(world, 21, loss)
    world.heal()
    if crash:
        world.restart("n3")
    world.run(6 * ELECTION)
    world.lose = lambda _message: False
    world.run(3 * ELECTION)
    assert world.of_type(InstallSnapshot)
    world.agree(*(b"%d" % number for number in range(15)))


def test_a_cluster_restarted_from_snapshots_alone_goes_on(raft: RaftClass) -> None:
    """The labs' snapshot-init test: the log is empty but its indexes are not."""
    world = World(3, raft, trailing_entries=0)
    world.elect_somebody()
    for number in range(6):
        world.propose(b"%d" % number)
    world.run(2)
    for host in world.hosts.values():
        host.compact()
    world.restart("n1", "n2", "n3")
    assert all(world.core(node).log.entries == [] for node in world.hosts)
    world.elect_somebody()
    world.propose(b"after")
    world.run(2)
    world.restart("n1", "n2", "n3")
    world.elect_somebody()
    world.run(ELECTION)
    world.agree(*(b"%d" % number for number in range(6)), b"after")
