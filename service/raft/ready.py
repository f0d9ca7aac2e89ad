"""What the core wants done, and what it is told once it has been done.

The rules a runner keeps, all of them:

1. Writes are made in the order of the Readys that carry them, each one whole, and an ack is given back
   (`advance(ready.write_ack)`) only when its write *and every earlier one* survives a power cut.
2. `messages` may be sent as soon as they are seen, before the write of the same Ready: whatever promises
   something about a disk is held inside the core until the ack arrives, and comes out in a later Ready.
3. `committed` is applied in order, and then `advance(ready.apply_ack)` is called.

A late, repeated or foreign ack is harmless: the core knows each ack by identity and by term.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from service.raft.events import Event
from service.raft.messages import Entry, HardState, Message, NodeId, Snapshot


class Role(Enum):
    """§5.1, and PRE_CANDIDATE of thesis §9.6."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True, eq=False)
class WriteAck:
    """Receipt of one write, compared by identity: `number` counts writes, `term` is the core's at that time.

    It attests the whole log up to `last_index` (whose entry has `last_term`) and the snapshot of
    `snapshot_index` (0: none was waiting), including parts that earlier writes carried.
    """

    number: int
    term: int
    last_index: int
    last_term: int
    snapshot_index: int


@dataclass(frozen=True, slots=True)
class ApplyAck:
    """The state machine shows everything up to `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class ReadState:
    """The read named `context` is linearizable once `index` is applied here (thesis §6.4)."""

    context: bytes
    index: int


@dataclass(frozen=True, slots=True)
class SoftState:
    """What a runner shows and routes by; it is not stored."""

    role: Role
    term: int
    leader: NodeId | None


@dataclass(frozen=True, slots=True)
class Proposed:
    """Where a proposal stands in the log. It is committed when the entry applied at `index` has `term`."""

    index: int
    term: int


@dataclass(frozen=True, slots=True)
class PeerState:
    """A leader's view of one follower, for operators: `match` is durable there."""

    match: int
    next: int
    mode: str
    silent_ticks: int


@dataclass(frozen=True, slots=True)
class Ready:
    """One batch of work. Empty fields ask for nothing."""

    hard_state: HardState | None = None
    """Write first: an entry must never be on a disk that does not know its term yet."""
    snapshot: Snapshot | None = None
    """Write second: it replaces the stored snapshot *and the whole stored log*; restore the state machine
    from it before giving back `write_ack`."""
    entries: tuple[Entry, ...] = ()
    """Write third: they replace everything stored from the first one's index on."""
    write_ack: WriteAck | None = None
    """Give back when all three are durable. None when there is nothing to write."""
    messages: tuple[Message, ...] = ()
    """Send now, in any order, losing any: none of them promises what is not durable."""
    committed: tuple[Entry, ...] = ()
    """Apply in order. NOOP entries carry no command but count."""
    apply_ack: ApplyAck | None = None
    """Give back when `committed` is applied."""
    read_states: tuple[ReadState, ...] = ()
    reads_lost: tuple[bytes, ...] = ()
    """Contexts of reads this member can no longer confirm: ask again."""
    soft_state: SoftState | None = None
    """Present when it changed."""
    events: tuple[Event, ...] = ()
