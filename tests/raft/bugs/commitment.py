"""Bugs in what counts as committed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service.raft.core import Raft
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    EntryKind,
    Heartbeat,
    Message,
)
from service.raft.progress import Progress


class CommitsOldTermByCount(Raft):
    """An entry of an older term is committed because a majority holds it (§5.4.2, figure 8)."""

    def may_commit(self, index: int) -> bool:
        return True


class FollowerCommitsPastAgreement(Raft):
    """A follower believes the leader's commit index past the last entry it got (§5.3)."""

    def append_commit(self, message: AppendRequest, agreed: int) -> int:
        return min(message.commit, self.log.last)


class HeartbeatCommitsUnmatched(Raft):
    """A heartbeat tells a follower to commit what it was never seen to hold."""

    def heartbeat_commit(self, peer: Progress) -> int:
        return self.log.commit

    def on_heartbeat(self, message: Heartbeat) -> None:
        super().on_heartbeat(replace(message, commit=min(message.commit, self.log.last)))


class MinorityCommits(Raft):
    """An entry is committed when half of the members, rounded down, hold it."""

    def advance_commit(self) -> None:
        positions = sorted([self.own_match(), *(peer.match for peer in self.peers.values())], reverse=True)
        index = positions[max(0, len(positions) // 2 - 1)]
        if index > self.log.commit and self.may_commit(index):
            self.log.commit_to(index)
            self.uncommitted_bytes = 0
            self.accept_postponed()


class NoNoop(Raft):
    """A new leader does not open its term: old entries stay uncommitted, reads wait (thesis §6.4)."""

    def append(self, data: bytes, kind: EntryKind) -> Any:
        return None if kind is EntryKind.NOOP else super().append(data, kind)


class AckOfOldTermCounts(Raft):
    """An acknowledgement counts whatever term it was given in."""

    def is_stale(self, message: Message) -> bool:
        return message.term < self.term and not isinstance(message, AppendReply)
