"""The short way of operations and uvicorn's own way give the same answers, however the bytes arrive."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest

from service import limits
from tests.support import NodeProcess, wait_until

PUT = b'{"key":"wire","value":1}'


class Connection:
    """A client that decides which bytes leave when."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._file: BinaryIO = raw.makefile("rb")

    def send(self, data: bytes) -> None:
        self.raw.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], Any]:
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            assert name not in headers
            headers[name] = value
        return status, headers, json.loads(self._file.read(int(headers["content-length"])))

    def is_closed(self) -> bool:
        return self._file.read(1) == b""


@pytest.fixture
def wire(node: NodeProcess) -> Iterator[Connection]:
    with connected(node) as connection:
        yield connection


@contextmanager
def connected(node: NodeProcess) -> Iterator[Connection]:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as raw:
        connection = Connection(raw)
        try:
            yield connection
        finally:
            connection._file.close()


def request(body: bytes, path: bytes = b"/cache/put", version: bytes = b"1.1", more: bytes = b"") -> bytes:
    return b"POST %b HTTP/%b\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (path, version, more, len(body), body)


def test_a_connection_serves_any_number_of_requests(wire: Connection) -> None:
    for _ in range(50):
        wire.send(request(PUT))
        status, headers, document = wire.answer()
        assert (status, document["ok"]) == (200, True)
        assert {"date", "content-type", "content-length"} == set(headers)


def test_a_query_string_or_an_old_version_takes_the_other_way_to_the_same_answer(wire: Connection) -> None:
    wire.send(request(PUT, b"/cache/put?x=1"))
    status, headers, document = wire.answer()
    assert (status, document["ok"], headers["content-type"]) == (200, True, "application/json")
    wire.send(request(b"{", b"/cache/put?x=1"))
    long_way = wire.answer()
    wire.send(request(b"{"))
    short_way = wire.answer()
    assert {**long_way[1], "date": ""} == {**short_way[1], "date": ""}
    assert (long_way[0], long_way[2]) == (short_way[0], short_way[2])


def test_pipelined_requests_are_answered_in_order(wire: Connection) -> None:
    wire.send(b"".join(request(b'{"key":"pipe","value":%d}' % number) for number in range(20)))
    versions = [wire.answer()[2]["version"] for _ in range(20)]
    assert versions == sorted(set(versions))
    wire.send(request(b'{"key":"pipe"}', b"/cache/get") + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + request(PUT))
    assert wire.answer()[2]["value"] == 19
    assert wire.answer()[2]["ok"] is True
    assert wire.answer()[0] == 200


def test_a_slow_request_is_answered_before_those_pipelined_after_it(node: NodeProcess, wire: Connection) -> None:
    node.post("/lock/acquire", {"resource": "slow", "owner": "holder", "ttl_ms": 300})
    slow = request(b'{"resource":"slow","owner":"waiter","timeout":10}', b"/lock/acquire")
    wire.send(slow + request(PUT) + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.answer()[2]["granted"] is True
    assert wire.answer()[2]["version"]
    assert wire.answer()[2]["node"]


def test_a_request_that_arrives_byte_by_byte_is_read(wire: Connection) -> None:
    wire.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in request(PUT):
        wire.send(bytes([byte]))
    assert wire.answer()[0] == 200


def test_a_chunked_body_is_read(wire: Connection) -> None:
    wire.send(b"POST /cache/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (PUT[:5], PUT[5:]):
        wire.send(b"%x\r\n%b\r\n" % (len(part), part))
    wire.send(b"0\r\n\r\n")
    assert wire.answer()[0] == 200


def test_expect_100_continue_is_honoured(wire: Connection) -> None:
    wire.send(b"POST /cache/put HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(PUT))
    assert wire._file.readline().startswith(b"HTTP/1.1 100")
    assert wire._file.readline() == b"\r\n"
    wire.send(PUT)
    assert wire.answer()[0] == 200


@pytest.mark.parametrize(("version", "more"), [(b"1.1", b"Connection: close\r\n"), (b"1.0", b"")])
def test_a_connection_that_asks_to_be_closed_is(wire: Connection, version: bytes, more: bytes) -> None:
    wire.send(request(PUT, version=version, more=more))
    assert wire.answer()[0] == 200
    assert wire.is_closed()


def test_a_large_body_in_many_pieces_is_whole(wire: Connection) -> None:
    value = b'"' + b"x" * (limits.PAYLOAD_BYTES_MAX - 2) + b'"'
    wire.send(request(b'{"key":"large","value":' + value + b"}"))
    assert wire.answer()[0] == 200
    wire.send(request(b'{"key":"large"}', b"/cache/get"))
    assert len(wire.answer()[2]["value"]) == limits.PAYLOAD_BYTES_MAX - 2


def test_a_body_over_the_limit_is_413_both_ways_and_the_connection_goes_on(wire: Connection) -> None:
    wire.send(request(b" " * (limits.BODY_BYTES_MAX + 10)))
    assert wire.answer()[0] == 413
    wire.send(request(PUT))
    assert wire.answer()[0] == 200


def test_a_post_to_no_operation_and_a_get_of_one_are_refused_in_the_same_form(wire: Connection) -> None:
    wire.send(request(PUT, b"/nothing/at/all"))
    assert wire.answer()[2]["code"] == "not_found"
    for path in (b"/cache/put", b"/lock/acquire", b"/queue/consume"):
        wire.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        status, headers, document = wire.answer()
        assert (status, headers["allow"], document["code"]) == (405, "POST", "method_not_allowed")


def test_bytes_that_are_not_http_are_400_and_the_node_lives(node: NodeProcess, wire: Connection) -> None:
    wire.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert wire._file.readline().startswith(b"HTTP/1.1 400")
    assert node.get("/health").status == 200


def test_clients_that_leave_at_any_point_leave_nothing_behind(node: NodeProcess) -> None:
    whole = request(b'{"resource":"gone","owner":"o","timeout":30}', b"/lock/acquire")
    node.post("/lock/acquire", {"resource": "gone", "owner": "holder"})
    for cut in (3, 40, len(whole) - 1, len(whole)):
        with connected(node) as client:
            client.send(whole[:cut])
    wait_until(lambda: b"simpul_lock_waiters 0.0" in node.get("/metrics").body, "the waiters to be withdrawn")
    # /metrics itself is not an operation, so nothing is left in flight.
    wait_until(lambda: b"simpul_requests_in_flight 0.0" in node.get("/metrics").body, "no request in flight")
