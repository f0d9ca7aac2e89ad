"""ReadIndex (thesis §6.4) and leadership transfer (thesis §3.10)."""

from __future__ import annotations

import pytest

from service.raft.errors import BacklogFull, NotLeader, Transferring, UnknownMember
from service.raft.events import TransferAborted
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    HeartbeatReply,
    ReadRequest,
    TimeoutNow,
    VoteRequest,
)
from service.raft.ready import Role
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World


def _reads(world: World, node: str) -> list[tuple[bytes, int]]:
    return [(read.context, read.index) for read in world.hosts[node].reads]


def test_a_read_waits_for_a_round_of_heartbeats(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.core("n1").read_index(b"r")
    world.work("n1")
    assert _reads(world, "n1") == []
    world.deliver()
    assert _reads(world, "n1") == [(b"r", world.core("n1").log.commit)]


def test_a_deposed_leader_serves_no_read(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n1")
    world.elect("n2")
    world.propose(b"newer", "n2")
    world.core("n1").read_index(b"r")
    world.deliver()
    assert _reads(world, "n1") == []
    world.heal()
    world.run(2 * HEARTBEAT)
    assert _reads(world, "n1") == []
    assert world.hosts["n1"].reads_lost == [b"r"]


def test_a_read_that_is_not_urgent_causes_no_message_and_is_confirmed_by_the_next_heartbeats(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n1")
    core.read_index(b"r", is_urgent=False)
    core.read_index(b"s", is_urgent=False)
    assert not core.has_ready()
    world.run(HEARTBEAT)
    assert _reads(world, "n1") == [(b"r", core.log.commit), (b"s", core.log.commit)]


def test_an_urgent_read_takes_along_those_that_are_not(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.core("n1").read_index(b"can wait", is_urgent=False)
    world.core("n1").read_index(b"cannot")
    world.core("n1").read_index(b"can wait, too", is_urgent=False)
    world.work("n1")
    world.deliver()
    assert [context for context, _ in _reads(world, "n1")] == [b"can wait", b"cannot", b"can wait, too"]


def test_a_leader_without_followers_confirms_a_read_with_the_heartbeat_that_nobody_gets(raft: RaftClass) -> None:
    world = World(1, raft)
    world.elect("n1")
    world.core("n1").read_index(b"r", is_urgent=False)
    world.tick("n1", HEARTBEAT)
    assert _reads(world, "n1") == [(b"r", world.core("n1").log.commit)]


def test_a_read_is_not_confirmed_by_a_round_that_began_before_it(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    core.read_index(b"first")
    world.work("n1")
    beats = [message for message in world.queue if isinstance(message, Heartbeat)]
    world.queue.clear()
    core.read_index(b"second")
    core.read_index(b"third", is_urgent=False)
    core.step(HeartbeatReply("n2", "n1", core.term, beats[0].read_round))
    world.work("n1")
    assert [context for context, _ in _reads(world, "n1")] == [b"first"]


def test_a_heartbeat_reply_of_an_old_term_confirms_nothing(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    world.isolate("n1")
    core.read_index(b"r")
    world.work("n1")
    core.step(HeartbeatReply("n2", "n1", core.term - 1, 5))
    world.work("n1")
    assert _reads(world, "n1") == []


def test_a_new_leader_serves_no_read_before_its_own_terms_first_commit(raft: RaftClass) -> None:
    """n2 does not know that `a` is committed when it is elected, and must not answer as if it were not."""
    world = World(3, raft)
    world.elect("n1")
    world.lose = lambda message: isinstance(message, AppendReply) and message.to == "n1"
    world.propose(b"a")
    world.lose = lambda message: isinstance(message, AppendRequest | AppendReply)
    committed = world.core("n1").log.last
    world.isolate("n1")
    world.elect("n2")
    world.core("n2").read_index(b"r")
    world.deliver()
    assert _reads(world, "n2") == []
    world.lose = lambda _message: False
    world.run(2 * HEARTBEAT)
    [(context, index)] = _reads(world, "n2")
    assert context == b"r"
    assert index > committed


def test_a_follower_reads_through_its_leader(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    place = world.propose(b"a")
    world.core("n2").read_index(b"r")
    world.deliver()
    assert _reads(world, "n2") == [(b"r", place.index)]


def test_a_read_without_a_leader_is_refused(raft: RaftClass) -> None:
    with pytest.raises(NotLeader):
        World(3, raft).core("n1").read_index(b"r")


def test_a_forwarded_read_whose_messages_are_lost_is_given_up_and_leaves_no_trace(raft: RaftClass) -> None:
    world = World(3, raft, max_pending_reads=1)
    world.elect("n1")
    world.run(HEARTBEAT)
    world.lose = lambda message: isinstance(message, ReadRequest)
    world.core("n2").read_index(b"lost")
    world.run(ELECTION + 1)
    assert world.hosts["n2"].reads_lost == [b"lost"]
    world.lose = lambda _message: False
    world.core("n2").read_index(b"again")
    world.deliver()
    assert [context for context, _ in _reads(world, "n2")] == [b"again"]


def test_waiting_reads_are_bounded(raft: RaftClass) -> None:
    world = World(3, raft, max_pending_reads=2)
    world.elect("n1")
    world.core("n1").read_index(b"1")
    world.core("n1").read_index(b"2")
    with pytest.raises(BacklogFull):
        world.core("n1").read_index(b"3")


def test_many_reads_share_one_round(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.sent.clear()
    for number in range(100):
        world.core("n1").read_index(b"%d" % number)
    world.deliver()
    assert len(world.hosts["n1"].reads) == 100
    assert world.sent["Heartbeat"] == 2


def test_leadership_moves_to_the_named_member_without_waiting_for_a_timeout(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    world.run(HEARTBEAT)
    world.core("n1").transfer_leadership("n3")
    world.deliver()
    assert world.leaders() == ["n3"]
    world.propose(b"b")
    world.run(HEARTBEAT)
    world.agree(b"a", b"b")


def test_a_transfer_target_catches_up_before_it_is_told_to_campaign(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n3")
    for number in range(5):
        world.propose(b"%d" % number)
    world.core("n1").transfer_leadership("n3")
    world.deliver()
    assert world.of_type(TimeoutNow) == []
    world.heal()
    world.run(2 * HEARTBEAT)
    assert world.leaders() == ["n3"]


def test_proposals_are_refused_during_a_transfer_and_accepted_after_its_abort(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n3")
    world.core("n1").transfer_leadership("n3")
    with pytest.raises(Transferring):
        world.core("n1").propose(b"a")
    world.run(ELECTION + 1)
    assert any(isinstance(event, TransferAborted) for event in world.hosts["n1"].events)
    world.propose(b"b", "n1")
    assert world.hosts["n1"].machine == [b"b"]


def test_a_lost_timeout_now_is_repeated(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.lose = lambda message: isinstance(message, TimeoutNow)
    world.core("n1").transfer_leadership("n2")
    world.deliver()
    world.lose = lambda _message: False
    world.run(HEARTBEAT + 1)
    assert world.leaders() == ["n2"]


def test_a_transferred_campaign_is_not_stopped_by_the_leaders_own_defence(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    term = world.core("n1").term
    world.core("n1").transfer_leadership("n2")
    world.deliver()
    requests = [message for message in world.of_type(VoteRequest) if message.sender == "n2"]
    assert all(message.transfer for message in requests)
    assert world.core("n2").role is Role.LEADER
    assert world.core("n2").term == term + 1


def test_a_transfer_to_a_stranger_or_by_a_follower_is_refused(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    with pytest.raises(UnknownMember):
        world.core("n1").transfer_leadership("n9")
    with pytest.raises(NotLeader):
        world.core("n2").transfer_leadership("n3")


def test_the_best_transfer_target_is_the_most_complete_active_follower(raft: RaftClass) -> None:
    world = World(5, raft)
    world.elect("n1")
    world.isolate("n5")
    world.propose(b"a")
    world.cut("n1", "n4")
    world.propose(b"b")
    assert world.core("n1").best_transferee() in ("n2", "n3")
    world.run(2 * ELECTION)
    world.isolate("n2")
    assert world.core("n1").peer_states()["n5"].silent_ticks > ELECTION
