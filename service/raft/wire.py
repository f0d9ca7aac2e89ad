"""What nodes say to each other, as bytes: MessagePack arrays, made from the core's own message types.

A request and its answer have one form, a Parcel: who speaks (with the disk that stands behind the name), to whom, in
which cluster, and a list of messages. Sender and addressee are said once a parcel, not once a message. The wire types
are made from the dataclasses of `messages`, so a field cannot be forgotten; a test holds the bytes of version 1.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import msgspec

from service.raft import messages
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    PreVoteReply,
    PreVoteRequest,
    ReadReply,
    ReadRequest,
    Snapshot,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)

VERSION = 1
"""Raised only when an older node would misread the newer one's bytes: nodes of different versions refuse each other, so
a raise needs all nodes stopped at once. Neither of these needs one: a field appended to a message, with a default that
means what its absence meant (older nodes ignore it); a new message type (older nodes drop it, like a lost packet)."""
PARCEL_BYTES_MAX = 8 << 20
"""One HTTP body between nodes."""
CHUNK_BYTES = 256 << 10
"""Snapshot bytes in one request."""
SNAPSHOT_BYTES_MAX = 256 << 20

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Disk = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

# The number of each type, and how many fields it has had from the start; those appended later may be missing. The
# numbers are the protocol: append new ones, never reuse one. InstallSnapshot travels as SnapshotChunk.
_NUMBERS: dict[type[Any], tuple[int, int]] = {
    PreVoteRequest: (1, 3),
    PreVoteReply: (2, 2),
    VoteRequest: (3, 4),
    VoteReply: (4, 2),
    AppendRequest: (5, 5),
    AppendReply: (6, 6),
    Heartbeat: (7, 3),
    HeartbeatReply: (8, 2),
    TimeoutNow: (9, 1),
    ReadRequest: (10, 2),
    ReadReply: (11, 3),
}
_CHUNK_NUMBER = 12
_KINDS = (EntryKind.NORMAL, EntryKind.NOOP)
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


class WireError(ValueError):
    """Bytes that are no parcel; the message says what is wrong with them."""


class WireEntry(msgspec.Struct, array_like=True, frozen=True):
    """One entry; `kind` 0 is a command, 1 the no-op that opens a term."""

    term: Count
    index: Count
    data: bytes
    kind: Annotated[int, msgspec.Meta(ge=0, le=1)]


class SnapshotChunk(msgspec.Struct, array_like=True, frozen=True, tag=_CHUNK_NUMBER):
    """Bytes `offset` and following of a snapshot of `total` bytes; chunks are sent in order, each once answered."""

    term: Count
    index: Count
    snapshot_term: Count
    members: tuple[Name, ...]
    total: Annotated[int, msgspec.Meta(ge=0, le=SNAPSHOT_BYTES_MAX)]
    offset: Count
    data: bytes


def wire_type(message: type[Any], number: int, always: int) -> type[Any]:
    """Like `message`, without sender and addressee and with bounded integers; fields after the first `always` take
    their default where they are missing."""
    hints = get_type_hints(message, vars(messages))
    replaced = {int: Count, tuple[Entry, ...]: tuple[WireEntry, ...]}
    described: list[Any] = []
    for field in fields(message):
        if field.name not in ("sender", "to"):
            kind = replaced.get(hints[field.name], hints[field.name])
            is_new = len(described) >= always
            described.append((field.name, kind, field.default) if is_new else (field.name, kind))
    return msgspec.defstruct(message.__name__, described, array_like=True, frozen=True, tag=number)


_WIRE_TYPES = {message: wire_type(message, *numbers) for message, numbers in _NUMBERS.items()}
_KNOWN_NUMBERS = {_CHUNK_NUMBER, *(number for number, _ in _NUMBERS.values())}
_MESSAGE_TYPES = {wire: message for message, wire in _WIRE_TYPES.items()}
_FIELDS = {
    message: tuple(field.name for field in fields(message) if field.name not in ("sender", "to"))
    for message in _NUMBERS
}

_AnyWire: Any = SnapshotChunk
for _made in _WIRE_TYPES.values():
    _AnyWire |= _made


class Parcel(msgspec.Struct, array_like=True, frozen=True):
    """One HTTP body in either direction. `lane` says which of the sender's queues it came from."""

    version: int
    cluster: Name
    sender: Name
    disk: Disk
    to: Name
    to_disk: Annotated[str, msgspec.Meta(max_length=64)]
    """The disk that the sender knows the addressee by; empty before the first contact."""
    lane: Annotated[int, msgspec.Meta(ge=0, le=255)]
    messages: list[_AnyWire]


_decoder = msgspec.msgpack.Decoder(Parcel)
_encoder = msgspec.msgpack.Encoder()


def encode(parcel: Parcel) -> bytes:
    """The bytes of a parcel."""
    return _encoder.encode(parcel)


def decode(body: bytes) -> Parcel:
    """A parcel from bytes. Raises WireError for anything that is not one of this version."""
    try:
        parcel = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        known = _without_unknown_messages(body)
        if known is None:
            raise WireError(_version_refusal(body) or f"the body is no parcel: {error}") from None
        parcel = known
    if parcel.version != VERSION:
        raise WireError(_version_refusal(body))
    return parcel


def _without_unknown_messages(body: bytes) -> Parcel | None:
    """The parcel less the messages whose type a later release has added; None if that does not make it one."""
    try:
        decoded = msgspec.msgpack.decode(body)
        *head, said = decoded[: len(Parcel.__struct_fields__)]
        kept = [message for message in said if not _is_unknown(message)]
        return _decoder.decode(_encoder.encode([*head, kept])) if len(kept) < len(said) else None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, TypeError, ValueError, KeyError):
        return None


def _is_unknown(message: Any) -> bool:
    is_numbered = isinstance(message, list) and bool(message) and type(message[0]) is int
    return is_numbered and message[0] not in _KNOWN_NUMBERS


def _version_refusal(body: bytes) -> str:
    """A later version may have another form altogether; only the first element is sure."""
    try:
        decoded = msgspec.msgpack.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""
    if isinstance(decoded, list) and decoded and isinstance(decoded[0], int) and decoded[0] != VERSION:
        return f"the body has protocol version {decoded[0]}; this node speaks {VERSION}: upgrade the older node"
    return ""


def to_wire(message: Message) -> Any:
    """A message without its addresses. InstallSnapshot has no such form: see `chunks_of`."""
    kind = type(message)
    values = [getattr(message, name) for name in _FIELDS[kind]]
    if kind is AppendRequest:
        at = _FIELDS[kind].index("entries")
        values[at] = tuple(WireEntry(e.term, e.index, e.data, _KIND_NUMBERS[e.kind]) for e in values[at])
    return _WIRE_TYPES[kind](*values)


def from_wire(wire: Any, sender: NodeId, to: NodeId) -> Message:
    """The message that `to_wire` was given."""
    kind = _MESSAGE_TYPES[type(wire)]
    values = {name: getattr(wire, name) for name in _FIELDS[kind]}
    if kind is AppendRequest:
        values["entries"] = tuple(Entry(e.term, e.index, e.data, _KINDS[e.kind]) for e in values["entries"])
    made: Message = kind(sender=sender, to=to, **values)
    return made


def size_of(message: Message) -> int:
    """About how many bytes a message takes in a parcel."""
    if isinstance(message, AppendRequest):
        return 64 + sum(32 + len(entry.data) for entry in message.entries)
    return 64


def chunk_of(message: InstallSnapshot, offset: int) -> SnapshotChunk:
    """The part of a snapshot that begins at byte `offset`."""
    snapshot = message.snapshot
    return SnapshotChunk(
        term=message.term,
        index=snapshot.index,
        snapshot_term=snapshot.term,
        members=snapshot.members,
        total=len(snapshot.data),
        offset=offset,
        data=snapshot.data[offset : offset + CHUNK_BYTES],
    )


class Assembly:
    """A snapshot arriving in chunks from one sender; at most one at a time, and only in order."""

    def __init__(self) -> None:
        self._of: tuple[int, ...] = ()
        self._parts = bytearray()

    def add(self, chunk: SnapshotChunk, sender: NodeId, to: NodeId) -> InstallSnapshot | None:
        """The whole message once its last chunk is here. Raises WireError for a chunk out of place; the sender then
        gives the transfer up and the leader begins a new one."""
        of = (chunk.term, chunk.index, chunk.snapshot_term, chunk.total)
        if chunk.offset == 0:
            self._of, self._parts = of, bytearray()
        if of != self._of or chunk.offset > len(self._parts) or chunk.offset + len(chunk.data) > chunk.total:
            self._of = ()
            raise WireError(f"a snapshot chunk at byte {chunk.offset} does not follow what was received before it")
        # A repeated chunk overwrites itself: the answer to its first sending was lost.
        self._parts[chunk.offset : chunk.offset + len(chunk.data)] = chunk.data
        if len(self._parts) < chunk.total:
            return None
        data, self._parts, self._of = bytes(self._parts), bytearray(), ()
        snapshot = Snapshot(chunk.index, chunk.snapshot_term, chunk.members, data)
        return InstallSnapshot(sender, to, chunk.term, snapshot)
