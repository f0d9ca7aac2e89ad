"""Questions to a leader that hangs: each gives up at its own deadline, also those that wait for their turn."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.decisions.node.leader_line import LeaderLine
from service.raft.connection import Unreachable
from service.raft.runner import Runner

PATH, DEADLINE_S = "/raft/office", 0.2


async def ask_one_that_hangs(questions: int) -> list[float]:
    """How long each of so many at once waited for nothing, in s."""
    heard: list[asyncio.StreamWriter] = []

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer)

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    leader = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    runner = cast("Runner", SimpleNamespace(soft_state=SimpleNamespace(leader=leader)))
    line = LeaderLine("http://127.0.0.1:1", runner, "", {})
    loop: Any = asyncio.get_running_loop()

    async def ask() -> float:
        began = loop.time()
        with pytest.raises(Unreachable):
            await line.ask(PATH, b"", DEADLINE_S)
        return float(loop.time() - began)

    try:
        return await asyncio.gather(*(ask() for _ in range(questions)))
    finally:
        line.close()
        for writer in heard:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


def test_nobody_waits_for_the_deadlines_of_those_before() -> None:
    waited = asyncio.run(ask_one_that_hangs(20))
    assert max(waited) < 10 * DEADLINE_S, "one after the other they would take twenty times as long"
