"""How late a lock that nobody released passes on: `python -m loadtest.expiry`.

A client takes a lock for a short lease and goes away; another waits for it through another node. How long after the end
of the lease does it hear that the lock is its own? The end is reckoned from before the first request was sent, so what
is shown is late rather than early.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from tests.chaos.http_client import Connection
from tests.support import NodeProcess, cluster, redis_server

LEASE_MS = 150
PATIENCE_S = 10.0
CALL_S = 15.0


async def late_ms(nodes: list[NodeProcess], number: int, mode: dict[str, Any]) -> float:
    holder, waiter = (Connection(nodes[(number + at) % len(nodes)].port) for at in (0, 1))
    lock = {"resource": f"r{number}-{mode}", **mode}
    try:
        began = perf_counter()
        await holder.post("/lock/acquire", {**lock, "owner": "gone", "ttl_ms": LEASE_MS}, CALL_S)
        reply = await waiter.post("/lock/acquire", {**lock, "owner": "next", "timeout": PATIENCE_S}, CALL_S)
        if reply.status != 200:
            raise RuntimeError(f"the lock was not handed over: {reply.body}")
        return (perf_counter() - began) * 1000 - LEASE_MS
    finally:
        holder.close()
        waiter.close()


async def measure(nodes: list[NodeProcess], rounds: int, mode: dict[str, Any]) -> list[float]:
    return [await late_ms(nodes, number, mode) for number in range(rounds)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.expiry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="at least 2")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-expiry-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            for name, mode in (("exclusive", {}), ("semaphore", {"limit": 1})):
                late = sorted(asyncio.run(measure(nodes, asked.rounds, mode)))
                print(f"{name}: p50 {quantiles(late, n=100)[49]:.1f} ms, most {late[-1]:.1f} ms after the lease's end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
