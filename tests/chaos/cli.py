"""`python -m tests.chaos`: run nemeses by turns with a progress bar, and give one table row for each."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.bars import bars
from tests.chaos.checkers import violations
from tests.chaos.checkers.cache import STALE_BOUND_MS, reads
from tests.chaos.history import load, save
from tests.chaos.nemeses import NEMESES
from tests.chaos.trial import Trial, run_trial

SHOWN = 3
"""Violations of a run that are printed; the stored history has them all."""

EDGES_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, STALE_BOUND_MS)
"""Of the histogram of staleness."""

WIDTH = 200
"""Of the table where no terminal says otherwise."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--nemesis", help=f"some of these, comma-separated: {', '.join(NEMESES)}")
    parser.add_argument("--seeds", type=int, default=len(NEMESES), help="how many runs; nemeses take turns")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run every chosen nemesis with this seed only")
    parser.add_argument("--history", type=Path, help="folder for the histories of failing runs, as JSON lines")
    parser.add_argument("--keep-all", action="store_true", help="store those of all runs")
    parser.add_argument("--jobs", type=int, default=1, help="clusters at a time")
    parser.add_argument("--check", type=Path, help="judge a stored history again, and run nothing")
    options = parser.parse_args(arguments)
    options.names = list(NEMESES) if options.nemesis is None else options.nemesis.split(",")
    unknown = [name for name in options.names if name not in NEMESES]
    if unknown:
        parser.error(f"no such nemesis: {', '.join(unknown)}; there are {', '.join(NEMESES)}")
    return options


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 if a run showed a violation or could not be carried out."""
    options = parse(arguments)
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH)
    if options.check is not None:
        history = load(options.check)
        found = violations(history)
        for violation in found:
            console.print(str(violation), markup=False, highlight=False)
        for line in staleness([read.stale_ms for read in reads(history)]):
            console.print(line, markup=False, highlight=False)
        console.print(f"{options.check}: {len(found)} violations")
        return 1 if found else 0
    names = []
    for name in options.names:
        if NEMESES[name].why_not:
            console.print(f"skipped {name}: {NEMESES[name].why_not}", markup=False)
        else:
            names.append(name)
    trials, failures = sweep(console, options, list(plan(options, names)))
    if trials:
        report(console, trials)
    for line in failures:
        console.print(line, markup=False, highlight=False)
    return 1 if failures else 0


def plan(options: argparse.Namespace, names: list[str]) -> Iterator[tuple[str, int]]:
    if options.seed is not None:
        yield from ((name, options.seed) for name in names)
    elif names:
        yield from ((names[seed % len(names)], seed) for seed in range(options.first, options.first + options.seeds))


def sweep(
    console: Console, options: argparse.Namespace, planned: list[tuple[str, int]]
) -> tuple[list[Trial], list[str]]:
    """All runs, and a line for each that failed."""
    trials: list[Trial] = []
    failures: list[str] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[bad]} failed"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(options.jobs) as pool:
        bar = progress.add_task("runs", total=len(planned), bad=0)
        running = {pool.submit(in_its_own_folder, name, seed): (name, seed) for name, seed in planned}
        for future in as_completed(running):
            name, seed = running[future]
            try:
                trial = future.result()
            except Exception:  # a run that breaks down is told with the others, and does not end the sweep
                command = f"python -m tests.chaos --nemesis {name} --seed {seed}"
                failures.append(f"BROKE DOWN {command}\n{traceback.format_exc()}")
                console.print(failures[-1], markup=False, highlight=False)
            else:
                trials.append(trial)
                failures += judge(console, options, trial)
            progress.update(bar, advance=1, bad=len(failures))
    return trials, failures


def in_its_own_folder(name: str, seed: int) -> Trial:
    with tempfile.TemporaryDirectory(prefix="simpul-chaos-") as folder:
        return run_trial(name, seed, Path(folder))


def judge(console: Console, options: argparse.Namespace, trial: Trial) -> list[str]:
    """Print what a run violated, and store its history."""
    path = None
    if options.history is not None and (trial.violations or options.keep_all):
        path = options.history / f"{trial.nemesis}-{trial.seed}.jsonl"
        save(trial.history, path)
    if not trial.violations:
        return []
    for violation in trial.violations[:SHOWN]:
        console.print(str(violation), markup=False, highlight=False)
    stored = f", history {path}" if path else ", history not stored (--history FOLDER)"
    return [f"FAILED {trial.command}: {len(trial.violations)} violations{stored}"]


def report(console: Console, trials: list[Trial]) -> None:
    """One row a nemesis, and under the table what was refused."""
    made = Table(box=None, pad_edge=False)
    for column in (
        "nemesis",
        "runs",
        "operations",
        "grants",
        "refused",
        "unknown",
        "grant gap",
        "publish gap",
        "oldest read",
    ):
        made.add_column(column, justify="left" if column == "nemesis" else "right", no_wrap=True)
    made.add_column("runs that break a rule", no_wrap=True)
    codes = []
    for name in (name for name in NEMESES if any(trial.nemesis == name for trial in trials)):
        of_it = [trial for trial in trials if trial.nemesis == name]
        made.add_row(*row(name, of_it))
        counted = sum((trial.codes for trial in of_it), Counter())
        codes.append(f"{name}: {', '.join(f'{code} {count}' for code, count in counted.most_common())}")
    console.print(made, crop=False)
    console.print("Gaps: the longest time in ms, of any run, in which one node granted no lock or took no message.")
    console.print(
        "Oldest read: how long, in ms, what a local read returned had been out of date when it began, at most."
    )
    for line in ("", *staleness([ms for trial in trials for ms in trial.stale_ms])):
        console.print(line, markup=False, highlight=False)
    for line in ("", "Refusals and failures by code:", *codes):
        console.print(line, markup=False, highlight=False)


def staleness(stale_ms: list[float]) -> list[str]:
    """How old what local reads returned was, over all runs."""
    late = sorted(ms for ms in stale_ms if ms > 0)
    if not late:
        return [f"None of {len(stale_ms):,} local reads returned what was out of date."]
    most = f"the oldest by {late[-1]:.1f} ms; {STALE_BOUND_MS:.0f} ms are promised"
    return [
        f"{len(late):,} of {len(stale_ms):,} local reads returned what was out of date, {most}:",
        bars(late, EDGES_MS),
    ]


def row(name: str, of_it: list[Trial]) -> tuple[str, ...]:
    events = [event for trial in of_it for event in trial.history]
    rules = Counter(rule for trial in of_it for rule in {violation.rule for violation in trial.violations})
    return (
        name,
        str(len(of_it)),
        str(len(events)),
        str(sum(trial.grants for trial in of_it)),
        str(sum(event.outcome == "refused" for event in events)),
        str(sum(event.outcome == "unknown" for event in events)),
        f"{max(trial.grant_gap_ms for trial in of_it):.0f}",
        f"{max(trial.publish_gap_ms for trial in of_it):.0f}",
        f"{max((ms for trial in of_it for ms in trial.stale_ms), default=0.0):.0f}",
        ", ".join(f"{rule} {count}" for rule, count in rules.most_common()) or "none",
    )


def run() -> None:
    """Entry point of the module."""
    sys.exit(main(sys.argv[1:]))
