"""What a group of operations costs beside its operations one by one: `python -m loadtest.groups`.

One client finishes messages that were delivered to it before: it acknowledges each, publishes the next one and stores a
value, in three requests or in one group. The ways take turns, so that a ratio is one of the same minutes.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tests.chaos.http_client import Connection
from tests.support import cluster, redis_server

CALL_S = 30.0
IN, OUT, STATE, LOCK = "{order42}:in", "{order42}:out", "{order42}:state", "{order42}"
DATA = {"order": 42, "lines": ["x" * 20] * 4}


class Broken(Exception):
    """A request was refused."""


Finish = Callable[[Connection, str, int], Awaitable[None]]
"""Finishes the delivery of a receipt; the number is the token of a lock that is held."""


async def _must(client: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await client.post(path, body, CALL_S)
    if reply.status != 200:
        raise Broken(f"{path} {body}: {reply.body}")
    return reply.body


async def one_by_one(client: Connection, receipt: str, _: int) -> None:
    await _must(client, "/queue/publish", {"topic": OUT, "data": DATA})
    await _must(client, "/cache/put", {"key": STATE, "value": DATA})
    await _must(client, "/queue/ack", {"topic": IN, "receipt": receipt})


async def acknowledged(client: Connection, receipt: str, _: int) -> None:
    await _must(client, "/queue/ack", {"topic": IN, "receipt": receipt})


def _finishing(receipt: str) -> list[dict[str, Any]]:
    return [
        {"op": "queue.ack", "topic": IN, "receipt": receipt},
        {"op": "queue.publish", "topic": OUT, "data": DATA},
        {"op": "cache.put", "key": STATE, "value": DATA},
    ]


async def in_a_group(client: Connection, receipt: str, _: int) -> None:
    await _must(client, "/atomic", {"operations": _finishing(receipt)})


async def checked(client: Connection, receipt: str, token: int) -> None:
    check = {"op": "lock.check", "resource": LOCK, "token": token, "owner": "w"}
    await _must(client, "/atomic", {"operations": [check, *_finishing(receipt)]})


WAYS: dict[str, Finish] = {
    "ack alone": acknowledged,
    "ack, publish, put: three requests": one_by_one,
    "the same as one group": in_a_group,
    "with a check of a lock's token": checked,
}


async def _delivered(client: Connection, count: int) -> list[str]:
    await _must(client, "/queue/publish", {"topic": IN, "messages": [{"data": DATA}] * count})
    found = await _must(client, "/queue/consume", {"topic": IN, "max": max(count, 2)})
    return [one["receipt"] for one in found["messages"]]


async def compare(port: int, rounds: int, messages: int) -> None:
    client = Connection(port)
    held = await _must(client, "/lock/acquire", {"resource": LOCK, "owner": "w", "ttl_ms": 3_600_000})
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        print(f"\rround {number} of {rounds}", end="", file=sys.stderr, flush=True)
        for way, finish in WAYS.items():
            receipts = await _delivered(client, messages)
            began = perf_counter()
            for receipt in receipts:
                await finish(client, receipt, held["token"])
            if number:  # the first round warms up
                taken[way].append((perf_counter() - began) / messages)
            await _must(client, "/queue/purge", {"topic": OUT, "state": "ready"})
    client.close()
    print(file=sys.stderr)
    print("| a message finished | ms | ratio to three requests (min-max) |\n|---|---:|---:|")
    for way, times in taken.items():
        ratios = sorted(time / three for time, three in zip(times, taken[list(WAYS)[1]], strict=True))
        print(f"| {way} | {median(times) * 1000:.2f} | {median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) |")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.groups", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--messages", type=int, default=500, help="finished in one turn")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-groups-") as made:
        folder = Path(made)
        with (
            redis_server(folder / "redis") as server,
            cluster(folder, server.url, 1, SIMPUL_LOG_LEVEL="warning") as one,
        ):
            asyncio.run(compare(one[0].port, asked.rounds, asked.messages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
