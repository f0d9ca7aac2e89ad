"""A question to whoever leads, from any node; the leader asks itself without the network."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping

from service.raft.connection import Connection, Unreachable
from service.raft.messages import NodeId
from service.raft.runner import Runner

ANSWER_BYTES_MAX = 1 << 20

Answering = Callable[[bytes], Awaitable[bytes]]


class LeaderLine:
    """One request at a time on each path; others that want the leader meanwhile wait for their turn."""

    def __init__(self, me: NodeId, runner: Runner, secret: str, answers: Mapping[str, Answering]) -> None:
        """`answers` are this node's own, by path: what it says when it leads."""
        self._me = me
        self._runner = runner
        self._secret = secret
        self._answers = answers
        self._connections: dict[tuple[NodeId, str], Connection] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ask(self, path: str, body: bytes, deadline_s: float) -> bytes:
        """The leader's answer. Raises Unreachable: there is none, or it may or may not have heard."""
        leader = self._runner.soft_state.leader
        if leader is None:
            raise Unreachable("no leader is known")
        if leader == self._me:
            return await self._answers[path](body)
        connection = self._connections.get((leader, path))
        if connection is None:
            connection = self._connections[leader, path] = Connection(leader, self._secret, ANSWER_BYTES_MAX)
        try:
            async with asyncio.timeout(deadline_s), self._turns[path]:
                answer = await connection.post(path, body, deadline_s)
        except TimeoutError:
            raise Unreachable(f"{leader} was busy with the questions before this one for {deadline_s:g} s") from None
        if answer.status != 200:
            raise Unreachable(f"{leader} answered with status {answer.status}")
        return answer.body

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
