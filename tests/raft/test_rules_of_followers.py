"""Following, and what a Ready shows: rules so small that larger scenarios mostly work without them."""

from __future__ import annotations

from random import Random

from service.raft.messages import (
    AppendReply,
    AppendRequest,
    HardState,
    HeartbeatReply,
    InstallSnapshot,
    Snapshot,
    VoteReply,
)
from service.raft.ready import ApplyAck
from service.raft.state import Stored
from tests.raft.world import ELECTION, RaftClass, World, config, log_of

MEMBERS = ("n1", "n2", "n3")


def test_an_old_append_below_the_compacted_log_is_acknowledged_not_refused(raft: RaftClass) -> None:
    world = World(3, raft, trailing_entries=0)
    world.elect("n1")
    world.propose(b"a")
    world.propose(b"b")
    world.hosts["n2"].compact()
    core = world.core("n2")
    world.log_of_messages.clear()
    world.give(AppendRequest("n1", "n2", core.term, 1, core.term, (), 1))
    [reply] = world.of_type(AppendReply)
    assert (reply.rejected, reply.match) == (False, core.log.commit)


def test_the_sender_of_a_snapshot_is_the_leader_and_gets_an_acknowledgement(raft: RaftClass) -> None:
    world = World(3, raft)
    core = world.core("n1")
    world.tick("n1", ELECTION)
    world.give(InstallSnapshot("n2", "n1", 1, Snapshot(5, 1, MEMBERS)))
    assert (core.leader, core.election_elapsed) == ("n2", 0)
    assert world.of_type(AppendReply) == [AppendReply("n1", "n2", 1, 5)]


def test_a_snapshot_of_other_members_is_not_installed(raft: RaftClass) -> None:
    world = World(3, raft)
    world.give(InstallSnapshot("n2", "n1", 1, Snapshot(5, 1, ("n1", "n2", "n4"))))
    assert world.core("n1").log.last == 0
    assert world.of_type(AppendReply) == []


def test_an_answer_of_an_old_term_is_not_answered(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(5)))
    for message in (VoteReply("n2", "n1", 3, True), AppendReply("n2", "n1", 3, 0), HeartbeatReply("n2", "n1", 3, 0)):
        core.step(message)
    assert not core.has_ready()


def test_a_ready_taken_without_asking_carries_what_was_proposed(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    core.propose(b"a")
    assert [message.to for message in core.ready().messages if isinstance(message, AppendRequest)] == ["n2", "n3"]


def test_an_old_or_excessive_apply_ack_moves_nothing(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    core = world.core("n1")
    applied = core.log.applied
    core.advance(ApplyAck(applied + 5))
    core.advance(ApplyAck(0))
    assert core.log.applied == core.log.applying == applied


def test_a_snapshot_that_brings_nothing_is_acknowledged_all_the_same(raft: RaftClass) -> None:
    """Or the leader would send it again and again: one the commit index has passed, and one whose entry is held."""
    core = raft(config("n1", 3), Random(1), Stored(HardState(1, None, 2), None, log_of(1, 1, 1)))
    core.step(InstallSnapshot("n2", "n1", 1, Snapshot(1, 1, MEMBERS, b"1")))
    core.step(InstallSnapshot("n2", "n1", 1, Snapshot(3, 1, MEMBERS, b"1\n2\n3")))
    said = [(m.match, m.rejected) for m in core.ready().messages if isinstance(m, AppendReply)]
    assert said == [(2, False), (3, False)]
    assert core.log.commit == 3


def test_an_apply_ack_counts_no_further_than_it_says(raft: RaftClass) -> None:
    core = raft(config("n1", 3, max_apply_bytes=1), Random(1), Stored(HardState(1, None, 2), None, log_of(1, 1)))
    first, second = core.ready().apply_ack, core.ready().apply_ack
    assert (first, second) == (ApplyAck(1), ApplyAck(2))
    core.advance(ApplyAck(1))
    assert (core.log.applied, core.log.applying) == (1, 2)
