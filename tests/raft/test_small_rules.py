"""Rules so small that larger scenarios mostly work without them: each is tested alone."""

from __future__ import annotations

from random import Random

import pytest

from service.raft.errors import BacklogFull, InvariantBroken
from service.raft.events import BecameLeader, StartedElection, StartedPreVote, Why
from service.raft.log import ENTRY_OVERHEAD_BYTES, entry_bytes
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    Snapshot,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from service.raft.progress import Mode
from service.raft.ready import ApplyAck, Role, SoftState
from service.raft.state import Stored
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World, config, log_of

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


def test_a_vote_request_of_an_old_term_gets_the_newer_one_as_answer(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(5, None)))
    core.step(VoteRequest("n2", "n1", 3, 9, 3))
    assert core.ready().messages == (VoteReply("n1", "n2", 5, granted=False),)


def test_a_pre_vote_granted_for_another_term_does_not_count(raft: RaftClass) -> None:
    world = World(3, raft)
    world.campaign("n1")
    core = world.core("n1")
    core.step(PreVoteReply("n2", "n1", core.term + 2, granted=True))
    assert core.role is Role.PRE_CANDIDATE


def test_a_pre_candidate_that_a_majority_refuses_gives_up_at_once(raft: RaftClass) -> None:
    world = World(3, raft)
    world.campaign("n1")
    core = world.core("n1")
    core.step(PreVoteReply("n2", "n1", core.term, granted=False))
    assert core.soft_state().role is Role.PRE_CANDIDATE
    core.step(PreVoteReply("n3", "n1", core.term, granted=False))
    assert core.soft_state().role is Role.FOLLOWER


def test_a_lost_vote_request_costs_a_heartbeat_not_an_election_timeout(raft: RaftClass) -> None:
    world = World(3, raft)
    world.core("n1").start_election()
    world.work("n1")
    world.queue.clear()
    world.run(HEARTBEAT + 1)
    assert world.leaders() == ["n1"]


def test_a_leader_elected_late_in_its_own_timeout_is_defended_by_itself(raft: RaftClass) -> None:
    world = World(3, raft)
    world.core("n1").start_election()
    world.core("n1").election_elapsed = ELECTION
    world.deliver()
    core = world.core("n1")
    assert core.role is Role.LEADER
    core.step(VoteRequest("n3", "n1", core.term + 5, 100, core.term))
    assert core.role is Role.LEADER


# Campaigning


def test_a_member_whose_disk_hangs_does_not_campaign_and_says_that_it_knows_no_leader(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored())
    core.step(Heartbeat("n2", "n1", 1, 0, 0))
    assert core.ready().soft_state == SoftState(Role.FOLLOWER, 1, "n2")
    for _ in range(3 * ELECTION):
        core.tick()
    assert core.has_ready(), "for the change of leader alone"
    ready = core.ready()
    assert ready.soft_state == SoftState(Role.FOLLOWER, 1, None)
    assert (ready.messages, ready.events) == ((), ())
    assert core.ready().soft_state is None, "it is told once"


def test_a_member_that_is_installing_a_snapshot_does_not_take_over(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored())
    core.step(InstallSnapshot("n2", "n1", 1, Snapshot(5, 1, MEMBERS)))
    core.step(TimeoutNow("n2", "n1", 1))
    assert core.role is Role.FOLLOWER


def test_only_a_follower_takes_over_and_only_from_its_own_leader(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(1, None, 0)))
    core.step(TimeoutNow("n2", "n1", 1))
    assert core.role is Role.FOLLOWER, "n2 is not known to lead"
    core.step(Heartbeat("n3", "n1", 1, 0, 0))
    core.step(TimeoutNow("n2", "n1", 1))
    assert core.role is Role.FOLLOWER, "n3 leads"
    core.start_election()
    core.leader = "n3"
    core.step(TimeoutNow("n3", "n1", 2))
    assert (core.role, core.term) == (Role.CANDIDATE, 2), "it campaigns already"


def test_a_member_that_takes_over_starts_afresh(raft: RaftClass) -> None:
    """Its own timer may have been nearly out, and its forwarded reads were asked of a leader that is no more."""
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n2")
    core.read_index(b"r")
    world.tick("n2", ELECTION)
    core.step(TimeoutNow("n1", "n2", core.term))
    assert (core.role, core.leader, core.election_elapsed) == (Role.CANDIDATE, None, 0)
    assert core.forwarded == {}
    assert core.ready().reads_lost == (b"r",)


def test_a_read_forwarded_to_a_leader_that_fell_silent_is_lost_when_the_search_begins(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n2")
    while core.election_elapsed < core.timeout_ticks - 1:
        core.tick()
    core.read_index(b"r")
    core.tick()
    assert core.role is Role.PRE_CANDIDATE
    assert core.ready().reads_lost == (b"r",)


def test_only_those_who_have_not_answered_are_asked_again(raft: RaftClass) -> None:
    world = World(5, raft)
    world.campaign("n1")
    core = world.core("n1")
    core.step(PreVoteReply("n2", "n1", core.term, granted=False))
    core.ready()
    for _ in range(HEARTBEAT):
        core.tick()
    assert {message.to for message in core.ready().messages} == {"n3", "n4", "n5"}
    core.start_election()
    world.work("n1")
    core.step(VoteReply("n2", "n1", core.term, granted=False))
    world.queue.clear()
    world.tick("n1", HEARTBEAT)
    assert {message.to for message in world.queue} == {"n3", "n4", "n5"}


def test_a_candidate_with_a_slow_disk_does_not_pile_up_requests(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored())
    core.start_election()
    core.ready()
    waiting = len(core.held)
    for _ in range(4 * HEARTBEAT):
        core.tick()
    assert len(core.held) == waiting


def test_a_candidate_that_a_majority_refuses_gives_up_at_once(raft: RaftClass) -> None:
    world = World(3, raft)
    core = world.core("n1")
    core.start_election()
    world.work("n1")
    core.step(VoteReply("n2", "n1", core.term, granted=False))
    assert core.soft_state().role is Role.CANDIDATE
    core.step(VoteReply("n3", "n1", core.term, granted=False))
    assert core.soft_state().role is Role.FOLLOWER


def test_an_operator_reads_whether_a_leader_was_ever_heard(raft: RaftClass) -> None:
    world = World(3, raft)
    world.campaign("n1")
    world.elect("n1")
    world.run(HEARTBEAT)
    world.crash("n1")
    world.campaign("n2")
    [first] = [event for event in world.hosts["n1"].events if isinstance(event, StartedPreVote)]
    later = [event for event in world.hosts["n2"].events if isinstance(event, StartedPreVote)][-1]
    assert (first.why, first.lost_leader) == (Why.NO_LEADER, None)
    assert (later.why, later.lost_leader) == (Why.LEADER_SILENT, "n1")


# Voting


def test_nobody_gets_a_vote_in_a_term_whose_leader_is_known(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored())
    core.step(Heartbeat("n2", "n1", 4, 0, 0))
    core.step(VoteRequest("n3", "n1", 4, 9, 4, transfer=True))
    assert core.vote is None


def test_a_pre_vote_is_refused_to_a_log_that_could_not_win(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(2), None, log_of(1, 2)))
    core.step(PreVoteRequest("n2", "n1", 3, 9, 1))
    core.step(PreVoteRequest("n3", "n1", 3, 2, 2))
    said = core.ready().messages
    assert said == (PreVoteReply("n1", "n2", 2, granted=False), PreVoteReply("n1", "n3", 3, granted=True))


def test_a_vote_gives_its_candidate_time_to_win(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(1)))
    for _ in range(ELECTION):
        core.tick()
    core.step(VoteRequest("n2", "n1", 1, 0, 0))
    assert core.election_elapsed == 0


def test_a_repeated_vote_request_costs_no_second_write(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(1)))
    core.step(VoteRequest("n2", "n1", 1, 0, 0))
    ack = core.ready().write_ack
    assert ack is not None
    core.advance(ack)
    core.step(VoteRequest("n2", "n1", 1, 0, 0))
    ready = core.ready()
    assert ready.write_ack is None
    assert ready.messages.count(VoteReply("n1", "n2", 1, granted=True)) == 2


# Following


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


# What a Ready shows


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


# The backlog


def test_an_empty_backlog_takes_any_legal_entry_and_another_may_fill_it_exactly(raft: RaftClass) -> None:
    world = World(3, raft, max_entry_bytes=100, max_uncommitted_bytes=100)
    world.elect("n1")
    world.propose(b"x" * 100)
    world.isolate("n1")
    core = world.core("n1")
    core.propose(b"x" * (50 - ENTRY_OVERHEAD_BYTES))
    core.propose(b"x" * (50 - ENTRY_OVERHEAD_BYTES))
    with pytest.raises(BacklogFull):
        core.propose(b"")


def test_a_new_leader_counts_what_it_inherits_and_commits_give_back_exactly_that(raft: RaftClass) -> None:
    world = World(3, raft, max_entry_bytes=100, max_uncommitted_bytes=200)
    world.elect("n1")
    world.isolate("n1")
    while True:
        try:
            world.propose(b"x" * 20, "n1")
        except BacklogFull:
            break
    world.restart("n1")
    world.heal()
    world.core("n1").start_election()
    world.work("n1")
    core = world.core("n1")
    for voter in ("n2", "n3"):
        core.step(VoteReply(voter, "n1", core.term, granted=True))
    tail = sum(map(entry_bytes, core.log.entries[core.log.commit - core.log.base :]))
    assert core.uncommitted_bytes == tail > 100
    world.work("n1")
    core.step(AppendReply("n2", "n1", core.term, core.log.last))
    assert core.log.commit == core.log.last
    assert core.uncommitted_bytes == 0


def test_a_commit_gives_back_only_what_it_commits(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n1")
    first = world.propose(b"a", "n1")
    world.propose(b"bb", "n1")
    core = world.core("n1")
    core.step(AppendReply("n2", "n1", core.term, first.index))
    assert core.log.commit == first.index
    assert core.uncommitted_bytes == 2 + ENTRY_OVERHEAD_BYTES


def test_one_ready_fills_a_followers_whole_window(raft: RaftClass) -> None:
    world = World(3, raft, max_inflight_messages=3, max_entry_bytes=64, max_message_bytes=64)
    world.elect("n1")
    core = world.core("n1")
    for number in range(5):
        core.propose(b"%d" % number)
    sent = [message for message in core.ready().messages if isinstance(message, AppendRequest) and message.to == "n2"]
    assert [len(message.entries) for message in sent] == [1, 1, 1]


def test_a_leader_that_compacted_entries_and_has_no_snapshot_stops(raft: RaftClass) -> None:
    world = World(3, raft, trailing_entries=0)
    world.elect("n1")
    world.isolate("n3")
    world.propose(b"a")
    world.hosts["n1"].compact()
    world.core("n1").log.snapshot = None
    world.core("n1").report_unreachable("n3")
    world.heal()
    with pytest.raises(InvariantBroken, match="there is no snapshot"):
        world.run(4 * HEARTBEAT)


# Reads


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
    assert set(core.ready().reads_lost) == {b"pending", b"postponed"}
    assert (list(core.pending_reads), core.postponed, core.round_due, core.read_round) == ([], [], False, 0)


# Roles


def test_nothing_of_an_office_outlives_it(raft: RaftClass) -> None:
    world = World(3, raft)
    world.core("n1").start_election(transfer=True)
    world.deliver()
    core = world.core("n1")
    core.transfer_leadership("n2")
    core.step(Heartbeat("n3", "n1", core.term + 1, 0, 0))
    assert (core.role, core.leader, core.vote) == (Role.FOLLOWER, "n3", None)
    assert (core.votes, core.peers, core.transferee, core.transfer_campaign) == ({}, {}, None, False)
    assert (core.election_elapsed, core.leader_silence) == (0, 0)


def test_a_leader_that_is_heard_again_resets_both_clocks(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored())
    core.step(Heartbeat("n2", "n1", 1, 0, 0))
    for _ in range(5):
        core.tick()
    assert (core.election_elapsed, core.leader_silence) == (5, 5)
    core.step(Heartbeat("n2", "n1", 1, 0, 0))
    assert (core.election_elapsed, core.leader_silence) == (0, 0)


def test_the_disk_is_silent_one_tick_after_an_election_timeout(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored())
    core.step(Heartbeat("n2", "n1", 1, 0, 0))
    assert core.ready().write_ack is not None
    for _ in range(ELECTION):
        core.tick()
    assert not core.storage_is_silent()
    core.tick()
    assert core.storage_is_silent()


def test_the_history_keeps_the_newest_events(raft: RaftClass) -> None:
    world = World(3, raft, history_events=2)
    world.elect("n1")
    assert [type(event) for _, event in world.core("n1").history] == [StartedElection, BecameLeader]


# Followers that were lost from sight


def test_nothing_goes_out_optimistically_to_a_member_that_cannot_be_reached(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n1")
    core.propose(b"a")
    world.work("n1")
    world.queue.clear()
    core.report_unreachable("n2")
    peer = core.peers["n2"]
    assert (peer.mode, peer.next, peer.probing, list(peer.inflight)) == (Mode.PROBE, peer.match + 1, True, [])
    core.propose(b"b")
    assert [m.to for m in core.ready().messages if isinstance(m, AppendRequest)] == ["n3"]
    core.report_unreachable("a stranger")
    peer.await_snapshot(9)
    core.report_unreachable("n2")
    assert peer.mode is Mode.SNAPSHOT


def test_a_snapshot_that_was_not_delivered_is_followed_by_one_probe_after_a_heartbeat(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    peer = core.peers["n2"]
    core.report_snapshot("n2", delivered=False)
    assert core.peer_states()["n2"].mode == "replicate", "no snapshot was under way"
    peer.await_snapshot(9)
    core.report_snapshot("n2", delivered=True)
    assert core.peer_states()["n2"].mode == "snapshot", "until it is acknowledged"
    core.report_snapshot("n2", delivered=False)
    assert (peer.mode, peer.next, peer.probing) == (Mode.PROBE, peer.match + 1, True)
    core.report_snapshot("a stranger", delivered=False)


def test_an_idle_cluster_exchanges_heartbeats_only(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(2 * HEARTBEAT)
    world.sent.clear()
    world.run(4 * HEARTBEAT)
    assert world.sent == {"Heartbeat": 8, "HeartbeatReply": 8}


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


def test_the_silence_that_made_a_leader_is_not_counted_when_it_steps_down(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n1")
    world.tick("n1", 2 * ELECTION)
    core = world.core("n1")
    assert core.role is not Role.LEADER
    assert core.leader_silence < ELECTION


def test_an_older_confirmation_takes_no_round_back(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    core.step(HeartbeatReply("n2", "n1", core.term, 5))
    core.step(HeartbeatReply("n2", "n1", core.term, 3))
    assert core.peers["n2"].read_round == 5


def test_a_snapshot_is_given_up_after_its_time_and_not_before(raft: RaftClass) -> None:
    world = World(3, raft, snapshot_retry_ticks=ELECTION)
    world.elect("n1")
    core = world.core("n1")
    core.peers["n2"].await_snapshot(9)
    for _ in range(ELECTION - 1):
        core.tick()
    assert core.peer_states()["n2"].mode == "snapshot"
    core.tick()
    assert core.peer_states()["n2"].mode == "probe"


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
