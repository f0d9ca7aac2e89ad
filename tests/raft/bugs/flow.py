"""Bugs in flow control, transfer and bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service.raft.core import Raft
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    HeartbeatReply,
    Message,
    NodeId,
)
from service.raft.progress import Mode, Progress


class LostAppendsForgotten(Raft):
    """An append that was lost is never sent again until something else fails."""

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        peer = self.peers.get(message.sender)
        owed = peer.owed if peer else False
        super().on_heartbeat_reply(message)
        if peer is not None and peer.mode is Mode.REPLICATE:
            peer.owed = owed


class _Jammed(Progress):
    def heard_heartbeat(self) -> None:
        pass


class WindowJams(Raft):
    """A probe or a window of lost requests is waited for for ever."""

    def become_leader(self) -> None:
        super().become_leader()
        self.peers = {node: _Jammed(next=peer.next) for node, peer in self.peers.items()}


class _Gullible(Progress):
    def refused(self, rejected_index: int, retry_next: int) -> bool:
        self.probe(max(1, min(rejected_index, retry_next)))
        self.match = min(self.match, self.next - 1)
        return True


class OldRefusalObeyed(Raft):
    """A refusal that later acknowledgements overtook takes `match` back."""

    def become_leader(self) -> None:
        super().become_leader()
        self.peers = {node: _Gullible(next=peer.next) for node, peer in self.peers.items()}


class SnapshotSentOnce(Raft):
    """A snapshot that was lost is never sent again."""

    def tick_snapshot(self, to: NodeId, peer: Progress) -> None:
        pass


class OldDiskBelieved(Raft):
    """What a disk acknowledged still counts after the cluster has declared it lost."""

    def report_disk_replaced(self, peer: NodeId) -> None:
        pass


class SlowBackTrack(Raft):
    """The leader walks back one entry per refusal instead of one term (§5.3)."""

    def refuse(self, message: AppendRequest) -> None:
        step = message.prev_index - 1
        reply = AppendReply(self.id, message.sender, self.term, 0, True, message.prev_index, step, self.term)
        self.send(reply)


class TransferTakesProposals(Raft):
    """Proposals are accepted during a transfer: the target never catches up (thesis §3.10)."""

    def propose(self, data: bytes) -> Any:
        target, self.transferee = self.transferee, None
        try:
            return super().propose(data)
        finally:
            self.transferee = target


class TransferNeverAborts(Raft):
    """A transfer whose target is gone blocks proposals for ever (thesis §3.10)."""

    def tick_transfer(self) -> None:
        pass


class TransferBeforeCaughtUp(Raft):
    """The target is told to campaign before it has the whole log (thesis §3.10)."""

    def transfer_leadership(self, to: NodeId) -> None:
        super().transfer_leadership(to)
        from service.raft.messages import TimeoutNow

        self.send(TimeoutNow(self.id, to, self.term))


class TransferIsOrdinaryCampaign(Raft):
    """The target's vote requests do not say that the leader wants them, and are ignored (thesis §3.10)."""

    def start_election(self, *, transfer: bool = False) -> None:
        super().start_election(transfer=False)


class BacklogUnbounded(Raft):
    """An isolated leader accepts proposals without end."""

    def refuse_full_backlog(self, size_bytes: int) -> None:
        pass


class BacklogLeaks(Raft):
    """Committed bytes are never returned to the backlog: in the end every proposal is refused."""

    def advance_commit(self) -> None:
        before = self.uncommitted_bytes
        super().advance_commit()
        self.uncommitted_bytes = before


class MessagesUnbounded(Raft):
    """One request carries the whole rest of the log."""

    def replicate_to(self, to: NodeId, peer: Progress) -> None:
        config = self.config
        self.config = replace(config, max_message_bytes=1 << 40)
        super().replicate_to(to, peer)
        self.config = config


class WindowUnbounded(Raft):
    """Requests are sent ahead without waiting for acknowledgements."""

    def replicate_to(self, to: NodeId, peer: Progress) -> None:
        config = self.config
        self.config = replace(config, max_inflight_messages=1 << 40)
        super().replicate_to(to, peer)
        self.config = config


class ForeignSenderBelieved(Raft):
    """A message is taken from whoever sends it, member or not."""

    def step(self, message: Message) -> None:
        if message.sender not in self.others:
            message = replace(message, sender=self.others[0])
        super().step(message)
