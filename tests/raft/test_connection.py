"""One kept connection between nodes, against a real server on a real socket: a deadline, one fresh retry, no mix-up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.raft.connection import Answer, Connection, Unreachable

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LONG_S = 10.0

Behaviour = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Accepts connections, numbers them, and lets `behaviour` handle each."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.accepted = 0
        self.requests: list[tuple[int, bytes]] = []
        self._behaviour = behaviour

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        number = self.accepted
        try:
            await self._behaviour(number, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone, which some tests are about
        finally:
            writer.close()

    async def request(self, number: int, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        self.requests.append((number, body))
        return head

    def connection(self, secret: str = "") -> Connection:
        return Connection(f"http://127.0.0.1:{self.port}", secret, 100)


def on_a_loop(scenario: Awaitable[None]) -> None:
    async def run() -> None:
        await asyncio.wait_for(scenario, 20)

    asyncio.run(run())


def test_requests_share_a_connection_and_carry_the_secret() -> None:
    async def scenario() -> None:
        heads = []

        async def behaviour(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                heads.append(await server.request(number, reader))
                writer.write(OK)

        async with Server(behaviour) as server:
            connection = server.connection("a-secret")
            for body in (b"one", b"two"):
                assert await connection.post("/raft/append", body, LONG_S) == Answer(200, b"ok")
            connection.close()
        assert server.requests == [(1, b"one"), (1, b"two")]
        assert all(head.startswith(b"POST /raft/append ") and b"x-simpul-secret: a-secret" in head for head in heads)

    on_a_loop(scenario())


def test_a_connection_closed_by_the_other_side_costs_one_retry_on_a_fresh_one() -> None:
    async def scenario() -> None:
        async def behaviour(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(number, reader)
            writer.write(OK)  # and close, without saying so

        async with Server(behaviour) as server:
            connection = server.connection()
            for body in (b"one", b"two"):
                assert await connection.post("/raft/append", body, LONG_S) == Answer(200, b"ok")
            connection.close()
        assert server.requests == [(1, b"one"), (2, b"two")]

    on_a_loop(scenario())


def test_there_is_one_retry_and_no_second() -> None:
    async def scenario() -> None:
        async def behaviour(number: int, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await server.request(number, reader)

        async with Server(behaviour) as server:
            with pytest.raises(Unreachable):
                await server.connection().post("/raft/append", b"lost", LONG_S)
        assert server.requests == [(1, b"lost"), (2, b"lost")]

    on_a_loop(scenario())


def test_nobody_listening_is_said_at_once() -> None:
    async def scenario() -> None:
        async with Server(lambda *_: asyncio.sleep(0)) as server:
            connection = server.connection()
        with pytest.raises(Unreachable, match="nothing listens"):
            await connection.post("/raft/append", b"x", LONG_S)

    on_a_loop(scenario())


def test_an_answer_that_came_too_late_is_never_taken_for_the_next_ones() -> None:
    async def scenario() -> None:
        answered_late = asyncio.Event()

        async def behaviour(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(number, reader)
            if number == 1:
                await answered_late.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
            else:
                writer.write(OK)

        async with Server(behaviour) as server:
            connection = server.connection()
            with pytest.raises(Unreachable, match=r"no answer within 0\.05 s"):
                await connection.post("/raft/append", b"one", 0.05)
            answered_late.set()
            assert await connection.post("/raft/append", b"two", LONG_S) == Answer(200, b"ok")
            connection.close()

    on_a_loop(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000,
    ],
    ids=["too long", "no length", "negative length", "another protocol", "empty", "endless head"],
)
def test_an_answer_that_is_none_is_unreachable(answer: bytes) -> None:
    async def scenario() -> None:
        async def behaviour(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(number, reader)
            writer.write(answer)
            await writer.drain()

        async with Server(behaviour) as server:
            with pytest.raises(Unreachable):
                await server.connection().post("/raft/append", b"x", LONG_S)

    on_a_loop(scenario())
