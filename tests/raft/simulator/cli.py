"""`python -m tests.raft.simulator`: run seeds with a progress bar, and explain the first that fails."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.raft.simulator.cluster import CHAOS_US, Cluster, Outcome, Spec, simulate
from tests.raft.simulator.shrink import shrink

LAST_LINES = 60
"""Lines of the trace shown before a violation; --trace prints them all."""


class Count(NamedTuple):
    """The numbers of one run."""

    is_broken: bool
    steps: int
    committed: int
    reads: int


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.raft.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time, default: one a core")
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--members", type=int, choices=(1, 3, 5), help="default: 3 and 5 by turns, 1 rarely")
    parser.add_argument("--keep", help="numbers of the faults to keep, comma-separated, or none")
    parser.add_argument("--chaos-us", type=int, default=CHAOS_US, help="length of the chaos phase")
    parser.add_argument("--crash-step", type=int, help="crash a member right after this step")
    parser.add_argument("--trace", action="store_true", help="print the whole trace of --seed")
    return parser.parse_args(arguments)


def members_of(seed: int) -> int:
    """How many members a seed of a sweep has."""
    return 1 if seed % 20 == 19 else (3, 5)[seed % 2]


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 if an invariant was broken."""
    options = parse(arguments)
    console = Console()
    if options.seed is not None:
        return replay(console, options)
    return sweep(console, options)


def replay(console: Console, options: argparse.Namespace) -> int:
    """Run one seed and show what happened."""
    keep = options.keep
    if keep is not None:
        keep = () if keep == "none" else tuple(int(number) for number in keep.split(","))
    members = options.members or members_of(options.seed)
    spec = Spec(options.seed, members, keep, options.chaos_us, options.crash_step)
    outcome = simulate(spec, keep_lines=True)
    for line in outcome.lines if options.trace else outcome.lines[-LAST_LINES:]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"seed {options.seed}: {outcome.steps} steps, {outcome.committed} committed, {outcome.reads} reads, "
        f"{outcome.terms} terms, trace {outcome.digest}, "
        + (f"BROKEN {outcome.violation}" if outcome.violation else "all invariants hold"),
        markup=False,
        soft_wrap=True,
    )
    return 1 if outcome.violation else 0


def sweep(console: Console, options: argparse.Namespace) -> int:
    """Run many seeds; stop at the first failure."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.perf_counter()
    steps = committed = reads = 0
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("seeds", total=options.seeds, rate="")
        seeds = range(options.first, options.first + options.seeds)
        specs = [Spec(seed, options.members or members_of(seed), chaos_us=options.chaos_us) for seed in seeds]
        for spec, came_to in zip(specs, counts_of(specs, options.jobs), strict=True):
            if came_to.is_broken:
                progress.stop()
                return explain(console, simulate(spec))
            steps += came_to.steps
            committed += came_to.committed
            reads += came_to.reads
            rate = steps / (time.perf_counter() - started)
            progress.update(task, advance=1, rate=f"{rate:,.0f} steps/s")
    elapsed = time.perf_counter() - started
    console.print(
        f"{options.seeds} seeds, {steps:,} steps, {committed:,} entries committed, {reads:,} reads, "
        f"{elapsed:.1f} s, {steps / elapsed:,.0f} steps/s: all invariants hold",
        soft_wrap=True,
    )
    return 0


def counts_of(specs: Sequence[Spec], jobs: int) -> Iterator[Count]:
    """What each run came to, in the order of `specs`, `jobs` at a time."""
    if jobs == 1:
        yield from map(count, specs)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(count, specs)


def count(spec: Spec) -> Count:
    """Run one world, for its numbers only: they are all that travels between processes."""
    outcome = simulate(spec)
    return Count(outcome.violation is not None, outcome.steps, outcome.committed, outcome.reads)


def explain(console: Console, failing: Outcome) -> int:
    """Say what broke, how to see it again, and the smallest schedule that breaks it."""
    console.print(f"BROKEN {failing.violation}", markup=False, soft_wrap=True)
    console.print(f"replay: {failing.spec.command()}", markup=False, soft_wrap=True)
    small = shrink(failing)
    if small.spec != failing.spec:
        console.print(f"shrunk: {small.spec.command()}", markup=False, soft_wrap=True)
    drawn = Cluster(replace(small.spec)).faults
    for number in small.spec.keep if small.spec.keep is not None else range(len(drawn)):
        if drawn[number].at_us < small.spec.chaos_us:
            console.print(f"  fault {number}: {drawn[number]}", markup=False, soft_wrap=True)
    return 1


def run() -> None:
    """Entry point of the module."""
    sys.exit(main(sys.argv[1:]))
