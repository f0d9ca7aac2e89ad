"""Reads and transfers: rules so small that larger scenarios mostly work without them."""

from __future__ import annotations

from service.raft.messages import (
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    ReadReply,
    ReadRequest,
    TimeoutNow,
)
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World


def test_reads_that_followers_ask_for_are_bounded_too_and_only_a_leader_takes_them(raft: RaftClass) -> None:
    world = World(3, raft, max_pending_reads=2)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n1")
    for number in range(4):
        core.step(ReadRequest("n2", "n1", core.term, b"%d" % number))
    assert len(core.pending_reads) == 2
    world.core("n2").step(ReadRequest("n3", "n2", core.term, b"r"))
    assert not world.core("n2").pending_reads
    assert not world.core("n2").postponed


def test_a_confirmation_is_believed_once_and_only_of_a_read_that_was_asked_for(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n2")
    core.read_index(b"r")
    for context in (b"r", b"r", b"never asked"):
        core.step(ReadReply("n1", "n2", core.term, context, 1))
    assert [read.context for read in core.ready().read_states] == [b"r"]


def test_who_loses_office_gives_up_every_read_and_tells_its_own(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n1")
    core.read_index(b"pending")
    core.step(ReadRequest("n2", "n1", core.term, b"of n2"))
    core.postponed = [(b"postponed", "n1"), (b"postponed of n2", "n2")]
    core.step(Heartbeat("n2", "n1", core.term + 1, 0, 0))
    assert (list(core.pending_reads), core.postponed, core.round_due) == ([], [], False)
    assert set(core.ready().reads_lost) == {b"pending", b"postponed"}


def test_a_second_transfer_has_its_own_time(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    world.cut("n1", "n2")
    core = world.core("n1")
    core.transfer_leadership("n1")
    assert not core.transferee, "it leads already"
    core.transfer_leadership("n2")
    world.tick("n1", ELECTION - 1)
    core.transfer_leadership("n2")
    assert core.transfer_ticks == ELECTION - 1, "asked again, it is the same transfer"
    core.transfer_leadership("n3")
    assert [core.transferee, core.transfer_ticks] == ["n3", 0]


def test_a_transfer_target_is_told_as_soon_as_it_has_caught_up(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n1")
    place = core.propose(b"a")
    core.transfer_leadership("n2")
    assert not [m for m in core.ready().messages if isinstance(m, TimeoutNow)]
    core.step(AppendReply("n2", "n1", core.term, place.index))
    assert [m.to for m in core.ready().messages if isinstance(m, TimeoutNow)] == ["n2"]


def test_an_older_confirmation_takes_no_round_back(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    core.step(HeartbeatReply("n2", "n1", core.term, 5))
    core.step(HeartbeatReply("n2", "n1", core.term, 3))
    assert core.peers["n2"].read_round == 5


def test_a_transfer_is_given_up_after_an_election_timeout_and_not_before(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    core.transfer_leadership("n2")
    for _ in range(ELECTION - 1):
        core.tick()
    assert core.transferee == "n2"
    core.tick()
    assert not core.transferee


def test_nobody_silent_is_handed_leadership(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    core.peers["n2"].silent_ticks = core.peers["n3"].silent_ticks = ELECTION
    assert core.best_transferee() == "n3"
    core.peers["n3"].silent_ticks = ELECTION + 1
    assert core.best_transferee() == "n2"
    core.peers["n2"].silent_ticks = ELECTION + 1
    assert core.best_transferee() is None
