"""How soon a message reaches a consumer that waits: `python -m loadtest.queue_latency`.

Three nodes on one Redis. Consumers wait with `wait_ms`, acknowledge with `then` = `consume` and so wait again; one
producer publishes at a steady rate, through the nodes in turn. A latency lasts from sending the publish to the
consumer's having read its message. Beside it stands a round trip to a bare echo, made by the same client just before
each publish, so that the machine's own delays can be told from ours.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import orjson

from loadtest import processes
from loadtest.queue_batches import Client, Lost
from tests.support import NodeProcess, cluster, redis_server, wait_until

TOPIC = "latency"


async def _consume(port: int, number: int, seen_at: dict[int, float], until: asyncio.Event) -> None:
    ask = {"topic": TOPIC, "consumer": f"c{number}", "wait_ms": 2_000}
    async with Client(port) as client:
        while not until.is_set():
            got = orjson.loads(await client.post(b"/queue/consume", orjson.dumps(ask)))
            while "receipt" in got:
                seen_at[got["message"]["data"]] = perf_counter()
                ack = {"topic": TOPIC, "receipt": got["receipt"], "then": "consume", "wait_ms": 2_000}
                following = orjson.loads(await client.post(b"/queue/ack", orjson.dumps(ack)))["next"]["messages"]
                got = following[0] if following else {}


async def _produce(ports: list[int], echo: int, options: argparse.Namespace) -> tuple[dict[int, float], list[float]]:
    """When each message was sent, and round trips to the echo in ms."""
    sent_at: dict[int, float] = {}
    echoes: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    clients = [Client(port) for port in (*ports, echo)]
    for client in clients:
        await client.__aenter__()
    for number in range(options.messages):
        await asyncio.sleep(max(0.0, began + number / options.rate - loop.time()))
        at = perf_counter()
        await clients[-1].post(b"/echo", b"{}")
        echoes.append((perf_counter() - at) * 1000)
        body = b'{"topic":"%b","data":%d}' % (TOPIC.encode(), number)
        sent_at[number] = perf_counter()
        await clients[number % len(ports)].post(b"/queue/publish", body)
    for client in clients:
        await client.__aexit__()
    return sent_at, echoes


async def measure(nodes: list[NodeProcess], options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Latencies and round trips in ms. Raises Lost."""
    ports = [node.port for node in nodes]
    seen_at: dict[int, float] = {}
    until = asyncio.Event()
    async with processes.echo("starlette") as echo:
        consumers = [
            asyncio.ensure_future(_consume(ports[number % len(ports)], number, seen_at, until))
            for number in range(options.consumers)
        ]
        await asyncio.to_thread(
            wait_until,
            lambda: nodes[0].get(f"/queue/{TOPIC}").json["consumers"] == options.consumers,
            "all consumers to wait",
        )
        sent_at, echoes = await _produce(ports, int(echo.url.rpartition(":")[2]), options)
        until.set()
        await asyncio.gather(*consumers)
    if len(seen_at) != options.messages:
        raise Lost(f"{options.messages} were published, {len(seen_at)} seen")
    return [(seen_at[number] - at) * 1000 for number, at in sent_at.items()], echoes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.queue_latency", description=__doc__)
    parser.add_argument("--messages", type=int, default=4_000)
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second")
    parser.add_argument("--consumers", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-latency-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            try:
                latencies, echoes = asyncio.run(measure(nodes, options))
            except (Lost, processes.ServeError) as error:
                print(error, file=sys.stderr)
                return 1
    print(f"{options.messages} messages at {options.rate:g}/s to {options.consumers} consumers that wait")
    for name, times in (("publish to delivery", latencies), ("round trip to a bare echo", echoes)):
        cuts = quantiles(times, n=100)
        print(f"{name}: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, most {max(times):.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
