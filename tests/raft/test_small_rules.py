"""Rules so small that larger scenarios mostly work without them: each is tested alone."""

from __future__ import annotations

from random import Random

from service.raft.messages import (
    AppendReply,
    AppendRequest,
    HardState,
    PreVoteReply,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import Role
from service.raft.state import Stored
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World, config


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
