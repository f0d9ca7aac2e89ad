"""What Raft stores and what members say to each other.

Names follow the Raft paper (Ongaro & Ousterhout 2014, "§") and Ongaro's thesis ("thesis §").
Everything here is immutable, so a message handed to a transport can never change under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NodeId = str


class EntryKind(Enum):
    """NORMAL entries carry a command for the replicated state machine; a NOOP opens a term (thesis §6.4)."""

    NORMAL = "normal"
    NOOP = "noop"


@dataclass(frozen=True, slots=True)
class Entry:
    """One slot of the log. `index` starts at 1; `data` is opaque to Raft and empty for a NOOP."""

    term: int
    index: int
    data: bytes = b""
    kind: EntryKind = EntryKind.NORMAL


@dataclass(frozen=True, slots=True)
class HardState:
    """What must survive a crash beside the log (§5, figure 2): `term` and `vote`.

    `commit` rides along to spare a restarted member the wait for a leader. It never exceeds what was
    durable when it was written, so a log that ends before it has lost acknowledged entries.
    """

    term: int = 0
    vote: NodeId | None = None
    commit: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state machine after `index`, whose entry had `term` (§7). `members` is refused if it differs."""

    index: int
    term: int
    members: tuple[NodeId, ...]
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class PreVoteRequest:
    """Would you vote for me in `term`? (thesis §9.6) The sender's own term is still `term - 1`."""

    sender: NodeId
    to: NodeId
    term: int
    last_index: int
    last_term: int


@dataclass(frozen=True, slots=True)
class PreVoteReply:
    """A grant echoes the request's term; a refusal carries the refuser's own."""

    sender: NodeId
    to: NodeId
    term: int
    granted: bool


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """RequestVote (§5.2). `transfer` says the old leader asked for this election (thesis §3.10)."""

    sender: NodeId
    to: NodeId
    term: int
    last_index: int
    last_term: int
    transfer: bool = False


@dataclass(frozen=True, slots=True)
class VoteReply:
    """The answer to RequestVote; a grant is a promise and leaves only once the vote is durable."""

    sender: NodeId
    to: NodeId
    term: int
    granted: bool


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """AppendEntries (§5.3). `entries` follow directly on `prev_index`; `commit` is the leader's."""

    sender: NodeId
    to: NodeId
    term: int
    prev_index: int
    prev_term: int
    entries: tuple[Entry, ...]
    commit: int


@dataclass(frozen=True, slots=True)
class AppendReply:
    """Either "my log equals yours up to `match`, durably", or a refusal of the request at `rejected_index`.

    A refusal carries where to try next: the highest index at most `rejected_index` whose term may agree,
    and the follower's term there (§5.3, the optimisation at its end).
    """

    sender: NodeId
    to: NodeId
    term: int
    match: int
    rejected: bool = False
    rejected_index: int = 0
    hint_index: int = 0
    hint_term: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Leadership asserted without entries. `commit` never exceeds what the follower is known to hold.

    `read_round` numbers the leader's ReadIndex confirmations (thesis §6.4) within its term.
    """

    sender: NodeId
    to: NodeId
    term: int
    commit: int
    read_round: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """ "You were my leader when I got your heartbeat of `read_round`." """

    sender: NodeId
    to: NodeId
    term: int
    read_round: int


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """A whole snapshot (§7); cutting it into bounded chunks is the transport's affair."""

    sender: NodeId
    to: NodeId
    term: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """The leader asks a caught-up follower to start an election at once (thesis §3.10)."""

    sender: NodeId
    to: NodeId
    term: int


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A follower forwards a linearizable read; `context` is opaque and comes back unchanged."""

    sender: NodeId
    to: NodeId
    term: int
    context: bytes


@dataclass(frozen=True, slots=True)
class ReadReply:
    """The read named `context` may be served once the asker has applied `index`."""

    sender: NodeId
    to: NodeId
    term: int
    context: bytes
    index: int


Message = (
    PreVoteRequest
    | PreVoteReply
    | VoteRequest
    | VoteReply
    | AppendRequest
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | InstallSnapshot
    | TimeoutNow
    | ReadRequest
    | ReadReply
)
