"""What the clients of a run do: contend for a few locks and write what they protect, use a queue, use a cache.

Every choice comes from the run's seed; what the nodes answer, and when, does not, so that a replay is the same plan
and not the same history.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.chaos.checkers.holds import GRAIN_MS, token_of
from tests.chaos.checkers.register import GUARDED, PLAIN
from tests.chaos.history import Event
from tests.chaos.queue_clients import QUEUE_CLIENTS, drain, prepare
from tests.chaos.recorder import Client
from tests.chaos.stage import EXCLUSIVE, Stage, a_node

LOCK_CLIENTS = 8
CACHE_CLIENTS = 2
ENTERING_CLIENTS = 2
PERMIT_CLIENTS = 4

MIXED = "rw"
"""Taken by readers and writers."""
ENTERED = "entered"
SEATS, LIMIT = "seats", 3
TTL_MS = (300, 1000)
KEYS = ("k0", "k1", "k2")


async def play(stage: Stage, until: asyncio.Task[Any]) -> None:
    """Run all clients until a task is done, then drain the topics."""
    await prepare(stage)
    parts = [_lock_client] * LOCK_CLIENTS + [*QUEUE_CLIENTS] + [_cache_client] * CACHE_CLIENTS
    parts += [_entering_client] * ENTERING_CLIENTS + [_permit_client] * PERMIT_CLIENTS
    async with asyncio.TaskGroup() as group:
        for number, part in enumerate(parts):
            group.create_task(part(stage, f"c{number}"))
        await asyncio.wait([until])
        stage.running = False
    await drain(stage)


# Locks


async def _lock_client(stage: Stage, name: str) -> None:
    client, chance = stage.client(name)
    while stage.running:
        resource = chance.choice((*EXCLUSIVE, MIXED))
        shared = resource == MIXED and chance.random() < 0.7
        body = {
            "resource": resource,
            "owner": name,
            "mode": "shared" if shared else "exclusive",
            "ttl_ms": chance.randint(*TTL_MS),
            "timeout": chance.choice((0, 0, 0.2, 0.5, 2)),
        }
        grant = await client.ask(a_node(chance), "/lock/acquire", resource, body, keep={"token": "token"})
        if grant.outcome == "ok":
            await _Holder(stage, client, chance, grant).hold()
        else:
            await asyncio.sleep(chance.uniform(0.01, 0.05))
    client.close()


class _Holder:
    """A client with a grant. It believes that it holds until the request + the lease, and acts on that."""

    def __init__(self, stage: Stage, client: Client, chance: random.Random, grant: Event) -> None:
        self._stage, self._client, self._chance, self._grant = stage, client, chance, grant
        self._register = stage.registers.get(grant.target)
        self._token = int(grant.values["token"])
        self._note_lease(grant)

    def _note_lease(self, event: Event) -> None:
        self._ends_ms = event.invoked_ms + float(event.values["ttl_ms"]) - GRAIN_MS

    @property
    def _holds(self) -> bool:
        return self._stage.recorder.now_ms() < self._ends_ms

    @property
    def _who(self) -> tuple[str, int, str]:
        """Client, token, owner: a client is its own owner."""
        return self._client.name, self._token, self._client.name

    async def hold(self) -> None:
        chance = self._chance
        register = self._register
        guarded = register.read(GUARDED, *self._who) if register else None
        plain = register.read(PLAIN, *self._who) if register and self._holds else None
        # Some hold briefly, so that grants are many; most hold long, so that at any moment some lock is held.
        await asyncio.sleep(
            chance.choice((0.05, 0.7, 0.7)) * chance.random() * float(self._grant.values["ttl_ms"]) / 1000
        )
        if chance.random() < 0.3 and not await self._renew():
            plain = None
        if chance.random() < 0.12:
            await self._overstay()
        # Between this look at the clock and the write nothing else runs.
        if register and plain is not None and self._holds:
            register.write(PLAIN, *self._who, plain)
        if register and guarded is not None:
            register.write(GUARDED, *self._who, guarded)
        if chance.random() < 0.85:
            await self._release()

    async def _renew(self) -> bool:
        """Whether the hold certainly goes on."""
        body = {
            "resource": self._grant.target,
            "owner": self._client.name,
            "token": self._token,
            "ttl_ms": self._chance.randint(*TTL_MS),
        }
        node = a_node(self._chance)
        renewed = await self._client.ask(
            node, "/lock/renew", self._grant.target, body, keep={"ttl_ms": "ttl_ms", "token": "new_token"}
        )
        if renewed.outcome == "ok":
            self._note_lease(renewed)
            self._token = token_of(renewed)
        elif renewed.code == "lock_lost" or renewed.outcome == "unknown":
            self._ends_ms = min(self._ends_ms, renewed.invoked_ms)
        return renewed.outcome == "ok"

    async def _overstay(self) -> None:
        """As a holder that was paused: it wakes up after its lease, and does not know."""
        left_s = (self._ends_ms - self._stage.recorder.now_ms()) / 1000
        await asyncio.sleep(max(left_s, 0) + self._chance.uniform(0, 0.3))

    async def _release(self) -> None:
        body = {"resource": self._grant.target, "owner": self._client.name, "token": self._token}
        await self._client.ask(a_node(self._chance), "/lock/release", self._grant.target, body)


async def _entering_client(stage: Stage, name: str) -> None:
    """Enters a re-entrant lock up to three times, and leaves it as often, through any nodes."""
    client, chance = stage.client(name)
    number = 0
    while stage.running:
        number += 1
        owner, token, depth = f"{name}-{number}", 0, 0
        for _ in range(chance.randint(1, 3)):
            body = {"resource": ENTERED, "owner": owner, "reentrant": True, "ttl_ms": 1000, "timeout": 0.3}
            kept = {"token": "token", "holds": "holds"}
            entered = await client.ask(a_node(chance), "/lock/acquire", ENTERED, body, kept, operation="enter")
            if entered.outcome != "ok":
                break
            token, depth = int(entered.values["token"]), depth + 1
            await asyncio.sleep(chance.uniform(0, 0.05))
        for _ in range(depth if chance.random() < 0.9 else 0):
            body = {"resource": ENTERED, "owner": owner, "token": token}
            left = await client.ask(
                a_node(chance), "/lock/release", ENTERED, body, {"holds": "holds"}, operation="leave"
            )
            if left.outcome != "ok":
                break
        await asyncio.sleep(chance.uniform(0.01, 0.05))
    client.close()


async def _permit_client(stage: Stage, name: str) -> None:
    client, chance = stage.client(name)
    number = 0
    while stage.running:
        number += 1
        body = {
            "resource": SEATS,
            "owner": f"{name}-{number}",
            "limit": LIMIT,
            "permits": chance.choice((1, 1, 2)),
            "ttl_ms": 600,
            "timeout": chance.choice((0, 0.3)),
        }
        taken = await client.ask(a_node(chance), "/lock/acquire", SEATS, body, {"token": "token"}, operation="take")
        if taken.outcome == "ok":
            await asyncio.sleep(chance.uniform(0, 0.2))
            if chance.random() < 0.9:
                back = {"resource": SEATS, "owner": body["owner"], "token": taken.values["token"]}
                await client.ask(a_node(chance), "/lock/release", SEATS, back, operation="give")
        await asyncio.sleep(chance.uniform(0.01, 0.05))
    client.close()


# Cache


async def _cache_client(stage: Stage, name: str) -> None:
    client, chance = stage.client(name)
    number = 0
    while stage.running:
        number += 1
        key, node, what = chance.choice(KEYS), a_node(chance), chance.random()
        if what < 0.2:
            await client.ask(node, "/cache/put", key, {"key": key, "value": number}, keep={"version": "version"})
        elif what < 0.23:
            await client.ask(node, "/cache/invalidate", key, {"key": key})
        else:
            how = {"consistency": "strong"} if what > 0.9 else {}
            await client.ask(node, "/cache/get", key, {"key": key, **how}, keep={"version": "version"})
        await asyncio.sleep(chance.uniform(0.005, 0.02))
    client.close()
