"""Does anybody starve? `python -m loadtest.lock_fairness`: readers and writers ask for one lock again and again.

Each client takes the lock through its own node, keeps it for a moment, releases it and asks again at once. A lock that
favours readers would leave the writers out for as long as readers overlap, one that favours writers the other way; one
that favours whoever is near would serve one node's clients better. So: how long does each kind wait, at the most, and
how evenly are grants spread? Evenness is Jain's index: 1 when all got the same, 1/n when one got everything.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from tests.chaos.http_client import Connection
from tests.support import NodeProcess, cluster, redis_server

PATIENCE_S = 30.0
CALL_S = 40.0


@dataclass
class Party:
    """One client and what it went through."""

    node: int
    mode: str
    waits_ms: list[float] = field(default_factory=list)


async def _take_turns(party: Party, port: int, owner: str, hold_s: float, until: float) -> None:
    client = Connection(port)
    lock = {"resource": "contended", "owner": owner}
    try:
        while perf_counter() < until:
            asked_at = perf_counter()
            reply = await client.post(
                "/lock/acquire", {**lock, "mode": party.mode, "timeout": PATIENCE_S, "ttl_ms": 30_000}, CALL_S
            )
            if reply.status != 200:
                raise RuntimeError(f"{owner} was refused: {reply.body}")
            party.waits_ms.append((perf_counter() - asked_at) * 1000)
            await asyncio.sleep(hold_s)
            await client.post("/lock/release", lock, CALL_S)
    finally:
        client.close()


async def contend(nodes: list[NodeProcess], readers: int, writers: int, hold_s: float, seconds: float) -> list[Party]:
    modes = ["shared"] * readers + ["exclusive"] * writers
    parties = [Party(number % len(nodes), mode) for number, mode in enumerate(modes)]
    until = perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for number, party in enumerate(parties):
            group.create_task(_take_turns(party, nodes[party.node].port, f"c{number}", hold_s, until))
    return parties


def evenness(counts: Iterable[int]) -> float:
    """Jain, Chiu and Hawe 1984."""
    found = list(counts)
    return sum(found) ** 2 / (len(found) * sum(count * count for count in found))


def row(what: str, parties: list[Party]) -> str:
    waits_ms = sorted(ms for party in parties for ms in party.waits_ms)
    cuts = quantiles(waits_ms, n=100)
    counts = [len(party.waits_ms) for party in parties]
    return (
        f"| {what} | {len(parties)} | {sum(counts):,} | {min(counts)}-{max(counts)} | {evenness(counts):.3f} "
        f"| {cuts[49]:.1f} | {cuts[98]:.1f} | {waits_ms[-1]:.1f} |"
    )


def report(parties: list[Party]) -> None:
    print("| | clients | grants | each | evenness | wait p50 ms | p99 ms | most ms |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for mode, what in (("shared", "readers"), ("exclusive", "writers")):
        if of_mode := [party for party in parties if party.mode == mode]:
            print(row(what, of_mode))
    for node in sorted({party.node for party in parties}):
        print(row(f"through node {node + 1}", [party for party in parties if party.node == node]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.lock_fairness", description=__doc__)
    parser.add_argument("--readers", type=int, default=24)
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--hold-ms", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-fairness-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            report(asyncio.run(contend(nodes, asked.readers, asked.writers, asked.hold_ms / 1000, asked.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
