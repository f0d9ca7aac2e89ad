"""Connecting to a Redis that lets go at any moment is refused in one way, whatever the loop calls it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from service.store.dial import DialError, dial

TRIES = 100
_NO_LINGER = struct.pack("ii", 1, 0)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """On the loop of a node, and on the one it has where there is no uvloop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def with_loop(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(work)

    return with_loop


@asynccontextmanager
async def server(answers: int) -> AsyncIterator[str]:
    """Says OK so many times and then resets the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(answers):
            if not await reader.read(65536):
                break
            writer.write(b"+OK\r\n" * 10)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        await listening.wait_closed()


@pytest.mark.parametrize("answers", [0, 1])
def test_a_connection_that_is_reset_while_it_is_made_is_refused(run: Run, answers: int) -> None:
    async def try_often() -> None:
        async with server(answers) as url:
            for _ in range(TRIES):
                try:
                    line = await dial(url, client_name="test", timeout_s=5)
                except DialError:
                    continue
                line.close()

    run(try_often())


def test_a_connection_that_has_ended_is_not_given_away(run: Run) -> None:
    async def let_go() -> None:
        async with server(answers=5) as url:
            line = await dial(url, client_name="test", timeout_s=5)
            with suppress(DialError):
                while True:
                    await line.execute("PING")
            with pytest.raises(DialError):
                line.let_go()
            line.close()

    run(let_go())


def test_a_call_on_a_connection_that_is_closed_is_refused(run: Run) -> None:
    async def call() -> None:
        async with server(answers=5) as url:
            line = await dial(url, client_name="test", timeout_s=5)
            line.let_go().abort()
            with pytest.raises(DialError):
                await line.execute("PING")
            line.close()

    run(call())
