"""Random clients that take locks in any order, or in one order: who is told of a deadlock was in one, and nobody waits
in vain."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from tests.deadlock.judge import Found, judge
from tests.deadlock.party import Asked, Party, parties

ROUNDS_MAX = 4
"""How often a party begins anew after a deadlock."""


@dataclass
class Outcome:
    """What became of one schedule."""

    found: list[Found] = field(default_factory=list)
    grants: int = 0


class Missed(AssertionError):
    """A wait that nobody ended."""


async def run(seed: int, ports: list[int]) -> Outcome:
    """Raises FalseAlarm, Missed. In every third schedule all take their locks in one order: no deadlock can be. Some of
    these are semaphores; elsewhere nobody could tell from outside whether one of many holders would have gone on."""
    draw = random.Random(seed)
    is_ordered = seed % 3 == 0
    resources = [f"s{seed}-r{number}" for number in range(draw.randint(2, 5))]
    all_ = parties([f"s{seed}-o{number}" for number in range(draw.randint(2, 6))], ports, draw)
    outcome = Outcome()
    try:
        async with asyncio.TaskGroup() as group:
            for party in all_.values():
                own = random.Random(draw.random())
                group.create_task(_live(party, resources, own, outcome, is_ordered=is_ordered))
        for party in all_.values():
            for asked in party.asked:
                _check(asked, all_, outcome, is_ordered=is_ordered)
    finally:
        for party in all_.values():
            party.close()
    return outcome


async def _live(party: Party, resources: list[str], draw: random.Random, outcome: Outcome, *, is_ordered: bool) -> None:
    for _ in range(ROUNDS_MAX):
        wanted = draw.sample(resources, draw.randint(2, len(resources)))
        if is_ordered:
            wanted.sort()
        was_refused = False
        while wanted:
            # Several at once are taken in an order of their own.
            count = 1 if is_ordered else min(len(wanted), draw.choice((1, 1, 1, 2, 3)))
            some, wanted = wanted[:count], wanted[count:]
            # A lease that may end while others wait for it breaks a circle without anybody's doing.
            ttl_ms = draw.choice((60_000, 60_000, 60_000, 300))
            if is_ordered and some[0].endswith("0"):
                asked = await party.acquire(*some, permits=draw.randint(1, 2), limit=2, ttl_ms=ttl_ms)
            else:
                mode = draw.choice(("exclusive", "exclusive", "shared"))
                asked = await party.acquire(*some, mode=mode, ttl_ms=ttl_ms)
            if not asked.reply["granted"]:
                was_refused = True
                break
            outcome.grants += 1
            await asyncio.sleep(draw.choice((0, 0.003, 0.015)))
            holds = party.holds()
            if draw.random() < 0.2 and holds:
                await party.release(draw.choice(holds))
        await party.release_all()
        if not was_refused:
            return


def _check(asked: Asked, all_: dict[str, Party], outcome: Outcome, *, is_ordered: bool) -> None:
    code = asked.reply.get("code")
    if code == "lock_deadlock":
        outcome.found.append(judge(asked, all_))
        if is_ordered:
            raise AssertionError(f"a deadlock where all take locks in one order, and the judge believes it: {asked}")
    elif not asked.reply["granted"]:
        raise Missed(f"{asked}")
