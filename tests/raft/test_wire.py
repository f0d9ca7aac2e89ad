"""Messages as bytes: what is sent arrives, version 1 keeps its bytes, and other bytes are refused, never believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.raft import wire
from service.raft.messages import (
    AppendRequest,
    Entry,
    EntryKind,
    Heartbeat,
    InstallSnapshot,
    Message,
    Snapshot,
)
from service.raft.wire import Assembly, Parcel, SnapshotChunk, WireError

_counts = st.integers(0, 2**63 - 1)
_entries = st.lists(
    st.builds(Entry, _counts, _counts, st.binary(max_size=50), st.sampled_from(EntryKind)), max_size=5
).map(tuple)
_values: dict[Any, st.SearchStrategy[Any]] = {
    "int": _counts,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=50),
    "tuple[Entry, ...]": _entries,
    "NodeId": st.just("http://a"),
}


def _messages(kind: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: _values[field.type] for field in dataclasses.fields(kind)})


any_message = st.one_of(*(_messages(kind) for kind in get_args(Message) if kind is not InstallSnapshot))


def parcel(*messages: Any) -> Parcel:
    return Parcel(wire.VERSION, "simpul", "http://a", "disk", "http://b", "known", 2, list(messages))


@given(st.lists(any_message, max_size=5))
def test_every_message_arrives_as_it_was_sent(messages: list[Message]) -> None:
    sent = parcel(*(wire.to_wire(message) for message in messages))
    received = wire.decode(wire.encode(sent))
    assert [wire.from_wire(one, "http://a", "http://a") for one in received.messages] == messages


def test_the_bytes_of_version_1_stay_as_they_are() -> None:
    message = AppendRequest(
        "http://a", "http://b", 7, 41, 6, (Entry(7, 42, b"cmd"), Entry(7, 43, b"", EntryKind.NOOP)), 40
    )
    beat = Heartbeat("http://a", "http://b", 7, 40, 3)
    assert wire.encode(parcel(wire.to_wire(message), wire.to_wire(beat))).hex() == (
        "9801a673696d70756ca8687474703a2f2f61a46469736ba8687474703a2f2f62a56b6e6f776e0292"
        "96050729069294072ac403636d640094072bc40001289407072803"
    )


@given(st.binary(max_size=200))
def test_bytes_that_are_no_parcel_are_refused(body: bytes) -> None:
    try:
        wire.decode(body)
    except WireError:
        return
    assert msgspec.msgpack.decode(body)[0] == wire.VERSION


@given(st.data())
def test_a_damaged_parcel_is_refused_or_well_formed(data: st.DataObject) -> None:
    body = bytearray(wire.encode(parcel(wire.to_wire(data.draw(any_message)))))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    try:
        received = wire.decode(bytes(body))
    except WireError:
        return
    for one in received.messages:
        if not isinstance(one, SnapshotChunk):
            wire.from_wire(one, "http://a", "http://b")


def test_another_protocol_version_is_refused_saying_which() -> None:
    body = msgspec.msgpack.encode([2, "anything", "else"])
    with pytest.raises(WireError, match=r"version 2; this node speaks 1"):
        wire.decode(body)


# Releases beside each other


def _altered(change: Callable[[list[Any]], None], *messages: Any) -> Parcel:
    """A parcel as another release might send it."""
    elements = msgspec.msgpack.decode(wire.encode(parcel(*messages)))
    change(elements)
    return wire.decode(msgspec.msgpack.encode(elements))


def test_fields_that_a_later_release_appended_are_ignored() -> None:
    beat = wire.to_wire(Heartbeat("a", "b", 7, 40, 3))

    def append(elements: list[Any]) -> None:
        elements[7][0].append("news of a message")
        elements.append("news of a parcel")

    assert _altered(append, beat) == parcel(beat)


def test_a_message_type_of_a_later_release_is_dropped_and_the_others_are_heard() -> None:
    beat = wire.to_wire(Heartbeat("a", "b", 7, 40, 3))
    assert _altered(lambda elements: elements[7].insert(0, [99, "anything"]), beat) == parcel(beat)
    with pytest.raises(WireError):
        _altered(lambda elements: elements[7].insert(0, [99, "anything"]), beat, Broken())
    with pytest.raises(WireError):
        _altered(lambda elements: elements[7].insert(0, ["99"]), beat)


class Broken(msgspec.Struct, array_like=True, tag=7):
    """A heartbeat whose term is a word."""

    term: str = "seven"


@dataclasses.dataclass(frozen=True)
class LaterHeartbeat(Heartbeat):
    """What Heartbeat may become."""

    load: int = 5


def test_a_field_appended_here_takes_its_default_in_an_older_nodes_message() -> None:
    later = wire.wire_type(LaterHeartbeat, 7, always=3)
    older = msgspec.msgpack.encode(wire.to_wire(Heartbeat("a", "b", 7, 40, 3)))
    assert msgspec.msgpack.decode(older, type=later) == later(7, 40, 3, 5)


@pytest.mark.parametrize("kind", [kind for kind in get_args(Message) if kind is not InstallSnapshot])
def test_no_field_of_version_1_may_be_missing(kind: Any) -> None:
    values: dict[Any, Any] = {"int": 1, "bool": True, "bytes": b"x", "tuple[Entry, ...]": (), "NodeId": "http://a"}
    message = kind(**{field.name: values[field.type] for field in dataclasses.fields(kind)})
    with pytest.raises(WireError):
        _altered(lambda elements: elements[7][0].pop(), wire.to_wire(message))


@pytest.mark.parametrize("term", [-1, 2**63])
def test_a_number_that_no_log_can_hold_is_refused(term: int) -> None:
    good = msgspec.msgpack.decode(wire.encode(parcel(wire.to_wire(Heartbeat("a", "b", 1, 0, 0)))))
    good[7][0][1] = term
    with pytest.raises(WireError):
        wire.decode(msgspec.msgpack.encode(good))


# Snapshots in chunks


def _chunks(message: InstallSnapshot) -> list[SnapshotChunk]:
    size = len(message.snapshot.data)
    return [wire.chunk_of(message, offset) for offset in range(0, max(size, 1), wire.CHUNK_BYTES)]


def _installing(size: int) -> InstallSnapshot:
    data = bytes(number % 251 for number in range(size))
    return InstallSnapshot("http://a", "http://b", 3, Snapshot(9, 2, ("http://a", "http://b", "http://c"), data))


@pytest.mark.parametrize("size", [0, 1, wire.CHUNK_BYTES - 1, wire.CHUNK_BYTES, 3 * wire.CHUNK_BYTES + 1])
def test_a_snapshot_arrives_whole_in_bounded_chunks(size: int) -> None:
    message = _installing(size)
    assembly = Assembly()
    *first, last = _chunks(message)
    for chunk in first:
        assert len(chunk.data) <= wire.CHUNK_BYTES
        assert assembly.add(chunk, "http://a", "http://b") is None
    assert assembly.add(last, "http://a", "http://b") == message


def test_a_repeated_chunk_changes_nothing() -> None:
    message = _installing(3 * wire.CHUNK_BYTES)
    assembly = Assembly()
    first, second, third = _chunks(message)
    for chunk in (first, second, second):
        assert assembly.add(chunk, "http://a", "http://b") is None
    assert assembly.add(third, "http://a", "http://b") == message


def test_a_chunk_out_of_place_ends_the_transfer() -> None:
    first, _, third = _chunks(_installing(3 * wire.CHUNK_BYTES))
    assembly = Assembly()
    assembly.add(first, "http://a", "http://b")
    with pytest.raises(WireError, match="does not follow"):
        assembly.add(third, "http://a", "http://b")


def test_chunks_of_two_snapshots_are_never_mixed() -> None:
    old, new = _installing(2 * wire.CHUNK_BYTES), _installing(2 * wire.CHUNK_BYTES + 5)
    assembly = Assembly()
    assembly.add(_chunks(old)[0], "http://a", "http://b")
    with pytest.raises(WireError):
        assembly.add(_chunks(new)[1], "http://a", "http://b")
