"""What every node tells the leader once a second, and what it gets for it: the right to go on granting locks."""

from __future__ import annotations

import msgspec

PATH = "/raft/report"
DEADLINE_S = 3.0
ANSWER_BYTES_MAX = 64 << 10


class Report(msgspec.Struct, array_like=True, frozen=True):
    """How one node stands."""

    node: str
    generation: int
    """The one it works with: it grants nothing under older ones any more."""
    old_leases_ms: int
    """How long leases that it granted under older generations can still run."""
    is_troubled: bool
    """Redis is not fenced as the log says, or is another than the log names: the leader must look."""
    shipped: str
    """Script set of its installation."""
    loaded: dict[str, str]
    """By script set: empty once every Redis primary has its scripts, else why not."""
    redis: dict[str, str]
    """By address: the incarnation it is connected to, in words; empty while it is not."""
    run_ids: tuple[str, ...] = ()
    """Of the Redis processes that it is connected to."""


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """The leader's word, confirmed by a majority after the report came."""

    delegation_ms: int
    """How long, from when the report was sent, the node may grant; 0 until it works with the generation of now."""
    applied: int
    """Where the leader's state stood: a node that has applied as much has caught up."""
    foreign: str
    """The cluster whose data Redis holds instead of ours, if so."""
    trouble: str
    """Why Redis cannot be used now, if so."""


encoder = msgspec.msgpack.Encoder()
report_decoder = msgspec.msgpack.Decoder(Report)
answer_decoder = msgspec.msgpack.Decoder(Answer)
