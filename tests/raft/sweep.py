"""`make sweep`: take every rule out of the core, one at a time, and see a test go red.

The table of known bugs (`mutants`) asks whether the tests know the field's mistakes; this asks whether any line of
the core could be lost unnoticed. Each cut is made in the syntax tree of one file: a statement deleted, a guard that
never or always holds, one condition of several dropped, a boundary moved by one, one side of a min or max taken
alone. A forked process then imports the cut file in place of the real one and runs the scenarios, and the simulator
if they pass.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import io
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from types import FrameType, ModuleType
from typing import NamedTuple

import pytest
import redis  # noqa: F401 - before the forks, because the tests' conftest does
from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).parents[2]
FILES = ("core", "election", "follower", "leader", "log", "progress", "quorum", "reads", "state")
SCENARIOS = (
    "test_log",
    "test_progress",
    "test_small_rules",
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
TIMEOUT_S = 60
MEMORY_BYTES = 3 << 30
"""A cut that makes an endless loop must not take the machine with it."""

EQUIVALENT: dict[str, str] = {
    "core.release_held: without `isinstance(message, VoteReply)`": (
        "only a vote is ever addressed to oneself; the check is for the type checker"
    ),
    "log.term_at: boundary of `self.base < index <= self.last`": "the base itself was answered a line before",
    "leader.tick_snapshot: `peer.mode is Mode.SNAPSHOT` always holds": (
        "report_snapshot asks it again, and await_snapshot starts the count"
    ),
    "follower.is_old_snapshot: boundary of `snapshot.index <= self.log.commit`": (
        "the entry at the commit index is held, and is acknowledged as such a line later"
    ),
}
"""Cuts that change nothing anyone could see, and why."""


class Cut(NamedTuple):
    """One change of one file: `what` names it, `source` is the whole file with it."""

    file: str
    line: int
    what: str
    source: str


# Making cuts


def cuts_of(file: str) -> list[Cut]:
    """Every cut of one file of the core."""
    tree = ast.parse((ROOT / "service" / "raft" / f"{file}.py").read_text())
    cuts = []
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            if function.name == "__init__" and node is function:
                continue  # a variable's first value is a declaration, which the type checker misses
            for field, position, new, what in _changes(node):
                old = getattr(node, field)
                setattr(node, field, new if position is None else [*old[:position], new, *old[position + 1 :]])
                source = ast.unparse(ast.fix_missing_locations(deepcopy(tree)))
                setattr(node, field, old)
                changed = old if position is None else old[position]
                line = getattr(changed, "lineno", getattr(node, "lineno", function.lineno))
                cuts.append(Cut(file, line, f"{file}.{function.name}: {what}", source))
    return cuts


_Change = tuple[str, int | None, ast.AST, str]
"""A field of a node, a position in it if it is a list, what to put there, and how to call it."""


def _changes(node: ast.AST) -> Iterator[_Change]:
    yield from _deletions(node)
    yield from _guards(node)
    yield from _conditions(node)
    for field, position, value in _values_in(node):
        for simpler in _simpler(value):
            yield field, position, simpler, f"`{ast.unparse(simpler)}` for `{ast.unparse(value)}`"


def _conditions(node: ast.AST) -> Iterator[_Change]:
    if isinstance(node, ast.BoolOp):
        for number, operand in enumerate(node.values):
            yield "values", number, _constant(isinstance(node.op, ast.And)), f"without `{ast.unparse(operand)}`"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SHIFTED:
        yield "ops", 0, _SHIFTED[type(node.ops[0])](), f"boundary of `{ast.unparse(node)}`"
    if isinstance(node, ast.comprehension):
        for number, condition in enumerate(node.ifs):
            yield "ifs", number, _constant(True), f"without `{ast.unparse(condition)}`"


def _values_in(node: ast.AST) -> Iterator[tuple[str, int | None, ast.expr]]:
    """The expressions directly in a node. Annotations decide nothing."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns"):
            continue
        if isinstance(value, ast.expr):
            yield field, None, value
        elif isinstance(value, list):
            yield from ((field, number, item) for number, item in enumerate(value) if isinstance(item, ast.expr))


def _simpler(value: ast.expr) -> list[ast.expr]:
    """One side of a min or max; a sum without its constant."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("min", "max"):
        return value.args if len(value.args) == 2 else []
    if isinstance(value, ast.BinOp) and isinstance(value.right, ast.Constant):
        return [value.left]
    return []


_SHIFTED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}


def _deletions(node: ast.AST) -> Iterator[_Change]:
    for field in ("body", "orelse"):
        statements = getattr(node, field, None)
        for number, statement in enumerate(statements if isinstance(statements, list) else ()):
            if _does_something(statement):
                yield field, number, ast.Pass(), f"without `{ast.unparse(statement).splitlines()[0]}`"


def _does_something(statement: ast.stmt) -> bool:
    """Not a docstring, nor a local variable, without which nothing would run at all."""
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assign):
        return not isinstance(statement.targets[0], ast.Name)
    return isinstance(statement, ast.AugAssign | ast.Delete | ast.Raise | ast.Continue)


def _guards(node: ast.AST) -> Iterator[_Change]:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        said = ast.unparse(node.test)
        yield "test", None, _constant(False), f"`{said}` never holds"
        if not isinstance(node, ast.While):
            yield "test", None, _constant(True), f"`{said}` always holds"
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Compare | ast.BoolOp | ast.UnaryOp):
        for answer in (True, False):
            yield "value", None, _constant(answer), f"`{ast.unparse(node.value)}` is always {answer}"


def _constant(value: bool) -> ast.Constant:
    return ast.Constant(value)


# Judging them


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
    """What saw the cut: "scenario", "simulator" or nothing. Runs in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.meta_path.insert(0, _CutLoader(cut))
    signal.signal(signal.SIGALRM, _out_of_time)
    if _is_seen_at_once():
        return cut, "scenario"
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        files = [str(ROOT / "tests" / "raft" / f"{name}.py") for name in SCENARIOS]
        options = ["-x", "-q", "--timeout=60", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
        if pytest.main([*options, *files]):
            return cut, "scenario"
    return cut, _run_seeds()


def _is_seen_at_once() -> bool:
    """By a scenario that needs no test runner, which takes longer to start than most of them to fail."""
    signal.alarm(TIMEOUT_S)
    try:
        core = importlib.import_module("service.raft.core").Raft
        for name in SCENARIOS:
            for called, scenario in vars(importlib.import_module(f"tests.raft.{name}")).items():
                if called.startswith("test_") and list(inspect.signature(scenario).parameters) == ["raft"]:
                    scenario(core)
    except (Exception, pytest.fail.Exception):
        return True
    finally:
        signal.alarm(0)
    return False


def _run_seeds() -> str:
    simulate = importlib.import_module("tests.raft.simulator.cluster").simulate
    spec_of = importlib.import_module("tests.raft.simulator.cluster").Spec
    for seed in range(SEEDS):
        for members in (3, 5):
            signal.alarm(TIMEOUT_S)
            try:
                if simulate(spec_of(seed, members)).violation:
                    return "simulator"
            except Exception:
                return "simulator"
            finally:
                signal.alarm(0)
    return ""


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def main() -> int:
    """Exit status 1 if a cut that is not known to be without effect was not seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.raft.sweep", description=__doc__)
    parser.add_argument("--file", choices=FILES, help="only this file of the core")
    parser.add_argument("--only", default="", help="only cuts whose name contains this")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    cuts = [cut for file in FILES if options.file in (None, file) for cut in cuts_of(file) if options.only in cut.what]
    console = Console(soft_wrap=True, markup=False, highlight=False)
    seen = {"scenario": 0, "simulator": 0, "": 0}
    survivors = []
    # Plugins that no scenario uses take longer to load than the scenarios to run.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    context = multiprocessing.get_context("fork")
    with Progress(console=console) as progress, context.Pool(options.processes, maxtasksperchild=1) as pool:
        whole = Cut("core", 0, "nothing", (ROOT / "service" / "raft" / "core.py").read_text())
        assert pool.apply(judge, (whole,)) == (whole, ""), "the tests are red without any cut"
        task = progress.add_task("cuts", total=len(cuts))
        for cut, by in pool.imap_unordered(judge, cuts):
            seen[by] += 1
            if not by and cut.what not in EQUIVALENT:
                survivors.append(cut)
                progress.console.print(f"SURVIVED service/raft/{cut.file}.py:{cut.line} {cut.what}")
            progress.update(task, advance=1)
    console.print(
        f"{len(cuts)} cuts: {seen['scenario']} seen by scenarios, {seen['simulator']} by the simulator only, "
        f"{seen[''] - len(survivors)} without effect, {len(survivors)} survived"
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
