"""The variables of one member (figure 2), how it changes role, and when a message may leave it.

`Raft` is built in layers, each a file of rules over the ones before it:
State -> Reads -> Leader -> Election -> Follower -> Raft. Every safety rule is a method of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from service.raft.config import Config
from service.raft.errors import CorruptState, InvariantBroken
from service.raft.events import Event, FollowsLeader, SteppedDown, Why
from service.raft.log import Log
from service.raft.messages import (
    AppendReply,
    Entry,
    HardState,
    Message,
    NodeId,
    Snapshot,
    VoteReply,
    VoteRequest,
)
from service.raft.progress import Progress
from service.raft.ready import ReadState, Role, WriteAck

PROMISES = (VoteRequest, VoteReply, AppendReply)
"""Messages that speak for a disk: a vote for oneself, a vote for another, entries kept."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What storage found at start-up; the default is a first start."""

    hard_state: HardState = field(default_factory=HardState)
    snapshot: Snapshot | None = None
    entries: tuple[Entry, ...] = ()


class Cause(NamedTuple):
    """Why the current election began, carried until it is decided."""

    why: Why
    lost_leader: NodeId | None
    silent_ticks: int


@dataclass(slots=True)
class Outbox:
    """Everything the next Ready will carry beside the log."""

    messages: list[Message] = field(default_factory=list)
    read_states: list[ReadState] = field(default_factory=list)
    reads_lost: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.messages or self.read_states or self.reads_lost or self.events)


class State:
    """Persistent and volatile variables of a member, and the transitions between roles."""

    def __init__(self, config: Config, random: Random, stored: Stored) -> None:
        """`random` draws election timeouts only. Raises ConfigError or CorruptState."""
        config.validate()
        self.config = config
        self.random = random
        self.id = config.node
        self.others = tuple(member for member in config.members if member != config.node)
        self.term = stored.hard_state.term
        self.vote = stored.hard_state.vote
        self.log = Log(stored.snapshot, stored.entries, stored.hard_state.commit)
        self._refuse_contradictions(stored)
        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        self.last_leader: NodeId | None = None
        self.votes: dict[NodeId, bool] = {}
        self.cause = Cause(Why.NO_LEADER, None, 0)
        self.transfer_campaign = False
        self.peers: dict[NodeId, Progress] = {}
        self.transferee: NodeId | None = None
        self.transfer_ticks = 0
        self.uncommitted_bytes = 0
        self.ticks = 0
        self.election_elapsed = 0
        self.leader_silence = 0
        self.heartbeat_elapsed = 0
        self.timeout_ticks = 0
        self.outbox = Outbox()
        self.history: deque[tuple[int, Event]] = deque(maxlen=config.history_events)
        self.unwritten = False
        self.written_term = self.term
        self.write_number = 0
        self.writes_out: deque[WriteAck] = deque()
        self.write_ticks: deque[int] = deque()
        self.held: deque[tuple[int, Message]] = deque()
        self.unhanded_snapshot: Snapshot | None = None
        self.reset_election_timer()

    def _refuse_contradictions(self, stored: Stored) -> None:
        if self.log.last_term > self.term:
            raise CorruptState(
                f"log has an entry of term {self.log.last_term} but the stored term is {self.term}: "
                "the term must be written before the entry"
            )
        if self.vote is not None and self.vote not in self.config.members:
            raise CorruptState(f"stored vote is for {self.vote}, who is not a member")
        if stored.snapshot is not None and set(stored.snapshot.members) != set(self.config.members):
            raise CorruptState(
                f"snapshot is of members {sorted(stored.snapshot.members)}, not of {sorted(self.config.members)}"
            )

    # Time

    def reset_election_timer(self) -> None:
        """Draw a fresh timeout, so that members rarely campaign together (§5.2)."""
        self.election_elapsed = 0
        self.timeout_ticks = self.config.election_ticks + 1 + self.random.randrange(self.config.election_ticks)

    def storage_is_silent(self) -> bool:
        """The oldest write is unanswered for longer than an election timeout: a hung disk, not a slow one.

        The time since the last answer would not do: late answers to earlier writes can hide a hang.
        """
        return bool(self.write_ticks) and self.ticks - self.write_ticks[0] > self.config.election_ticks

    # Roles

    def emit(self, event: Event) -> None:
        """Tell the operator."""
        self.outbox.events.append(event)
        self.history.append((self.ticks, event))

    def enter_term(self, term: int) -> None:
        """Adopt a newer term; whatever was promised belongs to the old one (§5.1)."""
        if term < self.term:
            raise InvariantBroken(f"term would fall from {self.term} to {term}")
        if term > self.term:
            self.term = term
            self.vote = None
            self.unwritten = True

    def become_follower(self, term: int, leader: NodeId | None, why: Why) -> None:
        """Follow `leader` (None: unknown) in `term`, dropping all that only a leader or candidate has."""
        if self.role is not Role.FOLLOWER:
            self.emit(SteppedDown(self.term, self.role is Role.LEADER, why))
        self.enter_term(term)
        self.role = Role.FOLLOWER
        self.votes = {}
        self.peers = {}
        self.transferee = None
        self.transfer_campaign = False
        self.drop_reads()
        self.reset_election_timer()
        self.leader = None
        if leader is not None:
            self.hear_leader(leader)

    def hear_leader(self, leader: NodeId) -> None:
        """The leader of this term has spoken: nobody else can be it (§5.2, election safety)."""
        if self.leader is not None and self.leader != leader:
            raise InvariantBroken(f"{leader} and {self.leader} both lead term {self.term}")
        self.election_elapsed = 0
        self.leader_silence = 0
        if self.leader is None:
            self.leader = self.last_leader = leader
            self.emit(FollowsLeader(self.term, leader))

    def drop_reads(self) -> None:
        """Give up reads in progress; the layer that has reads replaces this."""

    # Messages

    def send(self, message: Message) -> None:
        """Queue a message; one that must wait for the disk waits for every write not yet confirmed."""
        needed = self.write_number + 1 if self.has_unwritten() else self.write_number
        if self.must_wait_for_disk(message) and self.is_undurable(needed):
            # A leader repeats itself at every heartbeat; a hung disk must not pile up as many equal answers.
            if not self.held or self.held[-1] != (needed, message):
                self.held.append((needed, message))
        else:
            self.outbox.messages.append(message)

    def must_wait_for_disk(self, message: Message) -> bool:
        """Promises wait; so does any message of a term a crash could make this member forget (figure 2).

        A leader's appends do not wait: they may reach followers before its own disk (thesis §10.2.1).
        """
        return isinstance(message, PROMISES) or self.term > self.written_term

    def has_unwritten(self) -> bool:
        """True if something waits to be handed to storage."""
        return self.unwritten or self.log.handed < self.log.last or self.unhanded_snapshot is not None

    def is_undurable(self, number: int) -> bool:
        """True unless write `number` and all before it are confirmed."""
        return number > self.write_number or (bool(self.writes_out) and self.writes_out[0].number <= number)

    def is_stale_ack(self, ack: WriteAck) -> bool:
        """True for an ack of an older term: the entries it attests may have been replaced since.

        A newer term is itself a write whose ack attests the log anew, so nothing waits for ever. Index and
        term of the last entry do not suffice: the same pair can be cut off and come back (ABA).
        """
        return ack.term != self.term
