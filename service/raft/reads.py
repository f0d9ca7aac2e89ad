"""Linearizable reads without a log entry: ReadIndex (thesis §6.4).

The leader notes its commit index, proves with one round of heartbeats that it still leads, and then the read
may be served by whoever has applied that index. A follower asks its leader.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import NamedTuple

from service.raft.config import Config
from service.raft.errors import BacklogFull, NotLeader
from service.raft.messages import NodeId, ReadReply, ReadRequest
from service.raft.quorum import agreed_index
from service.raft.ready import ReadState, Role
from service.raft.state import State, Stored


class PendingRead(NamedTuple):
    """A read that waits for heartbeat round `round` to be confirmed by a majority."""

    context: bytes
    asker: NodeId
    commit: int
    round: int


class Reads(State):
    """Reads in three stations: postponed (no own-term commit yet), pending (unconfirmed), forwarded."""

    def __init__(self, config: Config, random: Random, stored: Stored) -> None:
        self.read_round = 0
        self.round_due = False
        self.postponed: list[tuple[bytes, NodeId]] = []
        self.pending_reads: deque[PendingRead] = deque()
        self.forwarded: dict[bytes, int] = {}
        super().__init__(config, random, stored)

    def read_index(self, context: bytes, *, is_urgent: bool = True) -> None:
        """Ask for a linearizable read; a ReadState or reads_lost with `context` follows in some Ready.

        On the leader one that is not urgent waits for the next heartbeats, instead of causing a round of its own.
        `context` must be unique among the reads in progress of this member. One forwarded to the leader is
        given up after election_ticks, because its messages may be lost. Raises NotLeader when no leader is
        known and BacklogFull beyond max_pending_reads.
        """
        waiting = len(self.postponed) + len(self.pending_reads) + len(self.forwarded)
        if waiting >= self.config.max_pending_reads:
            raise BacklogFull(waiting, self.config.max_pending_reads, "reads")
        if self.role is Role.LEADER:
            self.accept_read(context, self.id, is_urgent=is_urgent)
        elif self.leader is None:
            raise NotLeader(None)
        else:
            self.forwarded[context] = self.ticks
            self.send(ReadRequest(self.id, self.leader, self.term, context))

    def on_read_request(self, message: ReadRequest) -> None:
        """A follower asks. Over the limit it is dropped, which the asker sees as a lost message."""
        waiting = len(self.postponed) + len(self.pending_reads)
        if self.role is Role.LEADER and waiting < self.config.max_pending_reads:
            self.accept_read(message.context, message.sender)

    def on_read_reply(self, message: ReadReply) -> None:
        """The leader confirmed a read this member forwarded; a repeated reply is not a second answer."""
        if message.context in self.forwarded:
            del self.forwarded[message.context]
            self.outbox.read_states.append(ReadState(message.context, message.index))

    def expire_forwarded(self) -> None:
        """Give up reads that the leader has not answered within election_ticks."""
        while self.forwarded:
            context, asked = next(iter(self.forwarded.items()))
            if self.ticks - asked <= self.config.election_ticks:
                return
            del self.forwarded[context]
            self.outbox.reads_lost.append(context)

    def may_serve_reads(self) -> bool:
        """Before its first own-term commit a leader may not know the newest commit index (thesis §6.4)."""
        return self.log.term_at(self.log.commit) == self.term

    def accept_read(self, context: bytes, asker: NodeId, *, is_urgent: bool = True) -> None:
        """Start a read on the leader. It needs a round that begins *after* now: one already under way may
        have been answered before a newer leader committed what this read must see."""
        if not self.may_serve_reads():
            self.postponed.append((context, asker))
            return
        self.pending_reads.append(PendingRead(context, asker, self.log.commit, self.read_round + 1))
        self.round_due = self.round_due or is_urgent

    def accept_postponed(self) -> None:
        """The term's first commit has happened: start what waited for it."""
        waiting, self.postponed = self.postponed, []
        for context, asker in waiting:
            self.accept_read(context, asker)

    def number_round(self) -> None:
        """A round of heartbeats begins, for whatever reason: it counts for all reads accepted before it."""
        self.round_due = False
        if self.pending_reads and self.pending_reads[-1].round > self.read_round:
            self.read_round += 1

    def confirmed_round(self) -> int:
        """The newest heartbeat round that a majority, the leader included, has answered."""
        return agreed_index([self.read_round, *(peer.read_round for peer in self.peers.values())])

    def answer_reads(self) -> None:
        """Release every read whose round is confirmed."""
        confirmed = self.confirmed_round()
        while self.pending_reads and self.pending_reads[0].round <= confirmed:
            read = self.pending_reads.popleft()
            if read.asker == self.id:
                self.outbox.read_states.append(ReadState(read.context, read.commit))
            else:
                self.send(ReadReply(self.id, read.asker, self.term, read.context, read.commit))

    def drop_reads(self) -> None:
        """Leadership or leader changed: nothing in progress can be confirmed any more."""
        lost = self.outbox.reads_lost
        lost.extend(context for context, asker in self.postponed if asker == self.id)
        lost.extend(read.context for read in self.pending_reads if read.asker == self.id)
        lost.extend(self.forwarded)
        self.postponed.clear()
        self.pending_reads.clear()
        self.forwarded.clear()
        self.round_due = False
