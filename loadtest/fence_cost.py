"""What the fence costs: each script as it is against the same script without its first act, in turns on one server.

The server's CPU per call is compared, since redis-benchmark itself can keep a core busy.
"""

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import redis

from loadtest import processes
from loadtest.cost_pairs import PAIRS, Pair, Setting
from loadtest.generator import LoadError
from loadtest.script_cost import CALLS, measure_calls
from service.embedded import EmbeddedError, EmbeddedValkey
from service.store.bundle import ScriptSet, build, shipped, sources_dir

_UNFENCED = "-- Replies: FENCE_MISSING, FENCE_STALE\nlocal _ = { KEYS[1], ARGV[1] }\n"


def unfenced(folder: Path) -> ScriptSet:
    """The shipped scripts without their fence: what they read together with it they read alone."""
    shutil.copytree(sources_dir(), folder / "lua")
    for library in ("fence", "fence_compare"):
        (folder / f"lua/lib/{library}.lua").write_text(_UNFENCED)
    for path in (folder / "lua").glob("*/*.lua"):
        alone = re.sub(
            r'redis\.call\("MGET", KEYS\[1\], (KEYS\[\d\])\)', r'{ "", redis.call("GET", \1) }', path.read_text()
        )
        path.write_text(alone)
    return build(folder / "lua")


async def _server_us(valkey: EmbeddedValkey, script_set: ScriptSet, pair: Pair, name: str, calls: int) -> float:
    with redis.Redis(port=valkey.port, protocol=2) as client:
        setting = Setting(client, script_set, name, calls)
        pair.prepare(setting)
        cost = await measure_calls(valkey, pair.script(setting, setting.random), calls)
        client.flushall()
    return cost.server_us


async def measure(rounds: int, calls: int) -> dict[str, list[tuple[float, float]]]:
    """By script, for each round: server CPU per call in us with the fence and without."""
    found: dict[str, list[tuple[float, float]]] = {pair.name: [] for pair in PAIRS}
    with tempfile.TemporaryDirectory(prefix="simpul-fence-") as folder:
        bare = unfenced(Path(folder))
        async with processes.valkey(Path(folder), "everysec") as valkey:
            for number in range(rounds):
                for pair in PAIRS:
                    print(f"\rround {number + 1}/{rounds}: {pair.name:<20}", end="", file=sys.stderr, flush=True)
                    with_fence = await _server_us(valkey, shipped(), pair, f"f{number}", calls)
                    found[pair.name].append((with_fence, await _server_us(valkey, bare, pair, f"b{number}", calls)))
    print(file=sys.stderr)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.fence_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=CALLS, help="calls in one measurement")
    options = parser.parse_args()
    try:
        found = asyncio.run(measure(options.rounds, options.calls))
    except (LoadError, EmbeddedError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print("| script | server us | without fence | fence's part |\n|---|---:|---:|---:|")
    for name, rounds in found.items():
        fenced, bare = (median(one[side] for one in rounds) for side in (0, 1))
        part = median(1 - bare_us / fenced_us for fenced_us, bare_us in rounds)
        print(f"| {name} | {fenced:.2f} | {bare:.2f} | {part:.0%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
