"""Taking a decision from any node: propose to whoever leads, again and again under one request id, until it is known
what became of it or the caller's time is up."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import msgspec

from service import background
from service.decisions.replicated import commands
from service.decisions.replicated.commands import Command, Outcome, Request
from service.error_registry import DecisionUnknown, NotCommitted, RaftMessageInvalid
from service.errors import SimpulError
from service.raft.connection import Connection, Unreachable
from service.raft.errors import NotLeader, Refused, TooLarge
from service.raft.messages import NodeId
from service.raft.ready import Role
from service.raft.runner import Runner
from service.raft.waiting import ReadLost, Unknown

PATH = "/raft/propose"
TIMEOUT_S_DEFAULT = 5.0
RETRY_PAUSE_S = 0.05
FORWARD_BATCH_MAX = 256
FORWARD_QUEUE_MAX = 10_000
FORWARD_DEADLINE_S = 2.0
ANSWER_BYTES_MAX = 4 << 20
REQUEST_BYTES_MAX = 256 << 10
"""One command in the log, of whatever kind."""

_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(list[bytes])
_answer_decoder = msgspec.msgpack.Decoder(list[tuple[str, Outcome | None, str]])

_DONE, _REFUSED, _UNKNOWN = "done", "refused", "unknown"


class Decisions:
    """Proposals and reads of one node."""

    def __init__(self, runner: Runner, secret: str) -> None:
        self.counts: Counter[str] = Counter()
        self._runner = runner
        self._secret = secret
        self._forwarders: dict[NodeId, _Forwarder] = {}

    async def propose(
        self, command: Command, request_id: str | None = None, timeout_s: float = TIMEOUT_S_DEFAULT
    ) -> dict[str, Any]:
        """The result of `command`, applied exactly once for its `request_id` (drawn at random when None).

        Raises NotCommitted (certainly without effect), DecisionUnknown, or the refusal of the command itself.
        """
        data = commands.encode(Request(request_id or uuid.uuid4().hex, command, int(time.time() * 1000)))
        if len(data) > REQUEST_BYTES_MAX:
            raise NotCommitted(reason=f"it has {len(data)} bytes and the limit is {REQUEST_BYTES_MAX}")
        try:
            outcome = await self._settle(data, timeout_s)
        except SimpulError as error:
            self.counts[error.code] += 1
            raise
        self.counts[outcome.code] += 1
        return outcome.result()

    async def _settle(self, data: bytes, timeout_s: float) -> Outcome:
        reason = "no leader is known: a majority of the nodes cannot reach each other"
        doubt = ""
        """Why an attempt may have left the command in the log; while one is under way, that it was not answered."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    doubt_before, doubt = doubt, doubt or f"it was not committed within {timeout_s:g} s"
                    try:
                        return await self._attempt(data)
                    except Unknown as error:
                        doubt = str(error)
                    except TooLarge as error:
                        raise NotCommitted(reason=str(error)) from None
                    except Refused as error:
                        doubt = doubt_before
                        if not isinstance(error, NotLeader) or error.leader is not None:
                            reason = str(error)
                    # A new leader is the usual reason to try again; the pause is for all others.
                    await _first(self._runner.changed(), RETRY_PAUSE_S)
        except TimeoutError:
            if doubt:
                raise DecisionUnknown(reason=doubt) from None
            raise NotCommitted(reason=reason) from None

    async def _attempt(self, data: bytes) -> Outcome:
        """Raises Refused (certainly not in the log) or Unknown."""
        state = self._runner.soft_state
        if state.role is Role.LEADER:
            outcome: Outcome = await self._runner.propose(data)
            return outcome
        if state.leader is None:
            raise NotLeader(None)
        return await self._forward(state.leader, data)

    async def _forward(self, leader: NodeId, data: bytes) -> Outcome:
        """Ask the leader, but no longer than it leads: one that hangs keeps its connections open."""
        asked = asyncio.ensure_future(self._forwarder(leader).propose(data))
        try:
            while not asked.done() and self._runner.soft_state.leader == leader:
                changed = asyncio.ensure_future(self._runner.changed())
                await asyncio.wait((asked, changed), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            if asked.done():
                return asked.result()
            raise Unknown(f"the leader {leader} lost its office before it answered")
        finally:
            asked.cancel()

    def _forwarder(self, leader: NodeId) -> _Forwarder:
        forwarder = self._forwarders.get(leader)
        if forwarder is None:
            forwarder = self._forwarders[leader] = _Forwarder(leader, self._secret)
        return forwarder

    async def receive(self, body: bytes) -> bytes:
        """Answer another node's batch of proposals. Raises RaftMessageInvalid."""
        try:
            batch = _batch_decoder.decode(body)
            for data in batch:
                commands.decode(data)
        except msgspec.DecodeError as error:
            raise RaftMessageInvalid(reason=f"it is no batch of proposals: {error}") from None
        if len(batch) > FORWARD_BATCH_MAX or any(len(data) > REQUEST_BYTES_MAX for data in batch):
            raise RaftMessageInvalid(reason=f"more than {FORWARD_BATCH_MAX} proposals, or one is too large")
        return _encoder.encode(await asyncio.gather(*map(self._answer, batch)))

    async def _answer(self, data: bytes) -> tuple[str, Outcome | None, str]:
        try:
            async with asyncio.timeout(FORWARD_DEADLINE_S):
                return _DONE, await self._runner.propose(data), ""
        except Refused as error:
            return _REFUSED, None, str(error)
        except Unknown as error:
            return _UNKNOWN, None, str(error)
        except TimeoutError:
            return _UNKNOWN, None, "the leader did not reach a majority in time"

    async def confirm_read(self, timeout_s: float = TIMEOUT_S_DEFAULT, *, is_urgent: bool = True) -> None:
        """Return once this node's state shows everything decided before the call: at once, or, not urged, with the
        heartbeats that a leader sends next anyhow. Raises NotCommitted."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        return await self._runner.confirm_read(is_urgent=is_urgent)
                    except (Refused, ReadLost):
                        await _first(self._runner.changed(), RETRY_PAUSE_S)
        except TimeoutError:
            raise NotCommitted(reason="no leader confirmed that this node's state is current") from None

    async def stop(self) -> None:
        await asyncio.gather(*(forwarder.stop() for forwarder in self._forwarders.values()))


class _Forwarder:
    """Proposals on their way to one leader: those that come while a request is under way share the next one."""

    def __init__(self, leader: NodeId, secret: str) -> None:
        self._connection = Connection(leader, secret, ANSWER_BYTES_MAX)
        self._waiting: list[tuple[bytes, asyncio.Future[Outcome]]] = []
        self._leader = leader
        self._task: asyncio.Task[None] | None = None

    async def propose(self, data: bytes) -> Outcome:
        if len(self._waiting) >= FORWARD_QUEUE_MAX:
            raise Refused(f"{FORWARD_QUEUE_MAX} proposals wait for {self._leader} already")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((data, future))
        if self._task is None or self._task.done():
            self._task = background.finite(self._run(), f"proposals to {self._leader}")
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:FORWARD_BATCH_MAX], self._waiting[FORWARD_BATCH_MAX:]
            batch = [(data, future) for data, future in batch if not future.done()]
            if batch:
                await self._send(batch)

    async def _send(self, batch: list[tuple[bytes, asyncio.Future[Outcome]]]) -> None:
        body = _encoder.encode([data for data, _ in batch])
        try:
            answer = await self._connection.post(PATH, body, FORWARD_DEADLINE_S + 1)
            if answer.status != 200:
                raise Unreachable(f"it answered with status {answer.status}")
            answers = _answer_decoder.decode(answer.body)
        except (Unreachable, msgspec.DecodeError) as error:
            answers = [(_UNKNOWN, None, f"the leader {self._leader} was lost: {error}")] * len(batch)
        for (_, future), (verdict, outcome, reason) in zip(batch, answers, strict=True):
            if future.done():
                continue
            if outcome is not None:
                future.set_result(outcome)
            elif verdict == _REFUSED:
                future.set_exception(Refused(reason))
            else:
                future.set_exception(Unknown(reason))

    async def stop(self) -> None:
        await background.stop(self._task)
        self._connection.close()
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(Refused("this node is stopping"))


async def _first(event: Awaitable[None], pause_s: float) -> None:
    """Until the event, or for `pause_s` seconds."""
    try:
        async with asyncio.timeout(pause_s):
            await event
    except TimeoutError:
        return
