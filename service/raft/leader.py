"""What a leader does (§5.3, §5.4.2): append, replicate, commit, prove its majority, hand over."""

from __future__ import annotations

from service.raft.errors import BacklogFull, InvariantBroken, NotLeader, TooLarge, Transferring, UnknownMember
from service.raft.events import BecameLeader, SnapshotSent, TransferAborted, TransferStarted, Why
from service.raft.log import ENTRY_OVERHEAD_BYTES, entry_bytes
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    NodeId,
    TimeoutNow,
)
from service.raft.progress import Mode, Progress
from service.raft.quorum import agreed_index, majority
from service.raft.reads import Reads
from service.raft.ready import Proposed, Role


class Leader(Reads):
    """Leader rules. `peers` holds a Progress for every other member while this one leads, else nothing."""

    def become_leader(self) -> None:
        """Open the term with a NOOP: committing it commits everything before it (§5.4.2, thesis §6.4)."""
        self.role = Role.LEADER
        self.leader = self.last_leader = self.id
        self.leader_silence = 0
        self.peers = {other: Progress(next=self.log.last + 1) for other in self.others}
        self.uncommitted_bytes = sum(map(entry_bytes, self.log.entries[self.log.commit - self.log.base :]))
        self.append(b"", EntryKind.NOOP)
        self.emit(BecameLeader(self.term, *self.cause))

    # Proposals

    def propose(self, data: bytes) -> Proposed:
        """Append a command and return its place. It leaves with the next Ready, so calls batch by themselves.

        Raises NotLeader, Transferring, TooLarge or BacklogFull; a refused proposal is certainly not in the
        log. An accepted one is committed, or superseded when another entry is applied at its index.
        """
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if self.transferee is not None:
            raise Transferring(self.transferee)
        if len(data) > self.config.max_entry_bytes:
            raise TooLarge(len(data), self.config.max_entry_bytes)
        self.refuse_full_backlog(len(data) + ENTRY_OVERHEAD_BYTES)
        return self.append(data, EntryKind.NORMAL)

    def refuse_full_backlog(self, size_bytes: int) -> None:
        """Bound what an isolated leader can pile up; an empty backlog takes any legal entry."""
        waiting = self.log.last - self.log.commit
        if waiting >= self.config.max_uncommitted_entries:
            raise BacklogFull(waiting, self.config.max_uncommitted_entries, "entries")
        limit = self.config.max_uncommitted_bytes
        if self.uncommitted_bytes and self.uncommitted_bytes + size_bytes > limit:
            raise BacklogFull(self.uncommitted_bytes, limit, "bytes")

    def append(self, data: bytes, kind: EntryKind) -> Proposed:
        """Put one entry at the end of the leader's log, which it only ever extends (§5.3)."""
        entry = Entry(self.term, self.log.last + 1, data, kind)
        self.log.append((entry,))
        self.uncommitted_bytes += entry_bytes(entry)
        return Proposed(entry.index, entry.term)

    # Replication

    def flush(self) -> None:
        """Send what each follower can take; called once per Ready, whatever happened since the last one.

        Only a leader has peers and rounds, so on everyone else this does nothing.
        """
        if self.round_due:
            self.broadcast_heartbeat()
        for to, peer in self.peers.items():
            self.replicate_to(to, peer)

    def replicate_to(self, to: NodeId, peer: Progress) -> None:
        """Fill the follower's window with bounded requests, or start it over with a snapshot."""
        while peer.may_send(self.config.max_inflight_messages):
            prev = peer.next - 1
            prev_term = self.log.term_at(prev)
            if prev_term is None:
                self.send_snapshot(to, peer)
                return
            entries = self.log.slice(peer.next, self.config.max_message_bytes)
            if not entries and not peer.owed and peer.commit_sent >= self.log.commit:
                return
            self.send(AppendRequest(self.id, to, self.term, prev, prev_term, entries, self.log.commit))
            peer.commit_sent = self.log.commit
            peer.sent(prev + len(entries), len(entries))

    def send_snapshot(self, to: NodeId, peer: Progress) -> None:
        """The follower needs entries that are compacted away (§7)."""
        snapshot = self.log.snapshot
        if snapshot is None:
            raise InvariantBroken(f"entries up to {self.log.base} are compacted but there is no snapshot")
        peer.await_snapshot(snapshot.index)
        self.send(InstallSnapshot(self.id, to, self.term, snapshot))
        self.emit(SnapshotSent(self.term, to, snapshot.index))

    def on_append_reply(self, message: AppendReply) -> None:
        """A follower has kept entries, or says where its log differs."""
        peer = self.peers.get(message.sender)
        if peer is None:
            return
        if message.rejected:
            agreed, _ = self.log.agree_by_term(message.hint_index, message.hint_term)
            peer.refused(message.rejected_index, agreed + 1)
            return
        if message.match > self.log.last:
            raise InvariantBroken(f"{message.sender} acknowledges {message.match}, last sent {self.log.last}")
        if peer.acknowledged(message.match):
            self.advance_commit()
            self.hand_over_if_caught_up()

    # Commitment

    def own_match(self) -> int:
        """The leader counts itself only as far as its own disk has answered (thesis §10.2.1)."""
        return self.log.durable

    def may_commit(self, index: int) -> bool:
        """Only entries of the leader's own term are committed by counting (§5.4.2, figure 8)."""
        return self.log.term_at(index) == self.term

    def advance_commit(self) -> None:
        """Commit what a majority holds durably."""
        index = agreed_index([self.own_match(), *(peer.match for peer in self.peers.values())])
        before = self.log.commit
        if self.may_commit(index) and self.log.commit_to(index):
            newly = self.log.entries[before - self.log.base : index - self.log.base]
            self.uncommitted_bytes -= sum(map(entry_bytes, newly))
            self.accept_postponed()

    # Time

    def tick_leader(self) -> None:
        """One tick of leadership: lose it, or assert it."""
        for to, peer in self.peers.items():
            peer.silent_ticks += 1
            self.tick_snapshot(to, peer)
        if not self.quorum_is_active():
            self.become_follower(self.term, None, Why.NO_QUORUM)
            return
        if self.storage_is_silent():
            # Heartbeats would keep a leader in office that can commit nothing of its own.
            self.become_follower(self.term, None, Why.DISK_SILENT)
            return
        self.tick_transfer()
        self.heartbeat_elapsed += 1
        if self.heartbeat_elapsed >= self.config.heartbeat_ticks:
            self.heartbeat_elapsed = 0
            self.broadcast_heartbeat()
            self.hand_over_if_caught_up()

    def quorum_is_active(self) -> bool:
        """CheckQuorum (thesis §6.2): a leader that no majority answers must not be believed by anyone."""
        heard = sum(peer.silent_ticks <= self.config.election_ticks for peer in self.peers.values())
        return heard + 1 >= majority(len(self.config.members))

    def tick_snapshot(self, to: NodeId, peer: Progress) -> None:
        """An unanswered snapshot is taken for lost."""
        if peer.mode is Mode.SNAPSHOT:
            peer.snapshot_ticks += 1
            if peer.snapshot_ticks >= self.config.snapshot_retry_ticks:
                self.report_snapshot(to, delivered=False)

    def broadcast_heartbeat(self) -> None:
        """Assert leadership. A follower is told no commit index beyond what it is known to hold."""
        self.number_round()
        for to, peer in self.peers.items():
            commit = self.heartbeat_commit(peer)
            self.send(Heartbeat(self.id, to, self.term, commit, self.read_round))
        self.answer_reads()

    def heartbeat_commit(self, peer: Progress) -> int:
        """A heartbeat names no previous entry, so only the acknowledged part is known to agree."""
        return min(peer.match, self.log.commit)

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        """A follower still follows: count it for reads, and look whether anything sent to it was lost."""
        peer = self.peers.get(message.sender)
        if peer is None:
            return
        peer.heard_heartbeat()
        if peer.match < self.log.last or peer.mode is Mode.PROBE:
            peer.owed = True
        if message.read_round > peer.read_round:
            peer.read_round = message.read_round
            self.answer_reads()

    # What the transport learnt

    def report_unreachable(self, peer: NodeId) -> None:
        """Sending to `peer` failed: nothing more goes out optimistically until it answers."""
        progress = self.peers.get(peer)
        if progress is not None and progress.mode is Mode.REPLICATE:
            progress.probe(progress.match + 1)
            progress.probing = True

    def report_snapshot(self, peer: NodeId, *, delivered: bool) -> None:
        """The snapshot transfer to `peer` ended. If it failed, probe after a heartbeat."""
        progress = self.peers.get(peer)
        if progress is not None and progress.mode is Mode.SNAPSHOT and not delivered:
            progress.probe(progress.match + 1)
            progress.probing = True

    def report_disk_replaced(self, peer: NodeId) -> None:
        """`peer` comes with an empty disk instead of the one that acknowledged: believe nothing of what it said.

        Counting the old disk would commit what too few hold, and tell the new one of commits it cannot have.
        """
        progress = self.peers.get(peer)
        if progress is not None:
            # Its silence goes on: a new disk is no sign of life (thesis §6.2).
            self.peers[peer] = Progress(next=self.log.last + 1, silent_ticks=progress.silent_ticks)

    # Leadership transfer (thesis §3.10)

    def transfer_leadership(self, to: NodeId) -> None:
        """Hand over to `to`: stop proposals, let it catch up, make it campaign; give up after election_ticks.

        Raises NotLeader or UnknownMember. To oneself, or again to the same member, it changes nothing.
        """
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if to not in self.config.members:
            raise UnknownMember(to)
        if to in (self.id, self.transferee):
            return
        self.transferee = to
        self.transfer_ticks = 0
        self.emit(TransferStarted(self.term, to))
        self.hand_over_if_caught_up()

    def best_transferee(self) -> NodeId | None:
        """The follower heard within an election timeout that holds most of the log, or None."""
        active = [
            (peer.match, to) for to, peer in self.peers.items() if peer.silent_ticks <= self.config.election_ticks
        ]
        return max(active)[1] if active else None

    def hand_over_if_caught_up(self) -> None:
        """Repeated at every heartbeat, because TimeoutNow may be lost."""
        if self.transferee is not None and self.peers[self.transferee].match == self.log.last:
            self.send(TimeoutNow(self.id, self.transferee, self.term))

    def tick_transfer(self) -> None:
        """A target that does not take over must not block proposals for ever."""
        if self.transferee is None:
            return
        self.transfer_ticks += 1
        if self.transfer_ticks >= self.config.election_ticks:
            self.emit(TransferAborted(self.term, self.transferee, Why.TIMED_OUT))
            self.transferee = None
