"""Elections: PreVote, CheckQuorum, a heard leader's defence, and the replies that free a stuck candidate."""

from __future__ import annotations

from random import Random

import pytest

from service.raft.core import Raft
from service.raft.events import BecameLeader, StartedPreVote, SteppedDown, Why, describe
from service.raft.messages import (
    AppendRequest,
    Entry,
    HardState,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    PreVoteRequest,
    VoteReply,
    VoteRequest,
)
from service.raft.quorum import Tally, agreed_index, majority, tally
from service.raft.ready import Role
from service.raft.state import Stored
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World, config


def test_majorities_of_one_three_and_five() -> None:
    assert [majority(members) for members in (1, 3, 5)] == [1, 2, 3]
    assert agreed_index([7]) == 7
    assert agreed_index([9, 4, 1]) == 4
    assert agreed_index([9, 8, 4, 1, 0]) == 4


def test_a_tally_is_lost_as_soon_as_a_majority_cannot_be_reached() -> None:
    assert tally({"a": True}, 3) is Tally.PENDING
    assert tally({"a": True, "b": True}, 3) is Tally.WON
    assert tally({"a": True, "b": False, "c": False}, 3) is Tally.LOST
    assert tally({"a": True, "b": False, "c": False}, 5) is Tally.PENDING


def test_a_pre_vote_request_changes_neither_term_nor_vote_nor_timer(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(3, None)))
    for _ in range(4):
        core.tick()
    before = (core.term, core.vote, core.election_elapsed)
    core.step(PreVoteRequest("n2", "n1", 9, 5, 3))
    assert (core.term, core.vote, core.election_elapsed) == before
    ready = core.ready()
    assert ready.messages == (PreVoteReply("n1", "n2", 9, granted=True),)
    assert ready.write_ack is None


def test_a_member_that_was_cut_off_returns_without_raising_the_term(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    term = world.core("n1").term
    world.isolate("n3")
    world.run(10 * ELECTION)
    assert world.core("n3").term == term
    world.heal()
    world.run(3 * ELECTION)
    assert world.leaders() == ["n1"]
    assert world.core("n1").term == term


def test_a_vote_request_of_a_higher_term_does_not_depose_a_heard_leader(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    term = world.core("n2").term
    for node in ("n1", "n2"):
        world.give(VoteRequest("n3", node, term + 5, 100, term))
    world.deliver()
    assert world.leaders() == ["n1"]
    assert world.core("n2").term == term


def test_a_pre_vote_request_is_ignored_while_a_leader_is_heard(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    world.give(PreVoteRequest("n3", "n2", world.core("n2").term + 1, 100, 9))
    assert [m for m in world.of_type(PreVoteReply) if m.sender == "n2" and m.to == "n3"] == []


def test_a_leader_that_hears_no_majority_steps_down_within_an_election_timeout(raft: RaftClass) -> None:
    world = World(5, raft)
    world.elect("n1")
    for node in ("n2", "n3", "n4"):
        world.cut(node, "n1", both=False)
    world.run(ELECTION + 2)
    assert world.core("n1").role is not Role.LEADER
    stepped = [event for event in world.hosts["n1"].events if isinstance(event, SteppedDown)]
    assert stepped[-1].why is Why.NO_QUORUM


def test_a_leader_that_hears_a_bare_majority_stays(raft: RaftClass) -> None:
    world = World(5, raft)
    world.elect("n1")
    world.isolate("n4")
    world.isolate("n5")
    world.run(5 * ELECTION)
    assert world.leaders() == ["n1"]


def test_an_old_leader_is_told_by_a_member_of_a_newer_term(raft: RaftClass) -> None:
    """etcd's free-stuck-candidate: the member's own vote requests are ignored, so it must speak up here."""
    world = World(3, raft)
    world.elect("n1")
    term = world.core("n1").term
    world.hosts["n3"].stored = Stored(HardState(term + 3, None, 0), None, world.hosts["n3"].stored.entries)
    world.restart("n3")
    world.run(6 * ELECTION)
    leader = world.elect_somebody()
    assert world.core(leader).term > term + 3
    assert {world.core(node).leader for node in world.hosts} == {leader}


@pytest.mark.parametrize("request_type", [Heartbeat, AppendRequest])
def test_an_old_terms_leader_gets_the_newer_term_as_answer(request_type: type, raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(5, None)))
    request = Heartbeat("n2", "n1", 3, 0, 0) if request_type is Heartbeat else AppendRequest("n2", "n1", 3, 0, 0, (), 0)
    core.step(request)
    assert core.ready().messages == (HeartbeatReply("n1", "n2", 5, 0),)


def test_a_pre_vote_of_an_old_term_is_answered_so_that_the_longer_log_can_win(raft: RaftClass) -> None:
    """etcd's pre-vote migration deadlock: one has the newer term, the other the longer log."""
    world = World(3, raft)
    longer = (Entry(1, 1, b"a"), Entry(2, 2, b"b"))
    world.hosts["n1"].stored = Stored(HardState(2, None, 0), None, longer)
    world.hosts["n2"].stored = Stored(HardState(6, None, 0), None, longer[:1])
    world.restart("n1", "n2")
    world.crash("n3")
    assert world.elect_somebody() == "n1"


def test_a_vote_is_given_once_a_term_and_repeated_on_request(raft: RaftClass) -> None:
    world = World(3, raft)
    world.isolate("n1")
    world.cut_links.clear()
    for sender in ("n2", "n3", "n2"):
        world.give(VoteRequest(sender, "n1", 4, 9, 3))
    answers = [(message.to, message.granted) for message in world.of_type(VoteReply)]
    assert answers == [("n2", True), ("n3", False), ("n2", True)]


def test_a_vote_survives_a_restart(raft: RaftClass) -> None:
    world = World(3, raft)
    world.give(VoteRequest("n2", "n1", 4, 9, 3))
    world.queue.clear()
    world.restart("n1")
    world.give(VoteRequest("n3", "n1", 4, 9, 3))
    assert [(m.to, m.granted) for m in world.of_type(VoteReply)] == [("n2", True), ("n3", False)]


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"), [(1, 3, True), (2, 2, True), (9, 1, False), (1, 2, False)]
)
def test_last_term_outweighs_length_when_logs_are_compared(
    last_index: int, last_term: int, granted: bool, raft: RaftClass
) -> None:
    """§5.4.1."""
    world = World(3, raft)
    log = (Entry(1, 1), Entry(2, 2))
    world.hosts["n1"].stored = Stored(HardState(3, None, 0), None, log)
    world.restart("n1")
    world.give(VoteRequest("n2", "n1", 4, last_index, last_term))
    assert [message.granted for message in world.of_type(VoteReply)] == [granted]


def test_a_vote_of_an_old_term_does_not_count(raft: RaftClass) -> None:
    world = World(5, raft)
    world.isolate("n1")
    world.core("n1").start_election()
    world.work("n1")
    term = world.core("n1").term
    world.core("n1").start_election()
    world.work("n1")
    for sender in ("n2", "n3"):
        world.give(VoteReply(sender, "n1", term, granted=True))
        world.cut_links.clear()
    for sender in ("n2", "n3"):
        world.core("n1").step(VoteReply(sender, "n1", term, granted=True))
    assert world.core("n1").role is Role.CANDIDATE


def test_a_repeated_vote_counts_once(raft: RaftClass) -> None:
    world = World(5, raft)
    core = world.core("n1")
    core.start_election()
    world.work("n1")
    for _ in range(4):
        core.step(VoteReply("n2", "n1", core.term, granted=True))
    assert core.role is Role.CANDIDATE


def test_members_that_tick_in_step_still_elect_a_leader(raft: RaftClass) -> None:
    """§5.2: random timeouts, not luck of the network, break ties. Each seed starts all timers together."""
    for seed in range(12):
        world = World(5, raft, seed=seed)
        for _ in range(8 * ELECTION):
            for node in world.hosts:
                world.tick(node)
            batch, world.queue = list(world.queue), type(world.queue)()
            for message in batch:
                world.give(message)
        assert len(world.leaders()) == 1, f"seed {seed}"


def test_a_lost_pre_vote_request_costs_a_heartbeat_not_an_election_timeout(raft: RaftClass) -> None:
    world = World(3, raft)
    world.campaign("n1")
    assert world.core("n1").role is Role.PRE_CANDIDATE
    world.queue.clear()
    world.run(HEARTBEAT + 1)
    assert world.leaders() == ["n1"]


def test_a_restarted_member_that_asks_early_does_not_disturb_its_leader(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    world.run(HEARTBEAT)
    term = world.core("n1").term
    world.restart("n2")
    core = world.core("n2")
    core.count_absence(ELECTION - HEARTBEAT)
    world.tick("n2", core.timeout_ticks - (ELECTION - HEARTBEAT))
    assert core.role is Role.PRE_CANDIDATE
    world.deliver()
    world.run(2 * ELECTION)
    assert world.leaders() == ["n1"]
    assert {(world.core(node).term, world.core(node).leader) for node in world.hosts} == {(term, "n1")}
    assert [type(event) for event in world.hosts["n1"].events].count(SteppedDown) == 0


def test_the_time_before_a_start_is_waited_for_but_not_told_as_silence(raft: RaftClass) -> None:
    world = World(3, raft)
    core = world.core("n1")
    core.count_absence(ELECTION - HEARTBEAT)
    waited = core.timeout_ticks - (ELECTION - HEARTBEAT)
    world.tick("n1", waited)
    [asked] = [event for event in world.hosts["n1"].events if isinstance(event, StartedPreVote)]
    assert (asked.why, asked.silent_ticks) == (Why.NO_LEADER, waited)


def test_events_tell_an_operator_who_leads_and_why(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n1")
    second = world.elect_somebody()
    became = [event for event in world.hosts[second].events if isinstance(event, BecameLeader)][-1]
    assert became.lost_leader == "n1"
    line = describe(second, became, tick_ms=100)
    assert line.startswith(f"{second} became leader of term {became.term}: n1 silent for ")
    assert became.silent_ticks > ELECTION
    core = world.core(second)
    assert isinstance(core, Raft)
    assert became in [event for _, event in core.history]


def test_a_leader_that_stepped_down_and_returns_does_not_blame_itself_for_silence(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n1")
    world.run(ELECTION + 2)
    world.heal()
    world.crash("n2")
    world.elect("n1")
    became = [event for event in world.hosts["n1"].events if isinstance(event, BecameLeader)][-1]
    assert "no leader since it stepped down" in describe("n1", became, tick_ms=50)
