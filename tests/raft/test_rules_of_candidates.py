"""Campaigns, votes and what remains of an office: rules so small that larger scenarios mostly work without them."""

from __future__ import annotations

from random import Random

from service.raft.events import BecameLeader, StartedElection, StartedPreVote, Why
from service.raft.messages import (
    HardState,
    Heartbeat,
    InstallSnapshot,
    PreVoteReply,
    PreVoteRequest,
    Snapshot,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import Role, SoftState
from service.raft.state import Stored
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World, config, log_of

MEMBERS = ("n1", "n2", "n3")


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


def test_whoever_counts_a_members_ticks_may_sleep_through_all_but_the_last_of_its_quiet_ones(raft: RaftClass) -> None:
    following, asking, leading = World(3, raft), World(3, raft), World(3, raft)
    following.elect("n2")
    following.run(HEARTBEAT)
    asking.campaign("n1")
    asking.tick("n1")
    leading.elect("n1")
    leading.run(1)
    for world, role in ((following, Role.FOLLOWER), (asking, Role.PRE_CANDIDATE), (leading, Role.LEADER)):
        core = world.core("n1")
        for _ in range(3):
            assert core.role is role
            for _ in range(core.quiet_ticks() - 1):
                core.tick()
                assert not core.has_ready(), role
            core.tick()
            assert core.has_ready(), role
            core.ready()
            if role is Role.FOLLOWER:
                break


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


def test_the_silence_that_made_a_leader_is_not_counted_when_it_steps_down(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n1")
    world.tick("n1", 2 * ELECTION)
    core = world.core("n1")
    assert core.role is not Role.LEADER
    assert core.leader_silence < ELECTION
