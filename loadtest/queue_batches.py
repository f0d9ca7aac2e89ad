"""How many messages a second go in and out in batches, over HTTP: `python -m loadtest.queue_batches`.

One node on one Redis. Producers publish batches one after the other; then consumers take batches and acknowledge each
with one request. A round ends when every message was acknowledged, and the run fails if one was lost or came twice. In
the same round a bare Starlette echo answers requests of the same size as the publishes, so that the machine's own speed
stands beside the figures.
"""

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from loadtest import processes
from service.embedded import EmbeddedError

PAYLOAD = b'{"x":1,"text":"forty bytes of payload, more or less ..."}'
_RECEIPT = re.compile(rb'"receipt":("[^"]+")')


class Lost(Exception):
    """A message was lost, came twice, or was refused."""


class Rates(NamedTuple):
    """Messages a second."""

    published: float
    consumed: float
    echoed: float


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


async def _drain(port: int, topic: bytes, batch: int) -> list[bytes]:
    """The receipts that were acknowledged."""
    acked: list[bytes] = []
    consume = b'{"topic":"%b","max":%d}' % (topic, batch)
    async with Client(port) as client:
        while receipts := _RECEIPT.findall(await client.post(b"/queue/consume", consume)):
            body = b'{"topic":"%b","receipts":[%b]}' % (topic, b",".join(receipts))
            answer = await client.post(b"/queue/ack", body)
            if not answer.startswith(b'{"ack":true'):
                raise Lost(answer[:200].decode())
            acked += receipts
    return acked


async def _timed(count: int, *work: "asyncio.Future[object] | asyncio.Task[object]") -> float:
    began = perf_counter()
    await asyncio.gather(*work)
    return count / (perf_counter() - began)


async def measure(node: int, echo: int, topic: str, options: argparse.Namespace) -> Rates:
    """Raises Lost."""
    name, batches = topic.encode(), options.messages // options.batch // options.clients
    count = batches * options.batch * options.clients
    body = b'{"topic":"%b","messages":[%b]}' % (name, b",".join([b'{"data":%b}' % PAYLOAD] * options.batch))

    def all_publish(port: int, path: bytes) -> list["asyncio.Task[object]"]:
        return [asyncio.ensure_future(_publish(port, path, body, batches)) for _ in range(options.clients)]

    echoed = await _timed(count, *all_publish(echo, b"/echo"))
    published = await _timed(count, *all_publish(node, b"/queue/publish"))
    drains = [asyncio.ensure_future(_drain(node, name, options.batch)) for _ in range(options.clients)]
    consumed = await _timed(count, *drains)
    acked = [receipt for drain in drains for receipt in drain.result()]
    if len(acked) != count or len(set(acked)) != count:
        raise Lost(f"{count} were published, {len(acked)} acknowledged, {len(set(acked))} of them once")
    return Rates(published, consumed, echoed)


async def run(options: argparse.Namespace) -> list[Rates]:
    with tempfile.TemporaryDirectory(prefix="simpul-batches-") as made:
        folder = Path(made)
        async with (
            processes.valkey(folder / "redis", options.appendfsync) as redis,
            processes.node(folder, f"redis://127.0.0.1:{redis.port}/0") as node,
            processes.echo("starlette") as echo,
        ):
            asked, echoing = (int(one.url.rpartition(":")[2]) for one in (node, echo))
            # The first round warms up.
            return [await measure(asked, echoing, f"t{number}", options) for number in range(options.rounds + 1)][1:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.queue_batches", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000, help="in a round")
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--appendfsync", choices=("everysec", "always", "no"), default="everysec")
    options = parser.parse_args()
    try:
        rounds = asyncio.run(run(options))
    except (Lost, EmbeddedError, processes.ServeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"| appendfsync {options.appendfsync} | messages/s | (min-max) | of an echo of the same bytes |")
    print("|---|---:|---:|---:|")
    for name, rates in (
        ("published", [one.published for one in rounds]),
        ("consumed and acknowledged", [one.consumed for one in rounds]),
    ):
        share = median(rate / one.echoed for rate, one in zip(rates, rounds, strict=True))
        print(f"| {name} | {median(rates):,.0f} | {min(rates):,.0f}-{max(rates):,.0f} | {share:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
