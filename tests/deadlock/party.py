"""One client that holds and waits, one thing after the other, and remembers when."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tests.chaos.http_client import Connection, Reply

PATIENCE_S = 20
"""No honest wait of a schedule lasts nearly as long."""
_CALL_S = PATIENCE_S + 5


@dataclass
class Asked:
    """An acquire of one lock or of several: outstanding from `sent_at` to `answered_at`, of this process's clock."""

    resources: tuple[str, ...]
    mode: str
    sent_at: float
    answered_at: float = math.inf
    reply: Any = None


@dataclass
class Held:
    """A grant: in force from some moment after it was asked for, and not after `until`."""

    resource: str
    mode: str
    token: int
    asked_at: float
    until: float
    is_given_back: bool = False


class Party:
    """Its requests go to any node, and never two at a time."""

    def __init__(self, owner: str, ports: list[int], draw: random.Random) -> None:
        self.owner = owner
        self.asked: list[Asked] = []
        self.held: list[Held] = []
        self._connections = [Connection(port) for port in ports]
        self._draw = draw

    async def acquire(
        self, *resources: str, mode: str = "exclusive", ttl_ms: int = 60_000, permits: int = 1, limit: int = 0
    ) -> Asked:
        """One lock, or several at once, or permits of one with a limit. Granted or not: see `reply`."""
        asked = Asked(resources, mode, monotonic())
        self.asked.append(asked)
        what = {"resource": resources[0]} if len(resources) == 1 else {"resources": list(resources)}
        how = {"limit": limit, "permits": permits} if limit else {"mode": mode}
        body = {**what, **how, "owner": self.owner, "ttl_ms": ttl_ms, "timeout": PATIENCE_S}
        asked.reply = (await self._post("/lock/acquire", body)).body
        asked.answered_at = monotonic()
        if asked.reply["granted"]:
            until = asked.answered_at + ttl_ms / 1000
            tokens = asked.reply.get("tokens") or {resources[0]: asked.reply["token"]}
            self.held += [Held(name, mode, token, asked.sent_at, until) for name, token in tokens.items()]
        return asked

    async def release(self, held: Held) -> None:
        held.until, held.is_given_back = min(held.until, monotonic()), True
        await self._post("/lock/release", {"resource": held.resource, "owner": self.owner, "token": held.token})

    async def release_all(self) -> None:
        for held in self.holds():
            await self.release(held)

    def holds(self) -> list[Held]:
        """What it has not given back, whether or not the lease has ended: who forgets that would wait for itself."""
        return [held for held in self.held if not held.is_given_back]

    async def wait_to_stand_in_line(self, resource: str) -> None:
        """Until a request of this party, made elsewhere, waits."""
        while True:
            shown = await self._connections[0].get(f"/lock/{resource}", _CALL_S)
            if any(waiter["owner"] == self.owner for waiter in shown.body["waiters"]):
                return
            await asyncio.sleep(0.002)

    async def _post(self, path: str, body: dict[str, Any]) -> Reply:
        # Not the first: that one looks at lines meanwhile.
        return await self._draw.choice(self._connections[1:]).post(path, body, _CALL_S)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def parties(names: list[str], ports: list[int], draw: random.Random) -> dict[str, Party]:
    return {name: Party(name, [draw.choice(ports), *ports], draw) for name in names}
