"""Bugs in linearizable reads."""

from __future__ import annotations

from service.raft.core import Raft
from service.raft.messages import (
    HeartbeatReply,
    Message,
    NodeId,
)


class ReadsBeforeOwnCommit(Raft):
    """A new leader serves reads from a commit index that may be old (thesis §6.4, step 1)."""

    def may_serve_reads(self) -> bool:
        return True


class ReadsUnconfirmed(Raft):
    """A read is served without asking a majority whether this is still the leader (thesis §6.4, step 3)."""

    def confirmed_round(self) -> int:
        return self.read_round


class ReadsOnEarlierRound(Raft):
    """A read is confirmed by heartbeats that were answered before it arrived."""

    def accept_read(self, context: bytes, asker: NodeId, *, is_urgent: bool = True) -> None:
        self.read_round -= 1
        super().accept_read(context, asker, is_urgent=is_urgent)
        self.read_round += 1


class OldHeartbeatReplyConfirms(Raft):
    """A heartbeat reply of an older term confirms reads of this one."""

    def is_stale(self, message: Message) -> bool:
        return message.term < self.term and not isinstance(message, HeartbeatReply)
