"""The shared connection, against a server that the test scripts: the one place where a fake stands for Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import pytest

from service.error_registry import OutcomeUnknown, StoreBusy, StoreUnavailable
from service.store import multiplexer
from service.store.multiplexer import Multiplexer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(serve: Serve, *, in_flight_max: int = 1000, timeout_s: float = 5.0) -> AsyncIterator[Any]:
    """A multiplexer on a real socket whose other end runs `serve`; yields it and the list of reasons it was lost."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
    lost: list[str] = []
    shared = Multiplexer(address="here", in_flight_max=in_flight_max, timeout_s=timeout_s, on_lost=lost.append)
    shared.attach(transport)
    try:
        yield shared, lost
    finally:
        shared.close("the test is over")
        server.close()
        await server.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each `ECHO x` with x."""
    commands = hiredis.Reader()
    while data := await reader.read(65536):
        commands.feed(data)
        while (command := commands.gets()) is not False:
            writer.write(hiredis.pack_command((command[1],)).removeprefix(b"*1\r\n"))


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        continue


def call(number: int) -> bytes:
    parts: Any = ("ECHO", f"reply {number}")
    return bytes(hiredis.pack_command(parts))


def test_replies_reach_their_callers_in_order_whatever_was_cancelled() -> None:
    async def scenario() -> None:
        async with connected(echo) as (shared, _):
            futures = [shared.send(call(number)) for number in range(100)]
            for future in futures[::3]:
                future.cancel()
            for number, future in enumerate(futures):
                if number % 3:
                    assert await future == f"reply {number}".encode()
            assert shared.in_flight == 0

    asyncio.run(scenario())


def test_calls_of_one_turn_leave_in_few_writes() -> None:
    async def scenario() -> None:
        first_read: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first_read.set_result(await reader.read(1 << 20))
            await silence(reader, writer)

        async with connected(record) as (shared, _):
            for number in range(5):
                shared.send(call(number))
            assert await first_read == b"".join(call(number) for number in range(5))

    asyncio.run(scenario())


def test_a_lost_connection_fails_every_call_in_flight_as_outcome_unknown_and_sends_nothing_again() -> None:
    async def scenario() -> None:
        received: list[bytes] = []

        async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            received.append(await reader.read(65536))

        async with connected(hang_up) as (shared, lost):
            futures = [shared.send(call(number)) for number in range(3)]
            replies = await asyncio.gather(*futures, return_exceptions=True)
            assert [type(reply) for reply in replies] == [OutcomeUnknown] * 3
            assert len(lost) == 1
            assert b"".join(received).count(b"ECHO") == 3
            with pytest.raises(StoreUnavailable):
                shared.send(call(4))

    asyncio.run(scenario())


def test_a_server_that_does_not_answer_is_given_up_after_the_timeout() -> None:
    async def scenario() -> None:
        async with connected(silence, timeout_s=0.1) as (shared, lost):
            with pytest.raises(OutcomeUnknown, match=r"did not answer for 0\.1 s"):
                await shared.send(call(1))
            assert len(lost) == 1

    asyncio.run(scenario())


def test_an_idle_connection_is_not_given_up() -> None:
    async def scenario() -> None:
        async with connected(echo, timeout_s=0.05) as (shared, lost):
            # That nothing happens is what is tested: four times as long as a call may wait.
            await asyncio.sleep(0.2)
            assert await shared.send(call(1)) == b"reply 1"
            assert lost == []

    asyncio.run(scenario())


def test_a_stalled_event_loop_is_not_taken_for_a_silent_server() -> None:
    async def scenario() -> None:
        import time

        async with connected(echo, timeout_s=0.1) as (shared, lost):
            future = shared.send(call(1))
            # The reply arrives in the socket while this process does nothing.
            await asyncio.sleep(0)
            time.sleep(0.4)  # noqa: ASYNC251 - the stall is what is tested
            assert await future == b"reply 1"
            assert lost == []

    asyncio.run(scenario())


def test_the_line_is_bounded_and_a_refused_call_is_not_sent() -> None:
    async def scenario() -> None:
        async with connected(silence, in_flight_max=10) as (shared, _):
            futures = [shared.send(call(number)) for number in range(10)]
            with pytest.raises(StoreBusy):
                shared.send(call(11))
            assert shared.in_flight == 10
            shared.close("enough")
            await asyncio.gather(*futures, return_exceptions=True)

    asyncio.run(scenario())


def test_a_slow_reader_is_busy_before_memory_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplexer, "WRITE_BUFFER_BYTES_MAX", 1 << 20)

    async def scenario() -> None:
        is_over = asyncio.Event()

        async def never_read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await is_over.wait()

        async with connected(never_read) as (shared, _):
            futures = []

            async def fill() -> None:
                for _ in range(1000):
                    futures.append(shared.send(b"x" * (1 << 16)))
                    await asyncio.sleep(0)

            with pytest.raises(StoreBusy):
                await fill()
            shared.close("enough")
            await asyncio.gather(*futures, return_exceptions=True)
            is_over.set()

    async def bounded() -> None:
        task = asyncio.create_task(scenario())
        done, _ = await asyncio.wait([task], timeout=10)
        assert done
        await task

    asyncio.run(bounded())


@pytest.mark.parametrize("bytes_sent", [b"not resp\r\n", b"+unasked\r\n+for\r\n+reply\r\n"])
def test_bytes_out_of_order_end_the_connection(bytes_sent: bytes) -> None:
    async def scenario() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(bytes_sent)
            await silence(reader, writer)

        async with connected(talk) as (shared, lost):
            # The call ends with the reply it got, or with the connection: in both cases the rest was read with it.
            await asyncio.wait([shared.send(call(1))])
            assert "unexpected reply" in lost[0]

    asyncio.run(scenario())
