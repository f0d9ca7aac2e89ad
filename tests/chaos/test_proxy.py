"""The proxies do to connections what they say."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import FROM_TARGET, Proxy, ProxyThread, process_of
from tests.support import RedisServer, redis_server, wait_until

PING = b"PING\r\n"
PONG = b"+PONG\r\n"
SILENCE_S = 0.15
"""How long nothing has to come for a connection to count as silent."""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("other")) as server:
        yield server


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("upstream")) as server:
        yield server


@pytest.fixture
def proxy(upstream: RedisServer) -> Iterator[Proxy]:
    thread = ProxyThread()
    yield Proxy(thread, upstream.port)
    thread.stop()


@pytest.fixture
def line(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as client:
        yield client


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def ping(client: socket.socket) -> bytes:
    """The answer; empty when the connection was ended."""
    try:
        client.sendall(PING)
        return client.recv(100)
    except ConnectionError:
        return b""


def is_refused(proxy: Proxy) -> bool:
    """A new connection; the reset may come before the connecting has ended."""
    try:
        with connect(proxy) as client:
            return ping(client) == b""
    except ConnectionError:
        return True


def is_silent(client: socket.socket) -> bool:
    client.settimeout(SILENCE_S)
    try:
        return client.recv(100) == b"never"
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)


def test_bytes_pass_both_ways(line: socket.socket) -> None:
    assert ping(line) == PONG


def test_what_is_held_arrives_when_it_heals(proxy: Proxy, line: socket.socket) -> None:
    assert ping(line) == PONG
    proxy.hold()
    line.sendall(PING)
    assert is_silent(line)
    with connect(proxy) as second:
        second.sendall(PING)
        assert is_silent(second)
        proxy.heal()
        assert (line.recv(100), second.recv(100)) == (PONG, PONG)


def test_only_some_clients_are_held(proxy: Proxy, line: socket.socket) -> None:
    held = line.getsockname()[1]
    proxy.hold(lambda port: port == held)
    with connect(proxy) as second:
        assert ping(second) == PONG
    line.sendall(PING)
    assert is_silent(line)


def test_a_proxy_that_refuses_ends_old_and_new_connections(proxy: Proxy, line: socket.socket) -> None:
    assert ping(line) == PONG
    proxy.refuse()
    assert ping(line) == b""
    assert is_refused(proxy)
    proxy.heal()
    with connect(proxy) as second:
        assert ping(second) == PONG


def test_a_swallowed_answer_belongs_to_a_request_that_was_carried_out(
    proxy: Proxy, line: socket.socket, upstream: RedisServer
) -> None:
    proxy.mute(FROM_TARGET)
    line.sendall(b"SET carried out\r\n")
    assert is_silent(line)
    with upstream.client() as client:
        assert client.get("carried") == b"out"
    proxy.heal()
    assert ping(line) == b"", "a stream with a hole is not used again"


def test_a_deaf_subscription_stays_open_and_other_connections_are_answered(
    proxy: Proxy, line: socket.socket, upstream: RedisServer
) -> None:
    line.sendall(b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n")
    assert b"subscribe" in line.recv(100)
    proxy.deafen()
    with upstream.client() as client, connect(proxy) as second:
        assert client.publish("news", "lost") == 1
        assert is_silent(line)
        assert ping(second) == PONG
    proxy.heal()
    assert ping(line) == b"", "a stream with a hole is not used again"


def test_a_delay_is_that_of_each_way(proxy: Proxy, line: socket.socket) -> None:
    assert ping(line) == PONG
    proxy.delay(60)
    started = time.monotonic()
    assert ping(line) == PONG
    assert time.monotonic() - started >= 0.12


def test_a_new_target_ends_old_connections_and_takes_new_ones(
    proxy: Proxy, line: socket.socket, other: RedisServer
) -> None:
    assert ping(line) == PONG
    proxy.retarget(other.port)
    assert ping(line) == b""
    with connect(proxy) as second, other.client() as client:
        second.sendall(b"SET where other\r\n")
        assert second.recv(100) == b"+OK\r\n"
        assert client.get("where") == b"other"


def test_a_target_that_ends_the_connection_ends_it_for_the_client(proxy: Proxy, line: socket.socket) -> None:
    line.sendall(b"QUIT\r\n")
    assert line.recv(100) == b"+OK\r\n"
    assert line.recv(100) == b""
    wait_until(lambda: proxy.connections == 0, "the connection to be forgotten")


def test_the_process_behind_a_connection_is_found(proxy: Proxy, line: socket.socket, upstream: RedisServer) -> None:
    port = line.getsockname()[1]
    assert upstream.process
    assert process_of(port, proxy.port, [upstream.process.pid, os.getpid()]) == os.getpid()
    assert process_of(port, proxy.port, [upstream.process.pid]) is None
    assert process_of(port, upstream.port, [os.getpid()]) is None, "another connection"
