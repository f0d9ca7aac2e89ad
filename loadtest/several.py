"""What several locks in one request cost: `python -m loadtest.several`.

Uncontended: one client at a time takes and gives back one lock, two locks of one partition, two of two partitions, and
two with two requests for one each. The ways take turns, so that a ratio is one of the same minutes. Contended: clients
over three nodes move between accounts drawn at random, two locks each; every one must finish, and no two may ever hold
an account together, or the run fails.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

from service.keys import Keys
from tests.chaos.http_client import Connection
from tests.support import NodeProcess, cluster, redis_server

CALL_S = 70.0
PATIENCE_S = 60.0
TTL_MS = 30_000


class Broken(Exception):
    """A request was refused, or two held one lock."""


class Contended(NamedTuple):
    """What one round measured."""

    waits_s: list[float]
    whole_s: float


async def _must(client: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await client.post(path, body, CALL_S)
    if reply.status != 200:
        raise Broken(f"{path} {body}: {reply.body}")
    return reply.body


def _named(names: list[str]) -> dict[str, Any]:
    return {"resource": names[0]} if len(names) == 1 else {"resources": names}


async def uncontended(client: Connection, requests: list[list[str]], pairs: int) -> float:
    """Seconds for one taking and giving back of all requests."""
    began = perf_counter()
    for _ in range(pairs):
        for names in requests:
            await _must(client, "/lock/acquire", {**_named(names), "owner": "a", "timeout": 0, "ttl_ms": TTL_MS})
        for names in requests:
            await _must(client, "/lock/release", {**_named(names), "owner": "a"})
    return (perf_counter() - began) / pairs


async def contended(nodes: list[NodeProcess], accounts: list[str], clients: int, moves: int) -> Contended:
    """Raises Broken, alone or in a group."""
    inside: set[str] = set()
    waits_s: list[float] = []

    async def work(number: int) -> None:
        choose, client = random.Random(number), Connection(nodes[number % len(nodes)].port)
        try:
            for turn in range(moves):
                names, owner = choose.sample(accounts, 2), f"c{number}-{turn}"
                asked_at = perf_counter()
                body = {"resources": names, "owner": owner, "timeout": PATIENCE_S, "ttl_ms": TTL_MS}
                await _must(client, "/lock/acquire", body)
                waits_s.append(perf_counter() - asked_at)
                if inside & {*names}:
                    raise Broken(f"{owner} and another hold one of {names}")
                inside.update(names)
                await asyncio.sleep(0)
                inside.difference_update(names)
                await _must(client, "/lock/release", {"resources": names, "owner": owner})
        finally:
            client.close()

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(work(number))
    return Contended(waits_s, perf_counter() - began)


def _spread(name: str, partitions: int) -> list[str]:
    keys = Keys("simpul")
    found = {keys.partition_of(f"{name}{number}".encode()).number: f"{name}{number}" for number in range(500)}
    return [found[number] for number in sorted(found)[:partitions]]


async def _compare(nodes: list[NodeProcess], rounds: int, pairs: int) -> None:
    far = _spread("far", 2)
    ways = {
        "one lock": [["one"]],
        "two of one partition": [["{near}a", "{near}b"]],
        "two of two partitions": [far],
        "two requests for one each": [[name] for name in far],
    }
    client = Connection(nodes[0].port)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, requests in ways.items():
            one = await uncontended(client, requests, pairs)
            if number:  # the first round warms up
                taken[way].append(one)
    client.close()
    print("| taken and given back | ms | ratio to one lock (min-max) |\n|---|---:|---:|")
    for way, times in taken.items():
        ratios = sorted(time / one for time, one in zip(times, taken["one lock"], strict=True))
        print(f"| {way} | {median(times) * 1000:.2f} | {median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) |")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.several", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=200, help="of acquire and release in one turn")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--moves", type=int, default=50, help="of each client")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-several-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            asyncio.run(_compare(nodes, asked.rounds, asked.pairs))
            for what, accounts in (
                ("8 accounts of one partition", [f"{{bank}}{number}" for number in range(8)]),
                ("8 accounts of 8 partitions", _spread("account", 8)),
            ):
                found = asyncio.run(contended(nodes, accounts, asked.clients, asked.moves))
                cuts = quantiles([wait * 1000 for wait in found.waits_s], n=100)
                print(
                    f"{asked.clients} clients, {what}: {len(found.waits_s) / found.whole_s:,.0f} moves/s, "
                    f"granted after p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, all finished"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
