"""What a script costs above the bare command it wraps: `redis-benchmark -P 32`, in turns on one server.

Each pair runs one after the other in every round, on keys of that round, in one server process; the ratio is taken
within the round. redis-benchmark itself can keep a whole core busy, so the server's CPU per call stands beside the
rate. Random names hit about 63 % of what was prepared, for a script and its bare command alike.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic
from typing import NamedTuple

import redis

from loadtest import processes
from loadtest.cost_pairs import PAIRS, Pair, Setting
from loadtest.generator import LoadError
from service import child
from service.embedded import EmbeddedError, EmbeddedValkey
from service.store.bundle import ScriptSet, build, shipped

PIPELINE = 32
CLIENTS = 16
CALLS = 60_000
CALL_S_MAX = 60.0
RECORDED_MS = 600_000
TARGET = 4.0


class Cost(NamedTuple):
    per_second: float
    server_us: float
    """CPU time of the server per call."""


class Compared(NamedTuple):
    script: Cost
    bare: Cost

    @property
    def ratio(self) -> float:
        return self.bare.per_second / self.script.per_second

    @property
    def cpu_ratio(self) -> float:
        return self.script.server_us / self.bare.server_us


async def measure_calls(valkey: EmbeddedValkey, command: list[bytes], calls: int) -> Cost:
    """Raises LoadError."""
    lines: list[str] = []
    options = ["-p", str(valkey.port), "-P", str(PIPELINE), "-c", str(CLIENTS), "-n", str(calls), "-r", str(calls)]
    before_s = processes.cpu_s(valkey.child.pid)
    arguments = ["redis-benchmark", *options, "--csv", *map(os.fsdecode, command)]
    try:
        running = await child.start("redis-benchmark", arguments, on_line=lines.append)
    except FileNotFoundError:
        raise LoadError("redis-benchmark is not installed: apt-get install redis-tools") from None
    try:
        async with asyncio.timeout(CALL_S_MAX):
            code = await running.ended()
    except TimeoutError:
        raise LoadError(f"redis-benchmark did not end within {CALL_S_MAX:g} s") from None
    finally:
        running.kill()
    used_s = processes.cpu_s(valkey.child.pid) - before_s
    if code != 0 or not lines or "error" in lines[-1].lower():
        raise LoadError(f"{command[:2]}: {' | '.join(lines[-3:])}")
    # Label, calls a second, latencies; the label is the command and may hold commas.
    rate = lines[-1].rsplit('","', 8)[-7].strip('"')
    return Cost(float(rate), used_s / calls * 1e6)


async def compare(
    valkey: EmbeddedValkey, script_set: ScriptSet, pair: Pair, name: str, calls: int, *, recorded: bool
) -> Compared:
    """One round of one pair. Raises LoadError when the script refused what the bare command did."""
    with redis.Redis(port=valkey.port, protocol=2) as client:
        setting = Setting(client, script_set, name, calls)
        pair.prepare(setting)
        if recorded:
            setting.execute(*setting.call("lock.record", "", record_ms=RECORDED_MS))
        answer = setting.execute(*pair.script(setting, "once"))
        if answer[0] != b"ok":
            raise LoadError(f"{pair.name} was refused: {answer}")
        bare = await measure_calls(valkey, pair.bare(setting), calls)
        script = await measure_calls(valkey, pair.script(setting, setting.random), calls)
        client.flushall()
    return Compared(script, bare)


async def measure(options: argparse.Namespace) -> dict[Pair, list[Compared]]:
    chosen = [pair for pair in PAIRS if not options.only or pair.name.startswith(tuple(options.only))]
    script_set = build(options.lua) if options.lua else shipped()
    found: dict[Pair, list[Compared]] = {pair: [] for pair in chosen}
    with tempfile.TemporaryDirectory(prefix="simpul-scripts-") as folder:
        async with processes.valkey(Path(folder), options.appendfsync) as valkey:
            for number in range(options.rounds):
                for pair in chosen:
                    print(
                        f"\rround {number + 1}/{options.rounds}: {pair.name:<20}", end="", file=sys.stderr, flush=True
                    )
                    found[pair].append(
                        await compare(valkey, script_set, pair, f"r{number}", options.calls, recorded=options.recorded)
                    )
    print(file=sys.stderr)
    return found


def _print(found: dict[Pair, list[Compared]]) -> None:
    print("| script | bare command | calls/s | bare calls/s | ratio (min-max) | server us | bare us | CPU ratio |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for pair, rounds in found.items():
        ratios = sorted(one.ratio for one in rounds)
        us, bare_us = median(one.script.server_us for one in rounds), median(one.bare.server_us for one in rounds)
        print(
            f"| {pair.name} | {pair.bare_name} | {median(one.script.per_second for one in rounds):,.0f} "
            f"| {median(one.bare.per_second for one in rounds):,.0f} "
            f"| {median(ratios):.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f}) "
            f"| {us:.1f} | {bare_us:.1f} "
            f"| {median(one.cpu_ratio for one in rounds):.1f} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.script_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=CALLS, help="calls in one measurement")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="scripts whose names start so")
    parser.add_argument("--appendfsync", choices=("everysec", "always", "no"), default="everysec")
    parser.add_argument("--lua", type=Path, help="another lua/ folder, to try a variant")
    parser.add_argument("--recorded", action="store_true", help="with lock events recorded meanwhile")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a script costs more than its target")
    options = parser.parse_args()
    began = monotonic()
    try:
        found = asyncio.run(measure(options))
    except (LoadError, EmbeddedError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    _print(found)
    print(f"\n{options.rounds} rounds of {options.calls:,} calls, -P {PIPELINE}, {monotonic() - began:.0f} s")
    missed = [pair.name for pair, rounds in found.items() if median(one.ratio for one in rounds) > TARGET]
    if missed:
        print(f"MISSED {', '.join(missed)}: more than {TARGET:g} times the bare command")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
