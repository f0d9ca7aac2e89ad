"""What an operator wants to read about a member: typed events, each with the reason it happened.

The core emits them in Ready and keeps the last few; `describe` turns one into a log line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from service.raft.messages import NodeId


class Why(Enum):
    """Why a member left a role or gave something up, in an operator's words."""

    NEWER_TERM = "a member has a newer term"
    NO_QUORUM = "no majority was heard for an election timeout"
    DISK_SILENT = "its own storage has not answered for an election timeout"
    ELECTION_LOST = "a majority refused"
    LEADER_APPEARED = "the leader of the term was heard"
    LEADER_SILENT = "the leader was not heard for an election timeout"
    NO_LEADER = "no leader was ever heard"
    TRANSFERRED = "the leader asked for it"
    TIMED_OUT = "it took longer than an election timeout"


@dataclass(frozen=True, slots=True)
class StartedPreVote:
    """An election timer ran out. `silent_ticks` is how long `lost_leader` (None: nobody) was not heard."""

    term: int
    why: Why
    lost_leader: NodeId | None
    silent_ticks: int


@dataclass(frozen=True, slots=True)
class StartedElection:
    """This member asks for votes in `term`."""

    term: int
    why: Why
    lost_leader: NodeId | None
    silent_ticks: int


@dataclass(frozen=True, slots=True)
class BecameLeader:
    """This member won the election of `term`, for the reason the election began."""

    term: int
    why: Why
    lost_leader: NodeId | None
    silent_ticks: int


@dataclass(frozen=True, slots=True)
class SteppedDown:
    """A leader stopped leading, or a candidate gave up, in `term`."""

    term: int
    was_leader: bool
    why: Why


@dataclass(frozen=True, slots=True)
class FollowsLeader:
    """The leader of `term` became known to a follower."""

    term: int
    leader: NodeId


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """The leader stopped taking proposals to hand over to `to`."""

    term: int
    to: NodeId


@dataclass(frozen=True, slots=True)
class TransferAborted:
    """The hand-over to `to` did not happen; the leader takes proposals again."""

    term: int
    to: NodeId
    why: Why


@dataclass(frozen=True, slots=True)
class SnapshotSent:
    """A follower was too far behind for entries."""

    term: int
    to: NodeId
    index: int


@dataclass(frozen=True, slots=True)
class SnapshotReceived:
    """The leader's snapshot replaces this member's log up to `index`."""

    term: int
    index: int


Event = (
    StartedPreVote
    | StartedElection
    | BecameLeader
    | SteppedDown
    | FollowsLeader
    | TransferStarted
    | TransferAborted
    | SnapshotSent
    | SnapshotReceived
)


def describe(node: NodeId, event: Event, tick_ms: int) -> str:  # noqa: PLR0911 - a table of sentences
    """One line for a human: "n2 became leader of term 7: n1 silent for 1.4 s". `tick_ms` >= 1."""
    match event:
        case StartedPreVote(term=term):
            return f"{node} asks for pre-votes in term {term}: {_cause(node, event, tick_ms)}"
        case StartedElection(term=term):
            return f"{node} asks for votes in term {term}: {_cause(node, event, tick_ms)}"
        case BecameLeader(term=term):
            return f"{node} became leader of term {term}: {_cause(node, event, tick_ms)}"
        case SteppedDown(term=term, was_leader=was_leader, why=why):
            role = "leader" if was_leader else "candidate"
            return f"{node} is no longer {role} in term {term}: {why.value}"
        case FollowsLeader(term=term, leader=leader):
            return f"{node} follows {leader}, leader of term {term}"
        case TransferStarted(term=term, to=to):
            return f"{node} hands leadership of term {term} to {to}"
        case TransferAborted(term=term, to=to, why=why):
            return f"{node} keeps leadership of term {term}, {to} did not take it: {why.value}"
        case SnapshotSent(to=to, index=index):
            return f"{node} sends its snapshot of entry {index} to {to}"
        case SnapshotReceived(index=index):
            return f"{node} installs the leader's snapshot of entry {index}"


def _cause(node: NodeId, event: StartedPreVote | StartedElection | BecameLeader, tick_ms: int) -> str:
    if event.why is Why.TRANSFERRED:
        return f"{event.lost_leader} handed over"
    seconds = event.silent_ticks * tick_ms / 1000
    if event.lost_leader is None:
        return f"no leader known for {seconds:.1f} s"
    if event.lost_leader == node:
        return f"no leader since it stepped down {seconds:.1f} s ago"
    return f"{event.lost_leader} silent for {seconds:.1f} s"
