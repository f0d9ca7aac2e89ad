"""How a leader is found (§5.2, §5.4.1), asked for first in private (PreVote, thesis §9.6)."""

from __future__ import annotations

from service.raft.events import StartedElection, StartedPreVote, Why
from service.raft.leader import Leader
from service.raft.messages import (
    Message,
    NodeId,
    PreVoteReply,
    PreVoteRequest,
    VoteReply,
    VoteRequest,
)
from service.raft.quorum import Tally, tally
from service.raft.ready import Role
from service.raft.state import Cause


class Election(Leader):
    """Candidate and voter rules."""

    # Campaigning

    def count_absence(self, ticks: int) -> None:
        """This member was not running for at least `ticks` (>= 0), in which it would have waited for a leader: wait so
        much less now. No leader was silent meanwhile, so it is not told as silence.
        """
        self.election_elapsed += ticks

    def tick_election(self) -> None:
        """One tick without leadership: campaign when the timer runs out, repeat questions meanwhile."""
        self.election_elapsed += 1
        self.leader_silence += 1
        self.expire_forwarded()
        if self.election_elapsed >= self.timeout_ticks:
            self.on_election_timeout()
        elif self.election_elapsed % self.config.heartbeat_ticks == 0:
            self.repeat_questions()

    def on_election_timeout(self) -> None:
        """The leader is silent, or an election was not decided."""
        known = self.last_leader is not None
        self.cause = Cause(Why.LEADER_SILENT if known else Why.NO_LEADER, self.last_leader, self.leader_silence)
        if self.may_campaign():
            self.start_prevote()
        else:
            self.become_follower(self.term, None, Why.DISK_SILENT)

    def may_campaign(self) -> bool:
        """Not with a hung disk, whose vote could never leave, nor while a snapshot replaces the log."""
        return not self.storage_is_silent() and self.log.pending_snapshot is None

    def start_prevote(self) -> None:
        """Ask whether an election could be won, changing nothing that is stored (thesis §9.6)."""
        self.role = Role.PRE_CANDIDATE
        self.leader = None
        self.drop_reads()
        self.reset_election_timer()
        self.votes = {self.id: True}
        self.emit(StartedPreVote(self.term, *self.cause))
        self.ask_prevotes()
        self.decide_prevote()

    def start_election(self, *, transfer: bool = False) -> None:
        """Enter the next term and vote for oneself; both are durable before any request leaves (§5.2)."""
        self.enter_term(self.term + 1)
        self.vote = self.id
        self.role = Role.CANDIDATE
        self.leader = None
        self.drop_reads()
        self.reset_election_timer()
        self.votes = {}
        self.transfer_campaign = transfer
        self.emit(StartedElection(self.term, *self.cause))
        # The own vote arrives like any other: as a reply, once it is durable.
        self.send(VoteReply(self.id, self.id, self.term, granted=True))
        self.ask_votes()

    def ask_prevotes(self) -> None:
        """Ask whoever has not answered."""
        for to in self.others:
            if to not in self.votes:
                self.send(
                    PreVoteRequest(self.id, to, self.term + 1, self.log.last, self.log.last_term),
                )

    def ask_votes(self) -> None:
        """Ask whoever has not answered."""
        for to in self.others:
            if to not in self.votes:
                self.send(
                    VoteRequest(self.id, to, self.term, self.log.last, self.log.last_term, self.transfer_campaign)
                )

    def repeat_questions(self) -> None:
        """A lost request must not cost a whole election timeout (§5.1: RPCs are retried)."""
        if self.role is Role.PRE_CANDIDATE:
            self.ask_prevotes()
        elif self.id in self.votes:
            # A candidate whose own vote is durable; before that its requests are held already.
            self.ask_votes()

    def on_prevote_reply(self, message: PreVoteReply) -> None:
        """Count an answer to the question asked in this term; grants carry the term asked about."""
        if self.role is not Role.PRE_CANDIDATE:
            return
        if message.granted and message.term != self.term + 1:
            return
        self.votes[message.sender] = message.granted
        self.decide_prevote()

    def decide_prevote(self) -> None:
        """Campaign in earnest, give up, or keep waiting."""
        result = tally(self.votes, len(self.config.members))
        if result is Tally.WON:
            self.start_election()
        elif result is Tally.LOST:
            self.become_follower(self.term, None, Why.ELECTION_LOST)

    def on_vote_reply(self, message: VoteReply) -> None:
        """Count a vote of this term; a member's answer counts once."""
        if self.role is not Role.CANDIDATE:
            return
        self.votes[message.sender] = message.granted
        result = tally(self.votes, len(self.config.members))
        if result is Tally.WON:
            self.become_leader()
        elif result is Tally.LOST:
            self.become_follower(self.term, None, Why.ELECTION_LOST)

    # Voting

    def hears_leader(self) -> bool:
        """True if a leader was heard within the shortest election timeout, or is this member (thesis §6.2).

        CheckQuorum makes a leader that nobody hears give up, so this never defends a dead one for long.
        """
        if self.role is Role.LEADER:
            return True
        return self.leader is not None and self.election_elapsed < self.config.election_ticks

    def is_disruptive(self, message: Message) -> bool:
        """A campaign against a leader that is heard is ignored, term and all, unless the leader asked for it.

        Otherwise a member that was cut off, or hears badly, deposes a leader that serves everyone else.
        """
        if isinstance(message, VoteRequest):
            return not message.transfer and self.hears_leader()
        return isinstance(message, PreVoteRequest) and self.hears_leader()

    def is_complete(self, message: PreVoteRequest | VoteRequest) -> bool:
        """Only a log at least as up-to-date as the voter's surely has every committed entry (§5.4.1)."""
        return self.log.is_up_to_date(message.last_index, message.last_term)

    def has_vote_for(self, candidate: NodeId) -> bool:
        """One vote a term (§5.2); a repeated request gets the same answer. None once a leader is known."""
        return self.vote == candidate or (self.vote is None and self.leader is None)

    def on_prevote_request(self, message: PreVoteRequest) -> None:
        """Say what a vote would be. Nothing changes here: neither term, nor vote, nor timer (thesis §9.6)."""
        granted = message.term > self.term and self.is_complete(message)
        term = message.term if granted else self.term
        self.send(PreVoteReply(self.id, message.sender, term, granted))

    def on_vote_request(self, message: VoteRequest) -> None:
        """Vote at most once in this term, for a complete log; the grant leaves when the vote is durable."""
        granted = self.has_vote_for(message.sender) and self.is_complete(message)
        if granted:
            self.record_vote(message.sender)
        self.send(VoteReply(self.id, message.sender, self.term, granted))

    def record_vote(self, candidate: NodeId) -> None:
        """Store the vote, and give the candidate time to win."""
        if self.vote != candidate:
            self.vote = candidate
            self.unwritten = True
        self.election_elapsed = 0
