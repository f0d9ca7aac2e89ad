"""What only the leader can say or do beyond the log: how every node stands, and whether a script set is ready."""

from __future__ import annotations

from typing import Any

import msgspec

from service.clock import steady_s
from service.decisions.leader.office import Office
from service.decisions.node.leader_line import LeaderLine
from service.decisions.replicated.commands import Outcome, refused
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import NotCommitted, RaftMessageInvalid
from service.errors import SimpulError
from service.raft.connection import Unreachable
from service.raft.runner import Runner

PATH = "/raft/office"
DEADLINE_S = 6.0


class Activate(msgspec.Struct, array_like=True, frozen=True, tag="activate"):
    version: str
    request_id: str | None


class GoBack(msgspec.Struct, array_like=True, frozen=True, tag="go_back"):
    request_id: str | None


class Nodes(msgspec.Struct, array_like=True, frozen=True, tag="nodes"):
    pass


class NodeView(msgspec.Struct, frozen=True):
    """One node as the leader hears it."""

    heard_ms: int
    """Since its last report."""
    generation: int
    old_leases_ms: int
    """How long leases that it granted before this generation can still run."""
    shipped: str
    loaded: dict[str, str]
    redis: dict[str, str]


_encoder = msgspec.msgpack.Encoder()
Question = Activate | GoBack | Nodes
_question_decoder: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_outcome_decoder = msgspec.msgpack.Decoder(Outcome)


class Questions:
    def __init__(self, runner: Runner, machine: DecisionMachine, office: Office) -> None:
        self._runner = runner
        self._machine = machine
        self._office = office

    async def answer(self, body: bytes) -> bytes:
        """As the leader. Raises RaftMessageInvalid."""
        try:
            asked = _question_decoder.decode(body)
        except msgspec.DecodeError as error:
            raise RaftMessageInvalid(reason=f"it is no question to the leader: {error}") from None
        try:
            if not self._runner.leads():
                raise NotCommitted(reason="this node does not lead")
            return _encoder.encode(Outcome("ok", await self._obey(asked)))
        except SimpulError as error:
            return _encoder.encode(refused(error))

    async def _obey(self, asked: Question) -> dict[str, Any]:
        if isinstance(asked, GoBack):
            return {"version": await self._office.rollout.go_back(asked.request_id)}
        if isinstance(asked, Activate):
            await self._office.rollout.activate(asked.version, asked.request_id)
            return {"version": asked.version}
        now = steady_s()
        return {
            node: NodeView(
                heard_ms=round((now - heard.at) * 1000),
                generation=heard.report.generation,
                old_leases_ms=max(0, heard.report.old_leases_ms - round((now - heard.at) * 1000)),
                shipped=heard.report.shipped,
                loaded=heard.report.loaded,
                redis=heard.report.redis,
            )
            for node, heard in self._office.desk.heard.items()
        }


class Asking:
    """The same questions from any node."""

    def __init__(self, line: LeaderLine) -> None:
        self._line = line

    async def activate(self, version: str, request_id: str | None) -> None:
        """Raises what `Rollout.activate` raises; NotCommitted when no leader answers."""
        await self._ask(Activate(version, request_id))

    async def go_back(self, request_id: str | None) -> str:
        """The version that is active again. Raises what `Rollout.go_back` raises; NotCommitted without a leader."""
        return str((await self._ask(GoBack(request_id)))["version"])

    async def nodes(self) -> dict[str, NodeView]:
        """By URL. Raises NotCommitted when no leader answers."""
        return msgspec.convert(await self._ask(Nodes()), dict[str, NodeView])

    async def _ask(self, question: Question) -> dict[str, Any]:
        try:
            answer = await self._line.ask(PATH, _encoder.encode(question), DEADLINE_S)
            outcome = _outcome_decoder.decode(answer)
        except (Unreachable, msgspec.DecodeError) as error:
            raise NotCommitted(reason=str(error)) from None
        return outcome.result()
