"""What must hold after every step, checked from outside the core against what the disks really hold.

The checker keeps its own history of the world; it shares no code with the rules it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from service.raft.core import Raft
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    InstallSnapshot,
    Message,
    NodeId,
    PreVoteReply,
    PreVoteRequest,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import Ready, Role

if TYPE_CHECKING:
    from tests.raft.simulator.member import Machine, Member


FROM_LEADER = (AppendRequest, Heartbeat, InstallSnapshot)
"""Only the leader of a term sends these, so their sender *is* the leader of their term."""


class Violation(AssertionError):
    """An invariant is broken. `name` is what a shrunk schedule must break again."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name


class Before(NamedTuple):
    """What a message of an older term may not change."""

    term: int
    vote: NodeId | None
    role: Role
    votes: tuple[tuple[NodeId, bool], ...]
    last: int
    commit: int
    peers: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, core: Raft) -> Before:
        peers = tuple((peer.match, peer.read_round) for peer in core.peers.values())
        votes = tuple(core.votes.items())
        return cls(core.term, core.vote, core.role, votes, core.log.last, core.log.commit, peers)


@dataclass(slots=True)
class Seen:
    """What was last seen of one life of one member."""

    term: int = 0
    commit: int = 0
    applied: int = 0
    led_term: int = 0
    led_last: int = 0
    heard_term: int = -1
    heard_tick: int = 0
    contact: dict[NodeId, int] = field(default_factory=dict)
    match: dict[NodeId, int] = field(default_factory=dict)


class Checker:
    """All invariants of a run."""

    def __init__(self, members: Callable[[], Sequence[Member]]) -> None:
        self.committed: dict[int, Entry] = {}
        self.commit_term: dict[int, int] = {}
        self.max_committed = 0
        self.max_term = 0
        self.leaders: dict[int, tuple[NodeId, int]] = {}
        self.slots: dict[tuple[int, int], tuple[bytes, EntryKind, int]] = {}
        self.digests: dict[int, int] = {0: 0}
        self.seen: dict[NodeId, Seen] = {}
        self._members = members

    # Life

    def on_start(self, member: Member, core: Raft) -> None:
        """A member starts: nothing it was known to hold durably may be gone."""
        old = self.seen.get(member.id, Seen())
        self.seen[member.id] = Seen(term=core.term, commit=core.log.commit, applied=core.log.applied)
        self._require(core.log.commit <= self.max_committed, "commit", f"{member.id} starts past all commits")
        self._require(old.led_term <= core.term, "durable term", f"{member.id} forgot the term it led")

    def on_new_disk(self, member: Member) -> None:
        """Its new disk promises nothing of what the old one did."""
        self.seen.pop(member.id, None)

    def after(self, member: Member, core: Raft) -> None:
        """After each step of `member`."""
        seen = self.seen[member.id]
        log = core.log
        self._require(core.term >= seen.term, "monotonic term", f"{member.id}: {seen.term} to {core.term}")
        self._require(log.commit >= seen.commit, "monotonic commit", member.id)
        self._require(log.applied >= seen.applied, "monotonic applied", member.id)
        self._require(log.applied <= log.commit <= log.last, "log positions", f"{member.id}: {log.commit}")
        if core.term > seen.term:
            seen.term = core.term
            self.max_term = max(self.max_term, core.term)
        seen.applied = log.applied
        if log.commit > seen.commit:
            self._on_commit(member, core, seen.commit)
            seen.commit = log.commit
        if core.role is Role.LEADER:
            self._check_leader(member, core, seen)
        self._check_believed_durable(member, core)

    # Elections

    def _check_leader(self, member: Member, core: Raft, seen: Seen) -> None:
        if seen.led_term != core.term:
            holder = self.leaders.setdefault(core.term, (member.id, member.life))
            self._require(
                holder == (member.id, member.life),
                "election safety",
                f"{member.id} leads term {core.term} but so did {holder[0]}",
            )
            self._check_completeness(member, core)
            self._check_votes(member, core)
            seen.led_term = core.term
            seen.match = {}
            seen.contact = dict.fromkeys(core.others, core.ticks)
        else:
            self._require(core.log.last >= seen.led_last, "leader append-only", member.id)
        seen.led_last = core.log.last
        self._check_peers(member, core, seen)
        limit = core.config.election_ticks + 2
        heard = sum(core.ticks - tick <= limit for tick in seen.contact.values())
        needed = (len(core.others) + 1) // 2
        self._require(heard >= needed, "check quorum", f"{member.id} leads but hears no majority")
        if member.disk.queue:
            waited = core.ticks - member.disk.queue[0].submitted_tick
            self._require(waited <= limit, "hung disk", f"{member.id} leads though its disk is silent")

    def _check_votes(self, member: Member, core: Raft) -> None:
        """A majority has durably voted for a new leader, or gone on to a newer term since."""
        voters = 0
        for other in self._members():
            stored = other.disk.hard_state
            voters += stored.term > core.term or (stored.term == core.term and stored.vote == member.id)
        needed = len(core.config.members) // 2 + 1
        self._require(voters >= needed, "elected by votes", f"{member.id} leads term {core.term} by {voters} votes")

    def _check_peers(self, member: Member, core: Raft, seen: Seen) -> None:
        """What a leader believes of its followers: never less than before, within its window, and true."""
        disks = {other.id: other.disk for other in self._members()}
        for node, peer in core.peers.items():
            window = core.config.max_inflight_messages
            self._require(len(peer.inflight) <= window, "window", f"{member.id} to {node}: {len(peer.inflight)}")
            match = seen.match.get(node, 0)
            if peer.match == match:
                continue
            self._require(match < peer.match < peer.next, "monotonic match", f"{member.id} of {node}: {match}")
            seen.match[node] = peer.match
            term = core.log.term_at(peer.match)
            # A follower of a newer term may have had to give up what it acknowledged in this one.
            if term is not None and disks[node].hard_state.term <= core.term:
                held = disks[node].holds(peer.match, term)
                self._require(held, "match is durable", f"{member.id} believes that {node} holds {peer.match}")

    def on_disk_lost(self, member: Member, node: NodeId) -> None:
        """`member` has learnt that nothing `node` acknowledged counts any more."""
        self.seen[member.id].match.pop(node, None)

    def _check_completeness(self, member: Member, core: Raft) -> None:
        for index in range(self.max_committed, core.log.base, -1):
            if self.commit_term[index] < core.term:
                self._require(
                    core.log.holds(index, self.committed[index].term),
                    "leader completeness",
                    f"{member.id} leads term {core.term} without committed entry {index}",
                )

    # Log

    def on_ready(self, member: Member, core: Raft, ready: Ready) -> None:
        """Before a Ready is carried out: its entries, its messages, its bounds."""
        # Applying may compact away the very entries whose commit has to be checked.
        self.after(member, core)
        entries = ready.entries
        if entries:
            before = core.log.term_at(entries[0].index - 1)
            for entry in entries:
                if before is not None:
                    self._check_slot(member, entry, before)
                before = entry.term
        if ready.hard_state is not None:
            stored, last = ready.hard_state.commit, member.disk.last
            self._require(stored <= last, "stored commit is durable", f"{member.id}: {stored} of {last}")
        for message in ready.messages:
            self._check_promise(member, core, message)

    def _check_slot(self, member: Member, entry: Entry, before: int) -> None:
        value = (entry.data, entry.kind, before)
        known = self.slots.setdefault((entry.index, entry.term), value)
        self._require(known == value, "log matching", f"{member.id}: entry {entry.index} of term {entry.term} differs")

    def _on_commit(self, member: Member, core: Raft, before: int) -> None:
        log = core.log
        if core.role is Role.LEADER and log.commit > log.base:
            own = log.holds(log.commit, core.term)
            self._require(own, "commit by count", f"{member.id} commits up to {log.commit}, which is not of its term")
        for index in range(max(before, log.base) + 1, log.commit + 1):
            entry = log.entries[index - log.base - 1]
            known = self.committed.get(index)
            if known is None:
                self.committed[index] = entry
                self.commit_term[index] = core.term
                self.max_committed = max(self.max_committed, index)
                self._check_durable_quorum(member, entry)
            else:
                self._require(
                    known.term == entry.term and known.data == entry.data,
                    "committed entries never change",
                    f"{member.id} commits {entry} where {known} was committed",
                )
        self._require(log.commit <= self.max_committed, "commit", f"{member.id} commits what no leader did")

    def _check_durable_quorum(self, member: Member, entry: Entry) -> None:
        members = self._members()
        holders = sum(other.disk.holds(entry.index, entry.term) for other in members)
        self._require(
            holders > len(members) // 2,
            "durable quorum",
            f"{member.id} commits entry {entry.index} of term {entry.term} durable on {holders} disks",
        )

    def on_replace(self, node: NodeId, old: Entry, new: Entry) -> None:
        """A disk overwrites an entry by another."""
        known = self.committed.get(old.index)
        self._require(
            known is None or known.term != old.term or known.term == new.term,
            "committed entries never change",
            f"{node} overwrites committed entry {old.index} of term {old.term} by term {new.term}",
        )

    # Durability

    def on_entry(self, node: NodeId, entry: Entry, state: HardState) -> None:
        """An entry reaches a disk, which a power cut may leave with this one as its last."""
        self._require(entry.term <= state.term, "term before log", f"{node}: {entry} on a disk in term {state.term}")

    def _check_promise(self, member: Member, core: Raft, message: Message) -> None:
        """Nothing may be sent before it is durable."""
        disk = member.disk
        stored = disk.hard_state
        name = "nothing is sent before it is durable"
        if isinstance(message, PreVoteRequest):
            self._require(message.term <= stored.term + 1, name, f"{message}")
        elif not (isinstance(message, PreVoteReply) and message.granted):
            self._require(message.term <= stored.term, name, f"{message} but the disk is in {stored.term}")
        if isinstance(message, VoteRequest) or (isinstance(message, VoteReply) and message.granted):
            vote = member.id if isinstance(message, VoteRequest) else message.to
            kept = stored.term > message.term or stored.vote == vote
            self._require(kept, name, f"{message} but the disk has {stored}")
        elif isinstance(message, AppendReply) and not message.rejected and message.term == core.term:
            term = core.log.term_at(message.match)
            kept = term is None or disk.holds(message.match, term)
            self._require(kept, name, f"{message} but the disk ends at {disk.last}")
        elif isinstance(message, AppendRequest) and len(message.entries) > 1:
            size = sum(len(entry.data) for entry in message.entries)
            self._require(size <= core.config.max_message_bytes, "message bound", f"{size} bytes")
        elif isinstance(message, TimeoutNow):
            [target] = [other.disk for other in self._members() if other.id == message.to]
            complete = target.holds(core.log.last, core.log.last_term) or target.hard_state.term > core.term
            self._require(complete, "transfer to a complete log", f"{message}, which lacks {core.log.last}")

    def _check_believed_durable(self, member: Member, core: Raft) -> None:
        log = core.log
        term = log.term_at(log.durable)
        if term is not None and log.durable > log.base:
            held = member.disk.holds(log.durable, term)
            self._require(held, "believed durable", f"{member.id} takes {log.durable} for durable")

    # State machine

    def on_apply(self, member: Member, entry: Entry, machine: Machine) -> None:
        """An entry was applied: the same one, with the same outcome, as anywhere else."""
        seen = self.seen[member.id]
        self._require(entry.index > seen.applied, "monotonic applied", f"{member.id}: {entry.index}")
        known = self.digests.setdefault(entry.index, machine.digest)
        self._require(known == machine.digest, "state machine safety", f"{member.id} at {entry.index}")
        self._require(member.disk.holds(entry.index, entry.term), "applied is durable", f"{member.id}: {entry}")

    def on_restore(self, member: Member, machine: Machine) -> None:
        """A state machine was replaced by a snapshot."""
        seen = self.seen[member.id]
        self._require(machine.applied >= seen.applied, "snapshot goes backwards", member.id)
        known = self.digests.get(machine.applied)
        self._require(known == machine.digest, "state machine safety", f"{member.id} restored")

    # Messages in

    def on_step(self, member: Member, core: Raft, message: Message, before: Before) -> None:
        """After a message: old terms and pre-votes change nothing, and a heard leader is defended."""
        seen = self.seen[member.id]
        heard = seen.heard_term == before.term and core.ticks - seen.heard_tick < core.config.election_ticks
        is_foreign = message.to != member.id or message.sender not in core.others
        if message.term < before.term or is_foreign:
            self._require(Before.of(core) == before, "old or foreign changes nothing", f"{member.id} on {message}")
        if is_foreign:
            return
        if isinstance(message, PreVoteRequest):
            unchanged = (core.term, core.vote) == before[:2]
            self._require(unchanged, "pre-vote changes nothing", f"{member.id} on {message}")
            granted = any(isinstance(said, PreVoteReply) and said.granted for said in core.outbox.messages)
            self._require(not (heard and granted), "leader stickiness", f"{member.id} grants {message}")
        elif isinstance(message, VoteRequest) and not message.transfer and core.term > before.term:
            self._require(not heard, "leader stickiness", f"{member.id} heard its leader, yet {message}")
        if message.term == core.term:
            if isinstance(message, FROM_LEADER):
                seen.heard_term, seen.heard_tick = core.term, core.ticks
            if message.sender in seen.contact:
                seen.contact[message.sender] = core.ticks

    # End

    def at_end(self) -> None:
        """Every committed entry is on a durable majority still."""
        members = self._members()
        for index, entry in self.committed.items():
            holders = sum(member.disk.holds(index, entry.term) for member in members)
            self._require(holders > len(members) // 2, "durable quorum", f"{entry} on {holders} disks at end")

    def _require(self, holds: bool, name: str, detail: str) -> None:
        if not holds:
            raise Violation(name, detail)
