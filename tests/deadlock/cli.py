"""`python -m tests.deadlock`: rules against the oracle, planted circles and random schedules on three real nodes."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.deadlock import planted, rules, schedule
from tests.support import NodeProcess, cluster, redis_server

BOUNDS_MS = (50, 60, 75, 100, 150, 200, 300, 400, 500)
OnNodes = Callable[[int, list[int]], Awaitable[list[float]]]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.deadlock", description=__doc__)
    parser.add_argument("what", choices=("rules", "planted", "schedules"))
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--at-once", type=int, default=1, help="on one cluster beside each other")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 if a seed failed."""
    options = parse(arguments)
    seeds = range(options.first, options.first + options.seeds) if options.seed is None else [options.seed]
    console = Console(soft_wrap=True)
    if options.what == "rules":
        times, failures = _check_rules(console, seeds)
    else:
        run = _planted if options.what == "planted" else _schedule
        with tempfile.TemporaryDirectory(prefix="simpul-deadlock-") as folder, _nodes(Path(folder)) as nodes:
            ports = [node.port for node in nodes]
            times, failures = asyncio.run(_run_all(console, options, seeds, ports, run))
    for failure in failures:
        console.print(failure, markup=False, highlight=False)
    report(console, options.what, len(seeds), times)
    return 1 if failures else 0


@contextmanager
def _nodes(folder: Path) -> Iterator[list[NodeProcess]]:
    with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
        yield nodes


async def _planted(seed: int, ports: list[int]) -> list[float]:
    return [(await planted.run(seed, ports)).after_s]


async def _schedule(seed: int, ports: list[int]) -> list[float]:
    return [found.after_s for found in (await schedule.run(seed, ports)).found]


def _bar(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[bad]} failed"), TimeRemainingColumn())
    return Progress(*columns, console=console)


def _check_rules(console: Console, seeds: Sequence[int]) -> tuple[list[float], list[str]]:
    failures: list[str] = []
    with _bar(console) as progress:
        bar = progress.add_task("", total=len(seeds), bad=0)
        for seed in seeds:
            try:
                rules.check(seed)
            except AssertionError as error:
                failures.append(f"FAILED python -m tests.deadlock rules --seed {seed}: {error}")
            progress.update(bar, advance=1, bad=len(failures))
    return [], failures


async def _run_all(
    console: Console, options: argparse.Namespace, seeds: Sequence[int], ports: list[int], run: OnNodes
) -> tuple[list[float], list[str]]:
    times: list[float] = []
    failures: list[str] = []
    left = iter(seeds)
    with _bar(console) as progress:
        bar = progress.add_task("", total=len(seeds), bad=0)

        async def work() -> None:
            for seed in left:
                try:
                    times.extend(await run(seed, ports))
                except Exception:  # told with the others, and does not end the run
                    command = f"python -m tests.deadlock {options.what} --seed {seed}"
                    failures.append(f"FAILED {command}\n{traceback.format_exc()}")
                progress.update(bar, advance=1, bad=len(failures))

        await asyncio.gather(*(work() for _ in range(options.at_once)))
    return times, failures


def report(console: Console, what: str, seeds: int, times_s: list[float]) -> None:
    """How long after its last wait was sent the victim of a deadlock was answered."""
    console.print(f"{what}: {seeds} seeds{f', {len(times_s)} deadlocks' if times_s else ''}", highlight=False)
    if len(times_s) < 2:
        return
    times_ms = sorted(one * 1000 for one in times_s)
    cuts = quantiles(times_ms, n=100, method="inclusive")
    for low, high in zip((0, *BOUNDS_MS), (*BOUNDS_MS, float("inf")), strict=True):
        number = sum(low < one <= high for one in times_ms)
        if number:
            label = f"up to {high:g} ms" if high < float("inf") else f"above {low} ms"
            console.print(f"{label:>13} {number:6}  {'#' * round(60 * number / len(times_ms))}", highlight=False)
    console.print(f"p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, most {times_ms[-1]:.0f} ms", highlight=False)


def run() -> None:
    """Entry point of the module."""
    sys.exit(main(sys.argv[1:]))
