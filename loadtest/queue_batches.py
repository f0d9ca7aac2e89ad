"""How many messages a second go in and out in batches, over HTTP: `python -m loadtest.queue_batches`.

One node on one Redis. Producers publish batches one after the other; then consumers take batches and acknowledge each:
half of the messages with requests to consume and to acknowledge, half with acknowledgements that take the next batch
along. A round ends when every message was acknowledged, and the run fails if one was lost or came twice. Each round is
done with `appendfsync everysec` and with `always`, on two nodes and servers side by side, and a bare Starlette echo
answers requests of the same size as the publishes, so that the machine's own speed stands beside the figures. How busy
each process was says what the bottleneck is; it must not be the one that makes the load.
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

from loadtest import processes
from service.embedded import EmbeddedError, EmbeddedValkey

PAYLOAD = b'{"x":1,"text":"forty bytes of payload, more or less ..."}'
_RECEIPT = re.compile(rb'"receipt":("[^"]+")')


class Lost(Exception):
    """A message was lost, came twice, or was refused."""


class Rate(NamedTuple):
    """One phase of a round."""

    per_second: float
    """Messages."""
    node: float
    """Share of its time in which the node was on a core; so for the others."""
    redis: float
    clients: float


class Served(NamedTuple):
    """A node and its Redis."""

    node: processes.Served
    redis: EmbeddedValkey

    @property
    def pids(self) -> tuple[int, int]:
        return self.node.process.pid, self.redis.child.pid

    @property
    def port(self) -> int:
        return int(self.node.url.rpartition(":")[2])


PUBLISHED, CONSUMED, TOGETHER = "published", "consumed, then acknowledged", "acknowledged with the next consumed"
TARGETS = {PUBLISHED: 100_000, CONSUMED: 60_000, TOGETHER: 60_000}
ALWAYS_TARGET = 0.7
"""Of the rate with `everysec`."""


class Client:
    """Keep-alive HTTP with whole bodies as bytes: its cost must not be what is measured."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def post(self, path: bytes, body: bytes) -> bytes:
        """Raises Lost for any answer but 200."""
        self._writer.write(
            b"POST %b HTTP/1.1\r\nHost: n\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (path, len(body), body)
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        answer = await self._reader.readexactly(size)
        if not head.startswith(b"HTTP/1.1 200"):
            raise Lost(f"{path.decode()}: {answer[:200]!r}")
        return answer


async def _publish(port: int, path: bytes, body: bytes, batches: int) -> None:
    async with Client(port) as client:
        for _ in range(batches):
            await client.post(path, body)


async def _drain(port: int, topic: bytes, batch: int, *, together: bool) -> list[bytes]:
    """The receipts that were acknowledged."""
    acked: list[bytes] = []
    consume = b'{"topic":"%b","max":%d}' % (topic, batch)
    more = b',"then":"consume","max":%d' % batch if together else b""
    async with Client(port) as client:
        receipts = _RECEIPT.findall(await client.post(b"/queue/consume", consume))
        while receipts:
            body = b'{"topic":"%b","receipts":[%b]%b}' % (topic, b",".join(receipts), more)
            answer = await client.post(b"/queue/ack", body)
            if not answer.startswith(b'{"ack":true'):
                raise Lost(answer[:200].decode())
            acked += receipts
            receipts = _RECEIPT.findall(answer if together else await client.post(b"/queue/consume", consume))
    return acked


async def _timed(count: int, served: Served, work: "list[asyncio.Task[Any]]") -> Rate:
    def used() -> tuple[float, float, float]:
        return served.node.cpu_s, processes.cpu_s(served.redis.child.pid), process_time()

    before, began = used(), perf_counter()
    await asyncio.gather(*work)
    took_s = perf_counter() - began
    return Rate(count / took_s, *((after - then) / took_s for after, then in zip(used(), before, strict=True)))


def _publishes(
    port: int, path: bytes, body: bytes, options: argparse.Namespace, batches: int
) -> "list[asyncio.Task[None]]":
    return [asyncio.ensure_future(_publish(port, path, body, batches)) for _ in range(options.clients)]


async def measure(served: Served, topic: str, options: argparse.Namespace) -> dict[str, Rate]:
    """One round. Raises Lost."""
    batches = max(1, options.messages // 2 // options.batch // options.clients)
    count = batches * options.batch * options.clients
    found: dict[str, Rate] = {}
    for phase in (CONSUMED, TOGETHER):
        name = f"{topic}-{len(phase)}".encode()
        body = b'{"topic":"%b","messages":[%b]}' % (name, b",".join([b'{"data":%b}' % PAYLOAD] * options.batch))
        publishes = _publishes(served.port, b"/queue/publish", body, options, batches)
        found[PUBLISHED] = await _timed(count, served, publishes)
        drains = [
            asyncio.ensure_future(_drain(served.port, name, options.batch, together=phase is TOGETHER))
            for _ in range(options.clients)
        ]
        found[phase] = await _timed(count, served, drains)
        acked = [receipt for drain in drains for receipt in drain.result()]
        if len(acked) != count or len(set(acked)) != count:
            raise Lost(f"{count} were published, {len(acked)} acknowledged, {len(set(acked))} of them once")
    return found


async def _echoed(port: int, options: argparse.Namespace) -> float:
    """Messages a second, if the echo kept them."""
    body = b'{"topic":"echo","messages":[%b]}' % b",".join([b'{"data":%b}' % PAYLOAD] * options.batch)
    batches = max(1, options.messages // options.batch // options.clients)
    began = perf_counter()
    await asyncio.gather(*_publishes(port, b"/echo", body, options, batches))
    sent: int = batches * options.batch * options.clients
    return sent / (perf_counter() - began)


async def run(options: argparse.Namespace) -> tuple[dict[str, list[dict[str, Rate]]], list[float], float]:
    """Rounds by policy, the echo's rates, and how many cores others kept busy. Raises Lost."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simpul-batches-", dir=options.folder)))
        by_policy: dict[str, Served] = {}
        for policy in options.appendfsync:
            redis = await enter(processes.valkey(folder / policy, policy))
            node = await enter(processes.node(folder / policy, f"redis://127.0.0.1:{redis.port}/0"))
            by_policy[policy] = Served(node, redis)
        echo = await enter(processes.echo("starlette"))
        pids = [echo.process.pid, *(pid for one in by_policy.values() for pid in one.pids)]
        others = processes.Others([os.getpid(), *pids])
        rounds: dict[str, list[dict[str, Rate]]] = {policy: [] for policy in by_policy}
        echoes = []
        for number in range(options.rounds + 1):  # the first one warms up
            print(f"\rround {number}/{options.rounds}", end="", file=sys.stderr, flush=True)
            echoes.append(await _echoed(int(echo.url.rpartition(":")[2]), options))
            for policy, served in by_policy.items():
                rounds[policy].append(await measure(served, f"t{number}", options))
        print(file=sys.stderr)
        return {policy: found[1:] for policy, found in rounds.items()}, echoes[1:], others.cores


def _print(rounds: dict[str, list[dict[str, Rate]]], echoes: list[float]) -> list[str]:
    """The targets that were missed."""
    print("| | appendfsync | messages/s | (min-max) | of everysec | node busy | Redis | clients |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    missed = []
    usual = rounds.get("everysec", [])
    for phase, target in TARGETS.items():
        for policy, found in rounds.items():
            rates = [one[phase].per_second for one in found]
            ratio = (
                median(one / other[phase].per_second for one, other in zip(rates, usual, strict=True)) if usual else 1
            )
            busy = " | ".join(f"{median(getattr(one[phase], who) for one in found):.0%}" for who in Rate._fields[1:])
            print(
                f"| {phase} | {policy} | {median(rates):,.0f} | {min(rates):,.0f}-{max(rates):,.0f} "
                f"| {ratio:.2f} | {busy} |"
            )
            if policy != "always" and median(rates) < target:
                missed.append(f"{phase}, {policy}: {median(rates):,.0f} messages/s, wanted {target:,}")
            if policy == "always" and ratio < ALWAYS_TARGET:
                missed.append(f"{phase}, {policy}: {ratio:.2f} of everysec, wanted {ALWAYS_TARGET}")
    print(
        f"| an echo of the published bytes | | {median(echoes):,.0f} | {min(echoes):,.0f}-{max(echoes):,.0f} | | | | |"
    )
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.queue_batches", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000, help="in a round")
    parser.add_argument("--batch", type=int, default=1_000, help="messages in a request, at most 1000")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--appendfsync", nargs="*", choices=("everysec", "always", "no"), default=["everysec", "always"]
    )
    parser.add_argument("--folder", type=Path, help="where the data goes, to try another disk")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    try:
        rounds, echoes, others = asyncio.run(run(options))
    except (Lost, EmbeddedError, processes.ServeError) as error:
        print(error, file=sys.stderr)
        return 2
    missed = _print(rounds, echoes)
    print(
        f"\n{options.rounds} rounds of {options.messages:,} messages, {options.batch} a request, "
        f"{options.clients} clients; others kept {others:.1f} of {os.cpu_count()} cores busy"
    )
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
