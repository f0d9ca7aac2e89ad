"""Writes down what clients ask and are answered, with times of one monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tests.chaos.history import NEMESIS, Event, Outcome
from tests.chaos.http_client import Connection, NotSent, Reply

PATIENCE_S = 3.0
"""How much longer than its own waiting time a request may take before its client gives up."""

NOTHING: Mapping[str, str] = MappingProxyType({})


class Recorder:
    """The history of one run, from 0 ms on."""

    def __init__(self) -> None:
        self._origin_s = time.monotonic()
        self.history: list[Event] = []

    def now_ms(self) -> float:
        return (time.monotonic() - self._origin_s) * 1000

    def add(self, event: Event) -> Event:
        self.history.append(event)
        return event

    def instant(self, client: str, operation: str, target: str, outcome: Outcome, **values: Any) -> Event:
        """Something that happened here, at once."""
        now = self.now_ms()
        return self.add(Event(client, operation, target, now, now, outcome, values=values))

    def fault(self, name: str, began_ms: float, *, loses: bool) -> None:
        self.add(Event("", NEMESIS, name, began_ms, self.now_ms(), "ok", values={"loses": loses}))


class Client:
    """One client: one request at a time, each through whichever node it says."""

    def __init__(self, name: str, recorder: Recorder, ports: Sequence[int]) -> None:
        self.name = name
        self.recorder = recorder
        self._connections = [Connection(port) for port in ports]

    async def ask(
        self,
        node: int,
        path: str,
        target: str,
        body: dict[str, Any],
        keep: Mapping[str, str] = NOTHING,
        *,
        operation: str = "",
        **note: Any,
    ) -> Event:
        """The event as recorded: with what was asked, fields of the answer as `keep` names them, and `note`. The
        operation is named by the path unless it is given."""
        return self.recorder.add(await self.exchange(node, path, target, body, keep, operation=operation, **note))

    async def exchange(
        self,
        node: int,
        path: str,
        target: str,
        body: dict[str, Any],
        keep: Mapping[str, str] = NOTHING,
        *,
        operation: str = "",
        **note: Any,
    ) -> Event:
        """The same, for the caller to record."""
        recorder, operation = self.recorder, operation or path.rpartition("/")[2]
        values = {name: value for name, value in body.items() if name in _ASKED} | note
        invoked_ms = recorder.now_ms()
        outcome: Outcome
        answer: dict[str, Any] = {}
        try:
            reply = await self._connections[node].post(path, body, _waits_s(body) + PATIENCE_S)
            outcome, code, answer = *classify(reply), reply.body
        except NotSent:
            outcome, code = "refused", "unreachable"
        except (OSError, EOFError, TimeoutError) as error:
            outcome, code = "unknown", f"connection:{type(error).__name__}"
        completed_ms = recorder.now_ms()
        if outcome == "ok":
            values |= {name: answer[field] for field, name in keep.items() if answer.get(field) is not None}
        return Event(self.name, operation, target, invoked_ms, completed_ms, outcome, code, f"n{node + 1}", values)

    async def look(self, node: int, path: str) -> dict[str, Any]:
        """What a GET answers, which is no part of the history; empty if nothing came of it."""
        try:
            reply = await self._connections[node].get(path, PATIENCE_S)
        except (NotSent, OSError, EOFError, TimeoutError):
            return {}
        return reply.body if reply.status == 200 else {}

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


_ASKED = {"owner", "mode", "ttl_ms", "timeout", "token", "limit", "permits", "consistency"}
_ASKED |= {"id", "data", "key", "priority", "delay_ms", "receipt", "visibility_ms", "wait_ms", "max", "max_deliveries"}


def _waits_s(body: dict[str, Any]) -> float:
    """How long the node was asked to wait."""
    return float(body.get("timeout", 0)) + float(body.get("wait_ms", 0)) / 1000


def classify(reply: Reply) -> tuple[Outcome, str]:
    """What an answer says about the state of things; any code will do, `retry` tells its kind."""
    if reply.status == 200:
        return "ok", ""
    code = str(reply.body.get("code", reply.status))
    # Without a word about it an answer leaves everything open.
    return ("refused" if reply.body.get("retry") in ("no", "later") else "unknown"), code
