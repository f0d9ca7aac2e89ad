"""What an mget of a hundred keys costs: `python -m loadtest.mget`, against one strong get in the same run.

One client asks one node of three, one request after the other, and the ways take turns, so that a ratio is one of the
same turn. Time is from sending the request to having read the answer; CPU is that of the node and of Redis together.
Every answer is checked: all values, and where they came from.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from loadtest.processes import cpu_ns
from service.limits import MGET_MAX
from tests.chaos.http_client import Connection
from tests.support import NodeProcess, RedisServer, cluster, redis_server

CALL_S = 10.0
TARGET = 2.0
VALUE = "v" * 64
SPREAD = [f"mget{number}" for number in range(MGET_MAX)]
TOGETHER = [f"{{mget}}{number}" for number in range(MGET_MAX)]
STRONG = "strong get of one key"
JUDGED = "mget, copies of this node"
"""Has a target. The others ask Redis for a hundred values: in one call, and in one for each partition."""


class Wrong(Exception):
    """An answer is not what it should be."""


class Way(NamedTuple):
    path: str
    body: dict[str, Any]
    source: str


WAYS = {
    STRONG: Way("/cache/get", {"key": SPREAD[0], "consistency": "strong"}, "redis"),
    JUDGED: Way("/cache/mget", {"keys": SPREAD}, "local"),
    "mget, strong, one partition": Way("/cache/mget", {"keys": TOGETHER, "consistency": "strong"}, "redis"),
    "mget, strong, all partitions": Way("/cache/mget", {"keys": SPREAD, "consistency": "strong"}, "redis"),
}


class Cost(NamedTuple):
    ms: float
    cpu_us: float


def check(way: Way, answer: dict[str, Any]) -> None:
    """Raises Wrong."""
    entries = answer.get("entries", [answer])
    expected = len(way.body.get("keys", ["one"]))
    right = [one for one in entries if one.get("value") == VALUE and one["source"] == way.source]
    if len(right) != expected:
        raise Wrong(f"{way.path}: {len(right)} of {expected} values came from {way.source} as they should")


async def turn(client: Connection, way: Way, pids: list[int], calls: int) -> Cost:
    """The median time of a call and its CPU time. Raises Wrong."""
    took_s = []
    before_ns = sum(map(cpu_ns, pids))
    for _ in range(calls):
        began = perf_counter()
        reply = await client.post(way.path, way.body, CALL_S)
        took_s.append(perf_counter() - began)
        check(way, reply.body)
    used_ns = sum(map(cpu_ns, pids)) - before_ns
    return Cost(median(took_s) * 1000, used_ns / calls / 1000)


async def measure(node: NodeProcess, redis: RedisServer, rounds: int, calls: int) -> dict[str, list[Cost]]:
    """Raises Wrong."""
    assert node.process
    assert redis.process
    pids = [node.process.pid, redis.process.pid]
    client = Connection(node.port)
    found: dict[str, list[Cost]] = {name: [] for name in WAYS}
    try:
        for keys in (SPREAD, TOGETHER):
            items = [{"key": key, "value": VALUE} for key in keys]
            await client.post("/cache/mput", {"items": items}, CALL_S)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for number in progress.track(range(rounds + 1), description="rounds"):
                for name, way in WAYS.items():
                    # Copies that lapsed meanwhile are fetched before they are counted as held.
                    await client.post("/cache/mget", {"keys": SPREAD}, CALL_S)
                    cost = await turn(client, way, pids, calls)
                    if number:  # the first round warms up
                        found[name].append(cost)
    finally:
        client.close()
    return found


def show(found: dict[str, list[Cost]]) -> dict[str, float]:
    """The table; the median ratio of time of each way."""
    ratios = {}
    print(
        f"| {MGET_MAX} keys | p50 ms | ratio to the strong get (min-max) | CPU us | ratio |\n|---|---:|---:|---:|---:|"
    )
    for name, costs in found.items():
        of_time = sorted(one.ms / strong.ms for one, strong in zip(costs, found[STRONG], strict=True))
        of_cpu = median(one.cpu_us / strong.cpu_us for one, strong in zip(costs, found[STRONG], strict=True))
        ratios[name] = ratio = median(of_time)
        print(
            f"| {name} | {median(one.ms for one in costs):.3f} | {ratio:.2f} ({of_time[0]:.2f}-{of_time[-1]:.2f}) "
            f"| {median(one.cpu_us for one in costs):.0f} | {of_cpu:.1f} |"
        )
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.mget", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=300, help="of each way in one round")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-mget-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            found = asyncio.run(measure(nodes[0], server, asked.rounds, asked.calls))
    ratios = show(found)
    is_missed = ratios[JUDGED] >= TARGET
    if is_missed:
        print(f"MISSED {JUDGED}: {ratios[JUDGED]:.2f} times a strong get, wanted less than {TARGET:.0f}")
    return 1 if is_missed and asked.strict else 0


if __name__ == "__main__":
    sys.exit(main())
