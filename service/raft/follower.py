"""What a follower does (§5.3, §7): believe the leader of its term, and tell a deposed one so."""

from __future__ import annotations

from service.raft.election import Election
from service.raft.events import SnapshotReceived, Why
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    PreVoteReply,
    PreVoteRequest,
    Snapshot,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import Role
from service.raft.state import Cause


class Follower(Election):
    """Follower rules."""

    def follow(self, leader: NodeId) -> None:
        """A leader of this term exists: stop campaigning and wait for it."""
        if self.role in (Role.PRE_CANDIDATE, Role.CANDIDATE):
            self.become_follower(self.term, leader, Why.LEADER_APPEARED)
        else:
            self.hear_leader(leader)

    def on_append_request(self, message: AppendRequest) -> None:
        """Take entries if the logs meet at `prev_index`, else say where they may (§5.3)."""
        self.follow(message.sender)
        if message.prev_index < self.log.commit:
            # Committed entries agree with any leader's: an old request needs no comparing, which the
            # entries before the base would not allow.
            self.acknowledge(message.sender, self.log.commit)
            return
        agreed = self.log.merge(message.prev_index, message.prev_term, message.entries)
        if agreed is None:
            self.refuse(message)
            return
        self.log.commit_to(self.append_commit(message, agreed))
        self.acknowledge(message.sender, agreed)

    def append_commit(self, message: AppendRequest, agreed: int) -> int:
        """Past `agreed` this log may hold another leader's entries, whatever the commit index says (§5.3)."""
        return min(message.commit, agreed)

    def acknowledge(self, leader: NodeId, match: int) -> None:
        """Promise the log up to `match`; `send` holds the promise until the disk has it."""
        self.send(AppendReply(self.id, leader, self.term, match))

    def refuse(self, message: AppendRequest) -> None:
        """Point at the highest index that can still agree, so that a whole term is skipped at once (§5.3)."""
        hint_index, hint_term = self.log.agree_by_term(message.prev_index, message.prev_term)
        self.send(
            AppendReply(
                self.id,
                message.sender,
                self.term,
                match=0,
                rejected=True,
                rejected_index=message.prev_index,
                hint_index=hint_index,
                hint_term=hint_term,
            )
        )

    def on_heartbeat(self, message: Heartbeat) -> None:
        """The leader lives. Raises InvariantBroken when it knows of entries that this member has lost."""
        self.follow(message.sender)
        self.log.commit_to(message.commit)
        self.send(HeartbeatReply(self.id, message.sender, self.term, message.read_round))

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        """Replace the log by a snapshot, unless the log already reaches as far (§7)."""
        self.follow(message.sender)
        snapshot = message.snapshot
        if self.is_old_snapshot(snapshot):
            self.acknowledge(message.sender, self.log.commit)
        elif self.log.holds(snapshot.index, snapshot.term):
            # The entries are here: committing them is cheaper, and keeps those that follow.
            self.log.commit_to(snapshot.index)
            self.acknowledge(message.sender, snapshot.index)
        elif set(snapshot.members) == set(self.config.members):
            self.log.restore(snapshot)
            self.unhanded_snapshot = snapshot
            self.emit(SnapshotReceived(self.term, snapshot.index))
            self.acknowledge(message.sender, snapshot.index)

    def is_old_snapshot(self, snapshot: Snapshot) -> bool:
        """A delayed snapshot must not take the state machine back (§7)."""
        return snapshot.index <= self.log.commit

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """Campaign at once, without PreVote: the leader itself wants to be replaced (thesis §3.10)."""
        if self.role is Role.FOLLOWER and self.leader == message.sender and self.may_campaign():
            self.cause = Cause(Why.TRANSFERRED, message.sender, 0)
            self.start_election(transfer=True)

    def answer_stale(self, message: Message) -> None:
        """Tell the sender of an old term about the new one, or both may wait for ever.

        A leader of an old term must hear it from a member whose newer term it cannot see otherwise: with
        CheckQuorum, that member's own vote requests are ignored. A pre-candidate of an old term with the
        longer log must hear it from one with the newer term, or neither can ever win.
        """
        if isinstance(message, AppendRequest | Heartbeat | InstallSnapshot):
            self.send(HeartbeatReply(self.id, message.sender, self.term, read_round=0))
        elif isinstance(message, PreVoteRequest):
            self.send(PreVoteReply(self.id, message.sender, self.term, granted=False))
        elif isinstance(message, VoteRequest):
            self.send(VoteReply(self.id, message.sender, self.term, granted=False))
