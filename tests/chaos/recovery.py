"""`python -m tests.chaos.recovery --times 50`: how long after FLUSHALL each node serves queue and cache again.

Measured from the moment FLUSHALL is sent to the first success of a request that was sent after it, asked for again and
again on each of three nodes at the same time. Exit status 1 if the worst node's p99 is above the target.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.nemeses import flushall
from tests.chaos.recorder import Client, Recorder
from tests.chaos.world import World, world

TARGET_MS = 300.0
RETRY_S = 0.002
GIVE_UP_MS = 10_000.0
BAR = 40

PROBES: dict[str, dict[str, Any]] = {
    "/queue/publish": {"topic": "recovery", "data": 1},
    "/cache/put": {"key": "recovery", "value": 1},
}


async def until_served(client: Client, node: int, path: str, since_ms: float) -> float:
    """Milliseconds from `since_ms` to the first success on this node."""
    while (now_ms := client.recorder.now_ms()) < since_ms + GIVE_UP_MS:
        event = await client.ask(node, path, path, PROBES[path])
        if event.outcome == "ok" and now_ms >= since_ms:
            return event.completed_ms - since_ms
        await asyncio.sleep(RETRY_S)
    raise AssertionError(f"n{node + 1} did not serve {path} within {GIVE_UP_MS:g} ms of FLUSHALL: {event}")


async def measure(made: World, times: int) -> dict[tuple[int, str], list[float]]:
    """For each node and operation, one figure a time."""
    recorder = Recorder()
    ports = [node.port for node in made.nodes]
    clients = {(node, path): Client(path, recorder, ports) for node in range(len(ports)) for path in PROBES}
    took: dict[tuple[int, str], list[float]] = {key: [] for key in clients}
    for number in range(times):
        # Everybody serves before the next loss.
        await asyncio.gather(*(until_served(c, *key, recorder.now_ms()) for key, c in clients.items()))
        since_ms = recorder.now_ms()
        await asyncio.to_thread(flushall, made, random.Random(number))
        served = await asyncio.gather(*(until_served(c, *key, since_ms) for key, c in clients.items()))
        for key, figure in zip(clients, served, strict=True):
            took[key].append(figure)
        filled = "#" * (BAR * (number + 1) // times)
        print(f"\rFLUSHALL [{filled:<{BAR}}] {number + 1}/{times}", end="", file=sys.stderr)
    print(file=sys.stderr)
    for client in clients.values():
        client.close()
    return took


def percentile(figures: list[float], share: float) -> float:
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.recovery", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="how often Redis is emptied")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="simpul-chaos-") as folder, world(Path(folder)) as made:
        took = asyncio.run(measure(made, options.times))
    print(f"ms from FLUSHALL to the first success, {options.times} times")
    for (node, path), figures in sorted(took.items(), key=lambda item: item[0][::-1]):
        p50, p99 = percentile(figures, 0.5), percentile(figures, 0.99)
        print(f"  n{node + 1} {path:15} p50 {p50:6.1f}  p99 {p99:6.1f}  worst {max(figures):6.1f}")
    worst = max(percentile(figures, 0.99) for figures in took.values())
    print(f"worst p99 {worst:.1f} ms, target {TARGET_MS:g} ms")
    return 0 if worst <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
