"""How fast a lock passes from one client to the next: `python -m loadtest.hand_off`.

Waiters stand in one line for one lock, through three nodes in turn, one after the other. Then the holder releases, and
each that is answered releases at once through its own node. A hand-off lasts from sending the release to the answer of
the next in line. The order of the answers must be the order in which they came, or the run fails.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import NamedTuple

from tests.bars import bars
from tests.chaos.http_client import Connection
from tests.support import NodeProcess, cluster, redis_server, wait_until

PATIENCE_S = 60.0
CALL_S = 70.0
EDGES_MS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Of the histogram; the last class is open."""


class Line(NamedTuple):
    """What one round measured."""

    hand_offs_s: list[float]
    whole_s: float


class Unfair(Exception):
    """The lock went to another than the next in line."""


async def _released(client: Connection, resource: str, owner: str) -> float:
    """When the release was sent."""
    sent_at = perf_counter()
    reply = await client.post("/lock/release", {"resource": resource, "owner": owner}, CALL_S)
    if reply.status != 200:
        raise Unfair(f"{owner} could not release: {reply.body}")
    return sent_at


def _waiters(node: NodeProcess, resource: str) -> int:
    return int(node.get(f"/lock/{resource}").json["waiter_count"])


async def measure(nodes: list[NodeProcess], resource: str, waiters: int) -> Line:
    """Raises Unfair, alone or in a group."""
    answered: list[tuple[int, float]] = []
    sent_at: list[float] = []

    async def wait_turn(number: int, client: Connection) -> None:
        body = {"resource": resource, "owner": f"w{number}", "timeout": PATIENCE_S, "ttl_ms": 30_000}
        reply = await client.post("/lock/acquire", body, CALL_S)
        if reply.status != 200:
            raise Unfair(f"w{number} was refused: {reply.body}")
        answered.append((number, perf_counter()))
        sent_at.append(await _released(client, resource, f"w{number}"))

    clients = [Connection(nodes[number % len(nodes)].port) for number in range(waiters + 1)]
    try:
        await clients[-1].post("/lock/acquire", {"resource": resource, "owner": "first"}, CALL_S)
        async with asyncio.TaskGroup() as group:
            for number in range(waiters):
                group.create_task(wait_turn(number, clients[number]))
                await asyncio.sleep(0)
                await asyncio.to_thread(
                    wait_until, lambda n=number: _waiters(nodes[0], resource) == n + 1, f"waiter {number}"
                )
            sent_at.append(await _released(clients[-1], resource, "first"))
    finally:
        for client in clients:
            client.close()
    order = [number for number, _ in answered]
    if order != list(range(waiters)):
        raise Unfair(f"granted in the order {order}")
    ordered = sorted(sent_at)[:-1]
    times = [at for _, at in answered]
    return Line([at - sent for sent, at in zip(ordered, times, strict=True)], times[-1] - ordered[0])


def _report(waiters: int, lines: list[Line]) -> None:
    times_ms = sorted(one * 1000 for line in lines for one in line.hand_offs_s)
    cuts = quantiles(times_ms, n=100)
    rate = sum(len(line.hand_offs_s) for line in lines) / sum(line.whole_s for line in lines)
    print(
        f"{waiters} waiters, {len(lines)} rounds: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, "
        f"most {times_ms[-1]:.2f} ms, {rate:,.0f} hand-offs/s, strictly in order"
    )
    print(bars(times_ms, EDGES_MS))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.hand_off", description=__doc__)
    parser.add_argument("--waiters", type=int, nargs="*", default=[32, 100])
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-hand-off-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            for waiters in asked.waiters:
                # The first round warms up.
                lines = [
                    asyncio.run(measure(nodes, f"r{waiters}-{number}", waiters)) for number in range(asked.rounds + 1)
                ]
                _report(waiters, lines[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
