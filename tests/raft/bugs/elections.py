"""Bugs in voting, pre-voting, defending and deposing leaders."""

from __future__ import annotations

from service.raft.core import Raft
from service.raft.messages import (
    Message,
    NodeId,
    PreVoteRequest,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import Role


class VotesTwice(Raft):
    """A second candidate gets a vote in the same term (§5.2)."""

    def has_vote_for(self, candidate: NodeId) -> bool:
        return True


class VotesForIncompleteLog(Raft):
    """A candidate is elected though its log lacks committed entries (§5.4.1)."""

    def is_complete(self, message: PreVoteRequest | VoteRequest) -> bool:
        return True


class VoteKeptAcrossTerms(Raft):
    """A newer term does not free the vote: two candidates who voted for themselves block each other."""

    def enter_term(self, term: int) -> None:
        vote = self.vote
        super().enter_term(term)
        self.vote = vote


class MinorityElects(Raft):
    """One vote less than a majority makes a leader."""

    def on_vote_reply(self, message: VoteReply) -> None:
        super().on_vote_reply(message)
        if self.role is Role.CANDIDATE and sum(self.votes.values()) >= len(self.config.members) // 2:
            self.become_leader()


class OldVoteCounts(Raft):
    """A vote given in an older term counts in this one."""

    def is_stale(self, message: Message) -> bool:
        return message.term < self.term and not isinstance(message, VoteReply)


class PreVoteChangesTerm(Raft):
    """A pre-vote request is taken for a real one: the term is adopted (thesis §9.6)."""

    def on_prevote_request(self, message: PreVoteRequest) -> None:
        if message.term > self.term:
            self.enter_term(message.term)
        super().on_prevote_request(message)


class HeardLeaderDeposed(Raft):
    """A vote request of a higher term deposes a leader that is heard (thesis §6.2)."""

    def is_disruptive(self, message: Message) -> bool:
        return isinstance(message, PreVoteRequest) and super().is_disruptive(message)


class PreVoteIgnoresLeader(Raft):
    """Pre-votes are granted though a leader is heard: a member that hears badly can win an election."""

    def is_disruptive(self, message: Message) -> bool:
        return isinstance(message, VoteRequest) and super().is_disruptive(message)


class NoPreVote(Raft):
    """A member that was cut off returns with a high term and deposes the leader (thesis §9.6)."""

    def start_prevote(self) -> None:
        self.start_election()

    def is_disruptive(self, message: Message) -> bool:
        return False


class OldPreVoteUnanswered(Raft):
    """A pre-vote of an older term gets no reply: the longer log and the newer term block each other."""

    def answer_stale(self, message: Message) -> None:
        if not isinstance(message, PreVoteRequest):
            super().answer_stale(message)


class OldLeaderUnanswered(Raft):
    """A deposed leader is not told: with vote requests ignored, a member of a newer term stays outside."""

    def answer_stale(self, message: Message) -> None:
        if isinstance(message, PreVoteRequest | VoteRequest):
            super().answer_stale(message)


class SameTimeout(Raft):
    """All members wait equally long and split the vote again and again (§5.2)."""

    def reset_election_timer(self) -> None:
        super().reset_election_timer()
        self.timeout_ticks = self.config.election_ticks + 1


class NoCheckQuorum(Raft):
    """A leader that hears nobody goes on, and those who hear it cannot elect another (thesis §6.2)."""

    def quorum_is_active(self) -> bool:
        return True


class LeadsWithHungDisk(Raft):
    """A leader whose own disk hangs stays in office."""

    def storage_is_silent(self) -> bool:
        return False
