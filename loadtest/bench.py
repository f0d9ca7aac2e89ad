"""`make bench`: every hot operation against a bare Starlette echo, in one run (docs/performance.md).

A machine's speed drifts by tens of per cent within minutes, so nothing here is compared with a figure of another
time: each round drives the echo and then the operation with the same wrk script, and the ratio is taken within it.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic

import httpx2

from loadtest import processes, report
from loadtest.endpoints import ENDPOINTS, Api, Endpoint
from loadtest.generator import Figures, LoadError, wrk
from loadtest.processes import Served, ServeError
from loadtest.report import Round
from service.embedded import EmbeddedError, EmbeddedValkey

CONNECTIONS = 32
WARM_UP_S = 1
FILL_PER_S = 60_000
"""Messages put into a topic for each second of consuming: more than one node can take out."""
TAIL_TARGET = 4.0
"""p99 over p50."""


@dataclass(frozen=True, slots=True)
class Bench:
    node: Served
    starlette: Served
    bare: Served
    valkey: EmbeddedValkey
    api: Api
    seconds: int
    connections: int

    async def round(self, endpoint: Endpoint, name: str, seconds: int) -> Round:
        """The echo, then the operation. Raises LoadError when the node did not do what it answered."""
        prepared = await endpoint.prepare(self.api, name, FILL_PER_S * seconds)
        echo, echo_cpu_s = await self._drive(
            self.starlette, endpoint.script.name, endpoint.script.echo_args(name), seconds
        )
        redis_before_s = processes.cpu_s(self.valkey.child.pid)
        figures, node_cpu_s = await self._drive(
            self.node, endpoint.script.name, endpoint.script.node_args(name), seconds
        )
        redis_cpu_s = processes.cpu_s(self.valkey.child.pid) - redis_before_s
        if endpoint.check is not None:
            wrong = await endpoint.check(self.api, name, prepared, figures.requests, self.connections)
            if wrong:
                raise LoadError(f"{endpoint.name}: {wrong}")
        return Round(figures, echo, node_cpu_s, redis_cpu_s, echo_cpu_s)

    async def bare_round(self, seconds: int) -> Round:
        """The raw ASGI echo against the Starlette one, for scale."""
        args = ("POST", "/echo", '{"key":"k"}')
        echo, echo_cpu_s = await self._drive(self.starlette, "fixed", args, seconds)
        figures, cpu_s = await self._drive(self.bare, "fixed", args, seconds)
        return Round(figures, echo, cpu_s, 0.0, echo_cpu_s)

    async def _drive(self, served: Served, script: str, args: tuple[str, ...], seconds: int) -> tuple[Figures, float]:
        before_s = served.cpu_s
        figures = await wrk(served.url, script, *args, connections=self.connections, seconds=seconds)
        if figures.failures or not figures.requests:
            raise LoadError(f"{script} {args}: {figures.failures} of {figures.requests} requests failed")
        return figures, served.cpu_s - before_s


async def measure(options: argparse.Namespace) -> tuple[dict[str, list[Round]], float]:
    """All rounds by endpoint, the bare ASGI echo among them, and how many cores others kept busy. Raises LoadError."""
    chosen = [endpoint for endpoint in ENDPOINTS if not options.only or endpoint.name.startswith(tuple(options.only))]
    if not chosen:
        raise LoadError(f"no endpoint starts with {options.only}; there are {[e.name for e in ENDPOINTS]}")
    found: dict[str, list[Round]] = {report.BARE: [], **{endpoint.name: [] for endpoint in chosen}}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simpul-bench-")))
        valkey = await enter(processes.valkey(folder / "valkey", options.appendfsync))
        node = await enter(processes.node(folder, valkey.url, source=options.source))
        starlette, bare = await enter(processes.echo("starlette")), await enter(processes.echo("asgi"))
        client = await enter(httpx2.AsyncClient(base_url=node.url, timeout=30))
        pids = [os.getpid(), valkey.child.pid, *(served.process.pid for served in (node, starlette, bare))]
        others = processes.Others(pids)
        bench = Bench(node, starlette, bare, valkey, Api(client), options.seconds, options.connections)
        for number in range(options.rounds + 1):
            # The first round warms up: caches, allocators, and the branch predictor of a shared machine.
            seconds = options.seconds if number else WARM_UP_S
            bare_round = await bench.bare_round(seconds)
            if number:
                found[report.BARE].append(bare_round)
            for position, endpoint in enumerate(chosen):
                _progress(number, options.rounds, endpoint)
                measured = await bench.round(endpoint, f"bench-{number}-{position}", seconds)
                if number:
                    found[endpoint.name].append(measured)
        return found, others.cores


def _progress(number: int, rounds: int, endpoint: Endpoint) -> None:
    what = f"round {number}/{rounds}" if number else "warm-up"
    if sys.stderr.isatty():
        print(f"\r{what}: {endpoint.name:<30}", end="", file=sys.stderr, flush=True)
    else:
        print(f"{what}: {endpoint.name}", file=sys.stderr, flush=True)


def _missed(found: dict[str, list[Round]]) -> list[str]:
    missed = []
    for endpoint in ENDPOINTS:
        rounds = found.get(endpoint.name)
        if not rounds or not endpoint.target:
            continue
        ratio, tail = median(one.ratio for one in rounds), median(one.tail for one in rounds)
        if ratio < endpoint.target:
            missed.append(f"{endpoint.name}: {ratio:.2f} of the echo's requests/s, wanted {endpoint.target:.1f}")
        if tail > TAIL_TARGET:
            missed.append(f"{endpoint.name}: p99 is {tail:.1f} times p50, wanted {TAIL_TARGET:.0f}")
    return missed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="length of one measurement")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--quick", action="store_true", help="one round of one second: does it all still run?")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="endpoints whose names start so")
    parser.add_argument("--appendfsync", choices=("everysec", "always", "no"), default="everysec")
    parser.add_argument("--source", type=Path, default=processes.ROOT, help="another tree, to try a change")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds start at 1")
    return options


def main() -> int:
    options = _options()
    began = monotonic()
    try:
        found, others = asyncio.run(measure(options))
    except (LoadError, ServeError, EmbeddedError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(file=sys.stderr)
    print(report.table(found))
    print(f"\n{report.cpu_table(found)}\n")
    print(
        f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections, "
        f"{monotonic() - began:.0f} s in all; "
        f"others kept {others:.1f} of {os.cpu_count()} cores busy"
    )
    missed = _missed(found)
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
