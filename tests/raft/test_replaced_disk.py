"""A member whose disk the cluster declared lost: the leader believes nothing the old one said."""

from __future__ import annotations

from service.raft.messages import AppendRequest
from service.raft.ready import Role
from service.raft.state import Stored
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World


def _replace_disk(world: World, node: str) -> None:
    world.crash(node)
    world.hosts[node].stored = Stored()
    world.core(world.leader()).report_disk_replaced(node)


def test_a_replaced_disk_is_filled_anew_and_told_of_no_commit_only_the_old_one_had(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    world.run(HEARTBEAT)
    _replace_disk(world, "n3")
    world.restart("n3")
    world.run(3 * HEARTBEAT)
    world.agree(b"a")


def test_what_the_old_disk_acknowledged_does_not_count_for_commitment(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n2")
    world.hosts["n1"].disk_held = True
    place = world.propose(b"a")
    assert world.core("n1").peers["n3"].match == place.index
    _replace_disk(world, "n3")
    world.hosts["n1"].write_all()
    assert world.core("n1").log.commit < place.index, "it is on one disk only"
    world.restart("n3")
    world.run(3 * HEARTBEAT)
    assert world.core("n1").log.commit == place.index


def test_a_replaced_disk_is_looked_for_with_an_empty_request(raft: RaftClass) -> None:
    """It has nothing, so whatever a first request carried would be refused and sent again."""
    world = World(3, raft)
    world.elect("n1")
    place = world.propose(b"a")
    world.core("n1").report_disk_replaced("n3")
    [asked] = [message for message in world.core("n1").ready().messages if isinstance(message, AppendRequest)]
    assert (asked.to, asked.prev_index, asked.entries) == ("n3", place.index, ())


def test_a_replaced_disk_is_no_sign_of_life(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    world.isolate("n1")
    world.tick("n1", ELECTION - 1)
    world.core("n1").report_disk_replaced("n3")
    world.tick("n1", 3)
    assert world.core("n1").role is Role.FOLLOWER


def test_only_a_leader_has_anything_to_forget(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.core("n2").report_disk_replaced("n3")
    world.core("n1").report_disk_replaced("n1")
    assert world.core("n2").peers == {}
    assert set(world.core("n1").peers) == {"n2", "n3"}
