"""How late what is due in a topic is done when nothing else happens: `python -m loadtest.queue_duties`.

A consumer waits on one of three nodes; a message becomes ready at a time that only the partition's owner watches: its
delay ends, its delivery lapses, or it was given back for later. How long after that time has the consumer read it? The
time is reckoned from before the request that set it was sent, so what is shown is late rather than early.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import track

from tests.chaos.http_client import Connection
from tests.support import NodeProcess, cluster, redis_server

DUE_MS = 150
WAIT_MS = 10_000
CALL_S = 15.0

Ask = Callable[..., Awaitable[dict[str, Any]]]


async def _delay(ask: Ask) -> float:
    began = perf_counter()
    await ask("/queue/publish", data=1, delay_ms=DUE_MS)
    return began


async def _lapse(ask: Ask) -> float:
    await ask("/queue/publish", data=1)
    began = perf_counter()
    await ask("/queue/consume", visibility_ms=DUE_MS)
    return began


async def _nack(ask: Ask) -> float:
    await ask("/queue/publish", data=1)
    receipt = (await ask("/queue/consume"))["receipt"]
    began = perf_counter()
    await ask("/queue/nack", receipt=receipt, delay_ms=DUE_MS)
    return began


WAYS = {"a delay ends": _delay, "a delivery lapses": _lapse, "given back for later": _nack}


async def late_ms(nodes: list[NodeProcess], number: int, way: str) -> float:
    """Each round has a topic of its own, and so a partition and an owner by chance."""
    producer, consumer = (Connection(nodes[(number + at) % len(nodes)].port) for at in (0, 1))
    topic = f"{way}-{number}"

    async def ask(path: str, *, through: Connection = producer, **body: Any) -> dict[str, Any]:
        reply = await through.post(path, {"topic": topic, **body}, CALL_S)
        if reply.status != 200:
            raise RuntimeError(f"{path}: {reply.body}")
        return reply.body

    try:
        began = await WAYS[way](ask)
        got = await ask("/queue/consume", through=consumer, wait_ms=WAIT_MS)
        ended = perf_counter()
        await ask("/queue/ack", receipt=got["receipt"])
        return (ended - began) * 1000 - DUE_MS
    finally:
        producer.close()
        consumer.close()


async def measure(nodes: list[NodeProcess], rounds: int, way: str) -> list[float]:
    numbers = track(range(rounds), way, transient=True, console=Console(stderr=True))
    return [await late_ms(nodes, number, way) for number in numbers]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.queue_duties", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="at least 2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-duties-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            for way in WAYS:
                late = sorted(asyncio.run(measure(nodes, options.rounds, way)))
                cuts = quantiles(late, n=100, method="inclusive")
                print(f"{way}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, most {late[-1]:.1f} ms late")
    return 0


if __name__ == "__main__":
    sys.exit(main())
