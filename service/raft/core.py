"""A Raft member as a pure function: messages, ticks and acks in, `Ready` out.

Nothing here reads a clock, a socket, a file or a global random source, and nothing blocks. The runner calls
from one place only, one call at a time:

    core.step(message) | core.tick() | core.propose(data) | core.advance(ack) | ...
    if core.has_ready():
        ready = core.ready()        # see service.raft.ready for what to do with it

Any exception that is not a `Refused` means the member must stop.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from service.raft.config import Config
from service.raft.events import Why
from service.raft.follower import Follower
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    Snapshot,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import ApplyAck, PeerState, Ready, Role, SoftState, WriteAck
from service.raft.state import Outbox, Stored


class Raft(Follower):
    """One member. Everything that enters comes through the methods of this class and `propose`,
    `read_index`, `transfer_leadership`, `report_unreachable`, `report_snapshot`, `report_disk_replaced`."""

    def __init__(self, config: Config, random: Random, stored: Stored | None = None) -> None:
        """`random` draws the election timeouts; seed it for a reproducible member.

        Raises ConfigError for a broken rule and CorruptState when `stored` contradicts itself.
        """
        super().__init__(config, random, stored or Stored())
        self.handlers: dict[type[Any], Callable[[Any], None]] = {
            PreVoteRequest: self.on_prevote_request,
            PreVoteReply: self.on_prevote_reply,
            VoteRequest: self.on_vote_request,
            VoteReply: self.on_vote_reply,
            AppendRequest: self.on_append_request,
            AppendReply: self.on_append_reply,
            Heartbeat: self.on_heartbeat,
            HeartbeatReply: self.on_heartbeat_reply,
            InstallSnapshot: self.on_install_snapshot,
            TimeoutNow: self.on_timeout_now,
            ReadRequest: self.on_read_request,
            ReadReply: self.on_read_reply,
        }
        self.shown = self.soft_state()

    # In

    def step(self, message: Message) -> None:
        """Take one message. Ignored unless it comes from another member and is meant for this one.

        Raises InvariantBroken when it proves that some member broke a rule.
        """
        if message.to != self.id or message.sender not in self.others:
            return
        if message.term > self.term:
            if not self.admit_newer(message):
                return
        elif self.is_stale(message):
            self.answer_stale(message)
            return
        peer = self.peers.get(message.sender)
        if peer is not None:
            peer.silent_ticks = 0
        self.handlers[type(message)](message)

    def is_stale(self, message: Message) -> bool:
        """What was said in an older term no longer holds (§5.1)."""
        return message.term < self.term

    def admit_newer(self, message: Message) -> bool:
        """Adopt a newer term (§5.1); False if the message must be ignored.

        Pre-votes name a term that nobody is in yet, so they bring none.
        """
        if self.is_disruptive(message):
            return False
        if isinstance(message, PreVoteRequest) or (isinstance(message, PreVoteReply) and message.granted):
            return True
        self.become_follower(message.term, None, Why.NEWER_TERM)
        return True

    def tick(self) -> None:
        """One tick has passed. After a stall, drain messages first, then tick at most a heartbeat's worth."""
        self.ticks += 1
        if self.role is Role.LEADER:
            self.tick_leader()
        else:
            self.tick_election()

    def quiet_ticks(self) -> int:
        """Ticks before the last of which none does more than count if nothing arrives: who counts them may sleep
        meanwhile. (What a leader gives up in between it may give up with its next heartbeats as well.)"""
        if self.role is Role.FOLLOWER:
            return self.timeout_ticks - self.election_elapsed
        every = self.config.heartbeat_ticks
        return every - (self.heartbeat_elapsed if self.role is Role.LEADER else self.election_elapsed % every)

    def compact(self, snapshot: Snapshot) -> None:
        """The state machine was saved as `snapshot`, durably: forget what trails it by trailing_entries.

        Raises InvariantBroken when the snapshot is ahead of what was applied or names a wrong term.
        """
        self.log.compact(snapshot, self.config.trailing_entries)

    # Out

    def has_ready(self) -> bool:
        """True if `ready()` would return work."""
        self.flush()
        return (
            bool(self.outbox)
            or self.has_unwritten()
            or bool(self.log.next_committed(0))
            or self.shown != self.soft_state()
        )

    def ready(self) -> Ready:
        """Take the batch of work gathered since the last call; each piece is handed out once."""
        self.flush()
        outbox, self.outbox = self.outbox, Outbox()
        soft = self.soft_state()
        changed = soft if soft != self.shown else None
        self.shown = soft
        committed = self.log.next_committed(self.config.max_apply_bytes)
        if committed:
            self.log.applying = committed[-1].index
        messages, reads, events = tuple(outbox.messages), tuple(outbox.read_states), tuple(outbox.events)
        apply_ack = ApplyAck(committed[-1].index) if committed else None
        lost = tuple(outbox.reads_lost)
        if not self.has_unwritten():
            return Ready(None, None, (), None, messages, committed, apply_ack, reads, lost, changed, events)
        # Never more than is durable: a crash may keep this record and lose the entries written with it.
        hard_state = HardState(self.term, self.vote, min(self.log.commit, self.log.durable))
        snapshot, entries = self.unhanded_snapshot, self.log.unhanded()
        ack = self.hand_to_storage()
        return Ready(hard_state, snapshot, entries, ack, messages, committed, apply_ack, reads, lost, changed, events)

    def hand_to_storage(self) -> WriteAck:
        """Everything unwritten now belongs to one numbered write."""
        self.unwritten = False
        self.unhanded_snapshot = None
        log = self.log
        log.handed = log.last
        self.write_number += 1
        waiting = log.pending_snapshot.index if log.pending_snapshot else 0
        ack = WriteAck(self.write_number, self.term, log.last, log.last_term, waiting)
        self.writes_out.append(ack)
        self.write_ticks.append(self.ticks)
        return ack

    def advance(self, ack: WriteAck | ApplyAck) -> None:
        """Something a Ready asked for is done: the write is durable, or the entries are applied."""
        if isinstance(ack, ApplyAck):
            self.log.applied = max(self.log.applied, min(ack.index, self.log.applying))
        elif ack in self.writes_out:
            self.written(ack)

    def written(self, ack: WriteAck) -> None:
        """The disk holds this write and all before it: count it, and let go what it promises.

        That the write is finished is a fact in any term, but what a stale one says of the log is not.
        """
        while self.writes_out and self.writes_out[0].number <= ack.number:
            self.writes_out.popleft()
            self.write_ticks.popleft()
        if self.is_stale_ack(ack):
            return
        self.written_term = ack.term
        self.log.snapshot_stored(ack.snapshot_index)
        self.log.stable_to(ack.last_index, ack.last_term)
        self.release_held()
        if self.role is Role.LEADER:
            self.advance_commit()

    def release_held(self) -> None:
        """Send the promises that are true now; those of an older term have nobody left to hear them."""
        while self.held and not self.is_undurable(self.held[0][0]):
            _, message = self.held.popleft()
            if message.term < self.term:
                continue
            if isinstance(message, VoteReply) and message.to == self.id:
                self.on_vote_reply(message)
            else:
                self.outbox.messages.append(message)

    # For operators

    def soft_state(self) -> SoftState:
        """Role, term and leader as they are now."""
        return SoftState(self.role, self.term, self.leader)

    def peer_states(self) -> dict[str, PeerState]:
        """A leader's view of its followers; empty on everyone else."""
        return {
            to: PeerState(peer.match, peer.next, peer.mode.value, peer.silent_ticks) for to, peer in self.peers.items()
        }
