"""What each lock script costs with 10 to 10 000 who wait for the lock or hold it: time in the server, as ratios in one
run, and how many commands the script gave. Neither may grow with their number by more than a logarithm.

    python -m loadtest.lock_scaling
"""

import argparse
import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import redis

from loadtest.cost_pairs import Setting
from service import embedded
from service.store.bundle import shipped

SIZES = (10, 100, 1_000, 10_000)
SESSION = "5e5510"
LEASE_MS = 600_000
FIRST_TOKEN = (1 << 36) + 1


class Cost(NamedTuple):
    us: float
    commands: int


Costs = dict[str, list[Cost]]


class Bench:
    """One lock of a server, and what each call to its scripts cost."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self.costs: Costs = defaultdict(list)
        self.setting = Setting(client, shipped(), name, 1)
        self._client = client
        self._name = name

    def words(self, script: str, **args: Any) -> list[bytes]:
        given = {
            "owner": "holder",
            "ttl_ms": LEASE_MS,
            "waiter": "ab",
            "session": SESSION,
            "session_ms": LEASE_MS,
            "wait_ms": 0 if script == "lock.upgrade" else LEASE_MS,
            "fingerprint": "",
            **args,
        }
        return self.setting.call(script, self._name, **given)

    def do(self, script: str, label: str = "", **args: Any) -> list[Any]:
        """Call it once and note what it cost, under the name of the script and the label."""
        words = self.words(script, **args)
        before = self._stats()
        reply: list[Any] = self.setting.execute(*words)
        after = self._stats()
        self.costs[f"{script} {label}".strip()].append(
            Cost(after.us - before.us, after.commands - before.commands - 1)  # -1: the first INFO
        )
        return reply

    def _stats(self) -> Cost:
        stats: dict[str, Any] = self._client.info("commandstats")
        scripts = stats.get("cmdstat_evalsha", {"calls": 0, "usec": 0})
        return Cost(scripts["usec"], sum(one["calls"] for one in stats.values()) - scripts["calls"])


def waiter_of(number: int) -> str:
    return f"{number:x}"


def a_line(bench: Bench, size: int, turns: int) -> None:
    """`size` wait for a writer."""
    token = bench.setting.execute(*bench.words("lock.acquire"))[1]
    bench.setting.all(bench.words("lock.wait", owner=f"w{n}", waiter=waiter_of(n)) for n in range(size))
    for _ in range(turns):
        bench.do("lock.acquire", "refused", owner="late")
        bench.do("lock.wait", owner="late", waiter="fffff")
        bench.do("lock.withdraw", owner="late", waiter="fffff")
        bench.do("lock.hand_over")
        bench.do("lock.inspect")
        bench.do("lock.renew", token=token)
        bench.do("lock.downgrade", token=token)
        token = bench.do("lock.upgrade", token=token)[1]
    owner = "holder"
    for number in range(min(turns, size)):
        bench.do("lock.release", "to the next", owner=owner, token="")
        owner, token = f"w{number}", token + 1
        bench.do("lock.confirm", owner=owner, waiter=waiter_of(number), token=token)


def readers(bench: Bench, size: int, turns: int) -> None:
    """`size` - 1 read, so that there is room for one more."""
    bench.setting.all(bench.words("lock.acquire", owner=f"r{n}", mode="shared") for n in range(size - 1))
    for _ in range(turns):
        bench.do("lock.acquire", "shared", owner="more", mode="shared")
        bench.do("lock.acquire", "once more", owner="more", mode="shared", detail="1 0 0 0 ")
        bench.do("lock.release", "once of two", owner="more", token="")
        bench.do("lock.release", "shared", owner="more", token="")
        bench.do("lock.acquire", "exclusive, refused", owner="late")
        bench.do("lock.renew", "shared", owner="r0", token=FIRST_TOKEN)
        bench.do("lock.upgrade", "refused", owner="r0", token=FIRST_TOKEN)


def permits(bench: Bench, size: int, turns: int) -> None:
    """`size` - 1 permits are taken, each by another owner, of as many as there are."""
    asked = f"0 1 {size} 0 "
    semaphore = {"mode": "semaphore", "detail": asked}
    bench.setting.all(bench.words("lock.acquire", owner=f"p{n}", **semaphore) for n in range(size - 1))
    for _ in range(turns):
        bench.do("lock.acquire", "permit", owner="more", **semaphore)
        bench.do("lock.acquire", "permit, refused", owner="late", **semaphore)
        bench.do("lock.renew", "permit", owner="p0", token=FIRST_TOKEN)
        bench.do("lock.release", "permit", owner="more", token="")


SCENES: tuple[Callable[[Bench, int, int], None], ...] = (a_line, readers, permits)


def measure(client: redis.Redis, size: int, turns: int) -> Costs:
    """Every scene at this size, each call made `turns` times."""
    costs: Costs = {}
    for scene in SCENES:
        client.flushall()
        bench = Bench(client, "lock")
        scene(bench, size, turns)
        costs.update(bench.costs)
    return costs


async def _measure_all(turns: int) -> dict[int, Costs]:
    with tempfile.TemporaryDirectory(prefix="simpul-scaling-") as folder:
        valkey = await embedded.start(Path(folder), appendfsync="no")
        try:
            with redis.Redis(port=valkey.port, protocol=2) as client:
                return {size: measure(client, size, turns) for size in SIZES}
        finally:
            await valkey.stop()


def _print(found: dict[int, Costs]) -> None:
    print("| script | " + " | ".join(f"{size:,}" for size in SIZES) + " | ratio | commands |")
    print("|---|" + "---:|" * (len(SIZES) + 2))
    for name in found[SIZES[0]]:
        times = [median(one.us for one in found[size][name]) for size in SIZES]
        commands = [median(one.commands for one in found[size][name]) for size in SIZES]
        shown = " | ".join(f"{us:.0f}" for us in times)
        print(f"| {name} | {shown} | {times[-1] / times[0]:.1f} | {commands[0]:.0f}-{commands[-1]:.0f} |")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.lock_scaling", description=__doc__)
    parser.add_argument(
        "--turns", type=int, default=200, help="calls of each script at each size; at most 10 hand over at 10"
    )
    options = parser.parse_args()
    try:
        found = asyncio.run(_measure_all(options.turns))
    except embedded.EmbeddedError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"microseconds in the server, median of {options.turns} calls, by how many wait or hold\n")
    _print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
