"""`make sweep`: take every rule out of the core, one at a time, and see a test go red.

The table of known bugs (`mutants`) asks whether the tests know the field's mistakes; this asks whether any line of
the core could be lost unnoticed. A forked process imports the cut file in place of the real one and calls the
scenarios, the quickest first, without a test runner, which takes longer to start than most of them to fail; only a
cut that they all pass is shown to the simulator.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from types import FrameType, ModuleType
from typing import Any

import pytest
import redis  # noqa: F401 - before the forks, because the tests' conftest does
from rich.console import Console
from rich.progress import Progress

from tests.raft.cuts import CORE, FILES, Cut, cuts_of

SCENARIOS = (
    "test_log",
    "test_progress",
    "test_rules_of_candidates",
    "test_rules_of_followers",
    "test_rules_of_leaders",
    "test_rules_of_reads_and_transfer",
    "test_bounds_and_guards",
    "test_transcripts",
    "test_replication",
    "test_storage",
    "test_reads_and_transfer",
    "test_replaced_disk",
    "test_elections",
    "test_labs_snapshots",
    "test_labs",
)
"""The quickest first: most cuts are seen by them."""
SEEDS = 3
"""How many seeds, each with 3 and 5 members, a cut may pass before it counts as unseen."""
TIMEOUT_CPU_S = 3
"""For one scenario or seed: ten times what the longest takes. In CPU time, or a busy machine would see cuts."""
MEMORY_BYTES = 1 << 30
"""A cut that makes an endless loop must not take the machine with it."""

EQUIVALENT: dict[str, str] = {
    "core.release_held: without `isinstance(message, VoteReply)`": (
        "only a vote is ever addressed to oneself; the check is for the type checker"
    ),
    "log.term_at: boundary of `self.base < index <= self.last`": "the base itself was answered a line before",
    "leader.tick_snapshot: `peer.mode is Mode.SNAPSHOT` always holds": (
        "report_snapshot asks it again, and await_snapshot starts the count"
    ),
    "leader.on_heartbeat_reply: boundary of `message.read_round > peer.read_round`": (
        "a round confirmed again confirms no read that it has not released already"
    ),
    "log.compact: boundary of `snapshot.index <= self.snapshot.index`": (
        "two snapshots of one index are of one state (state machine safety), so either may be kept"
    ),
    "follower.is_old_snapshot: boundary of `snapshot.index <= self.log.commit`": (
        "the entry at the commit index is held, and is acknowledged as such a line later"
    ),
}
"""Cuts that change nothing anyone could see, and why."""


class _CutLoader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of the core from changed source."""

    def __init__(self, cut: Cut) -> None:
        self._name = f"service.raft.{cut.file}"
        self._code = compile(cut.source, f"{cut.file}.py with a cut", "exec")

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, vars(module))  # noqa: S102 - our own code, less one rule


def judge(cut: Cut) -> tuple[Cut, str]:
    """What saw the cut: a scenario by its name, "simulator" or nothing. Runs in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.meta_path.insert(0, _CutLoader(cut))
    signal.signal(signal.SIGPROF, _out_of_time)
    return cut, _run_scenarios() or _run_seeds()


def _run_scenarios() -> str:
    for module in SCENARIOS:
        name = module
        try:
            for scenario, arguments in _calls_of(importlib.import_module(f"tests.raft.{module}")):
                name = f"{module}:{scenario.__name__}"
                _within_time(scenario, **arguments)
        except (Exception, pytest.fail.Exception):
            return name
    return ""


def _calls_of(module: ModuleType) -> Iterator[tuple[Callable[..., None], dict[str, Any]]]:
    """Every scenario of a module with every set of arguments that the test runner would give it."""
    fixtures = {
        "raft": importlib.import_module("service.raft.core").Raft,
        "disk": importlib.import_module("tests.raft.simulator.disk").Disk,
    }
    for name, scenario in vars(module).items():
        if not name.startswith("test_"):
            continue
        given = {key: fixtures[key] for key in inspect.signature(scenario).parameters if key in fixtures}
        rows = [_rows(*mark.args) for mark in getattr(scenario, "pytestmark", ()) if mark.name == "parametrize"]
        for chosen in product(*rows):
            yield scenario, {**given, **{key: value for row in chosen for key, value in row.items()}}


def _rows(names: str | Sequence[str], rows: Sequence[Any]) -> list[dict[str, Any]]:
    keys = [key.strip() for key in names.split(",")] if isinstance(names, str) else list(names)
    return [dict(zip(keys, row if len(keys) > 1 else (row,), strict=True)) for row in rows]


def _run_seeds() -> str:
    cluster = importlib.import_module("tests.raft.simulator.cluster")
    for seed in range(SEEDS):
        for members in (3, 5):
            try:
                if _within_time(cluster.simulate, cluster.Spec(seed, members)).violation:
                    return "simulator"
            except Exception:
                return "simulator"
    return ""


def _within_time(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    signal.setitimer(signal.ITIMER_PROF, TIMEOUT_CPU_S)
    try:
        return function(*arguments, **named)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def main() -> int:
    """Exit status 1 if a cut that is not known to be without effect was not seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.raft.sweep", description=__doc__)
    parser.add_argument("--file", choices=FILES, help="only this file of the core")
    parser.add_argument("--only", default="", help="only cuts whose name contains this")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="how many cuts at a time (default: a core each)"
    )
    parser.add_argument("--list", action="store_true", help="say of each cut what saw it")
    options = parser.parse_args()
    cuts = [cut for file in FILES if options.file in (None, file) for cut in cuts_of(file) if options.only in cut.what]
    console = Console(soft_wrap=True, markup=False, highlight=False)
    seen = {"scenario": 0, "simulator": 0, "": 0}
    survivors = []
    needless = {name for name in EQUIVALENT if not (options.file or options.only)} - {cut.what for cut in cuts}
    context = multiprocessing.get_context("fork")
    with Progress(console=console) as progress, context.Pool(options.jobs, maxtasksperchild=1) as pool:
        whole = Cut("core", 0, "nothing", (CORE / "core.py").read_text())
        assert pool.apply(judge, (whole,)) == (whole, ""), "the tests are red without any cut"
        task = progress.add_task("cuts", total=len(cuts))
        for cut, by in pool.imap_unordered(judge, cuts):
            seen["scenario" if by.startswith("test_") else by] += 1
            if options.list:
                progress.console.print(f"{cut.what}: {by or 'NOT SEEN'}")
            if by and cut.what in EQUIVALENT:
                needless.add(cut.what)
            if not by and cut.what not in EQUIVALENT:
                survivors.append(cut)
                progress.console.print(f"SURVIVED service/raft/{cut.file}.py:{cut.line} {cut.what}")
            progress.update(task, advance=1)
    console.print(
        f"{len(cuts)} cuts: {seen['scenario']} seen by scenarios, {seen['simulator']} by the simulator only, "
        f"{seen[''] - len(survivors)} without effect, {len(survivors)} survived"
    )
    for name in sorted(needless):
        console.print(f"listed as without effect, but seen or gone: {name}")
    return 1 if survivors or needless else 0


if __name__ == "__main__":
    sys.exit(main())
