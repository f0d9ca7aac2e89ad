"""A circle made on purpose: it must be found, its last wait ended and no other, and all others then get their locks."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.deadlock.judge import Found, judge
from tests.deadlock.party import Asked, Party, parties

LENGTHS = range(2, 9)
_PERMITS = 3


class Circle:
    """Party i waits for lock i, which party i + 1 has, in one of four ways: it holds it alone; it shares it with
    somebody innocent, and a writer waits; it reads, a bystander waits to write, and a reader waits behind that; or it
    has two of three permits, somebody innocent the third, and two are waited for."""

    def __init__(self, seed: int, ports: list[int]) -> None:
        self.draw = random.Random(seed)
        self.length = LENGTHS[seed % len(LENGTHS)]
        self.ways = [self.draw.choice(("alone", "crowd", "behind", "permits")) for _ in range(self.length)]
        self.locks = [f"p{seed}-l{number}" for number in range(self.length)]
        names = [f"p{seed}-{kind}{number}" for number in range(self.length) for kind in ("o", "innocent", "bystander")]
        self.all = parties(names, ports, self.draw)
        self.in_it = [self.all[f"p{seed}-o{number}"] for number in range(self.length)]
        self.innocent = [self.all[f"p{seed}-innocent{number}"] for number in range(self.length)]
        self.bystanders = [self.all[f"p{seed}-bystander{number}"] for number in range(self.length)]
        self.waits: dict[Party, asyncio.Task[Asked]] = {}

    async def plant(self) -> Asked:
        """What the one that closed the circle was answered."""
        for number, (lock, way) in enumerate(zip(self.locks, self.ways, strict=True)):
            holder = self.in_it[(number + 1) % self.length]
            if way == "permits":
                await holder.acquire(lock, permits=2, limit=_PERMITS)
                await self.innocent[number].acquire(lock, permits=1, limit=_PERMITS)
            else:
                await holder.acquire(lock, mode="exclusive" if way == "alone" else "shared")
            if way == "crowd":
                await self.innocent[number].acquire(lock, mode="shared")
            elif way == "behind":
                await self._wait(self.bystanders[number], lock, {"mode": "exclusive"})
        order = self.draw.sample(range(self.length), self.length)
        for number in order[:-1]:
            await self._wait(self.in_it[number], self.locks[number], self._how(number))
        last = order[-1]
        return await self.in_it[last].acquire(self.locks[last], **self._how(last))

    def _how(self, number: int) -> dict[str, Any]:
        if self.ways[number] == "permits":
            return {"permits": 2, "limit": _PERMITS}
        modes = {"alone": self.draw.choice(("exclusive", "shared")), "crowd": "exclusive", "behind": "shared"}
        return {"mode": modes[self.ways[number]]}

    async def _wait(self, party: Party, lock: str, how: dict[str, Any]) -> None:
        self.waits[party] = asyncio.create_task(self._take_and_give_back(party, lock, how))
        await party.wait_to_stand_in_line(lock)

    @staticmethod
    async def _take_and_give_back(party: Party, lock: str, how: dict[str, Any]) -> Asked:
        asked = await party.acquire(lock, **how)
        await party.release_all()
        return asked

    async def dissolve(self, victim: Party) -> list[Asked]:
        """The victim and the innocent give back what they have: what all others were answered then."""
        for party in (victim, *self.innocent):
            await party.release_all()
        return [await wait for wait in self.waits.values()]

    def close(self) -> None:
        for wait in self.waits.values():
            wait.cancel()
        for party in self.all.values():
            party.close()


async def run(seed: int, ports: list[int]) -> Found:
    circle = Circle(seed, ports)
    try:
        asked = await circle.plant()
        assert asked.reply.get("code") == "lock_deadlock", f"the last one was answered {asked}"
        found = judge(asked, circle.all)
        victim = circle.all[asked.reply["cycle"][0]["owner"]]
        assert asked in victim.asked, "the one that was told is the victim"
        told = {link["owner"] for link in asked.reply["cycle"]}
        assert {party.owner for party in circle.in_it} <= told, f"not the whole circle: {asked}"
        assert found.length == circle.length + circle.ways.count("behind")
        others = await circle.dissolve(victim)
        assert all(other.reply["granted"] for other in others), f"more than one was ended: {others}"
    finally:
        circle.close()
    return found
