"""Contended locks side by side, in one run: `python -m loadtest.lock_comparison`.

Against Simpul (three nodes over one Redis) stand what people use instead: etcd's lock API (three members, its JSON
gateway), python-redis-lock (a BLPOP straight on Redis) and redis-py's Lock (which polls). Each is driven by one process
in two ways:

* line: clients ask for one lock one after the other; then the holder releases, and each that gets it releases at once.
  In which order do they get it, and how long is it from a release to the next holder's answer?
* loop: clients ask, release and ask again at once. How often does the lock go back to who has just released it?

What is not installed is left out, with a word (Debian: etcd-server; PyPI: python-redis-lock).
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import NamedTuple

from loadtest.lock_contenders import CONTENDERS, Client, Contender, Missing

JOIN_PAUSE_S = 0.03
"""Between two that stand in line. None but Simpul says when a client waits; this is many times what a call takes."""
DEADLINE_S = 120.0


class Grant(NamedTuple):
    client: int
    at: float


class Contest(NamedTuple):
    """Grants in the order of time, and when each was released."""

    grants: list[Grant]
    released_at: list[float]

    @property
    def hand_offs_ms(self) -> list[float]:
        pairs = zip(self.released_at, self.grants[1:], strict=False)
        return [(grant.at - released) * 1000 for released, grant in pairs]

    @property
    def whole_s(self) -> float:
        """From the first release to the last grant."""
        return self.grants[-1].at - self.released_at[0]

    @property
    def back_to_releaser(self) -> float:
        """Share of the grants that went to who had it before."""
        pairs = list(zip(self.grants, self.grants[1:], strict=False))
        return sum(one.client == next_one.client for one, next_one in pairs) / len(pairs)

    @property
    def out_of_order(self) -> float:
        """Share of the grants that went to one who came later than another who still waited."""
        waiting = sorted(grant.client for grant in self.grants)
        early = 0
        for grant in self.grants:
            early += grant.client != waiting[0]
            waiting.remove(grant.client)
        return early / len(self.grants)


class _Lock:
    """One lock under contest: every grant and release is noted. Two holders at once end the run."""

    def __init__(self) -> None:
        self.contest = Contest([], [])
        self._holder: int | None = None

    async def hold_once(self, number: int, client: Client, hold: asyncio.Event | None = None) -> None:
        await client.acquire()
        assert self._holder is None, f"{number} and {self._holder} hold the lock at once"
        self._holder = number
        self.contest.grants.append(Grant(number, perf_counter()))
        if hold is not None:
            await hold.wait()
        self._holder = None
        self.contest.released_at.append(perf_counter())
        await client.release()


async def line(clients: Sequence[Client]) -> Contest:
    lock, everybody_waits = _Lock(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(lock.hold_once(number, client, None if number else everybody_waits))
            await asyncio.sleep(JOIN_PAUSE_S)
        everybody_waits.set()
    return lock.contest


async def loop(clients: Sequence[Client], times: int) -> Contest:
    lock = _Lock()

    async def again_and_again(number: int, client: Client) -> None:
        for _ in range(times):
            await lock.hold_once(number, client)

    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(again_and_again(number, client))
    return lock.contest


def row(name: str, lines: list[Contest], loops: list[Contest]) -> str:
    hand_offs_ms = [ms for one in lines for ms in one.hand_offs_ms]
    cuts = quantiles(hand_offs_ms, n=100)
    rate = sum(len(one.grants) - 1 for one in lines) / sum(one.whole_s for one in lines)
    order = sum(one.out_of_order for one in lines) / len(lines)
    back = sum(one.back_to_releaser for one in loops) / len(loops)
    loop_rate = sum(len(one.grants) - 1 for one in loops) / sum(one.whole_s for one in loops)
    return f"| {name} | {cuts[49]:.2f} | {cuts[98]:.2f} | {rate:,.0f} | {order:.0%} | {loop_rate:,.0f} | {back:.0%} |"


HEAD = """\
| | hand-off p50 ms | p99 ms | hand-offs/s | out of order | in a loop: grants/s | back to the releaser |
|---|---:|---:|---:|---:|---:|---:|"""


@asynccontextmanager
async def _clients(contender: Contender, count: int, resource: str) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(contender.client(number, resource)) for number in range(count)]


async def _measure(kind: type[Contender], folder: Path, asked: argparse.Namespace) -> str:
    async with kind.running(folder) as contender:
        lines, loops = [], []
        for number in range(asked.rounds + 1):
            async with asyncio.timeout(DEADLINE_S), _clients(contender, asked.waiters + 1, f"line{number}") as clients:
                lines.append(await line(clients))
            async with asyncio.timeout(DEADLINE_S), _clients(contender, asked.waiters, f"loop{number}") as clients:
                loops.append(await loop(clients, asked.times))
        # The first round warms up.
        return row(kind.name, lines[1:], loops[1:])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.lock_comparison", description=__doc__)
    parser.add_argument("--waiters", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=10, help="how often each client of a loop takes the lock")
    parser.add_argument("--only", nargs="*", help="names of contenders")
    asked = parser.parse_args()
    print(f"{asked.waiters} waiters, {asked.rounds} rounds\n\n{HEAD}", flush=True)
    with tempfile.TemporaryDirectory(prefix="simpul-comparison-") as made:
        for kind in CONTENDERS:
            if asked.only and kind.name not in asked.only:
                continue
            folder = Path(made) / kind.name.replace(" ", "-")
            folder.mkdir()
            try:
                print(asyncio.run(_measure(kind, folder, asked)), flush=True)
            except Missing as missing:
                print(f"| {kind.name} | left out: {missing} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
