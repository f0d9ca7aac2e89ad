"""Every rule of the Raft core taken out, one at a time: what `make sweep` judges.

A cut is made in the syntax tree of one file: a statement deleted, a guard that never or always holds, one condition of
several dropped, a boundary moved by one, one side of a min or max taken alone, a sum without its constant.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

CORE = Path(__file__).parents[2] / "service" / "raft"
FILES = ("core", "election", "follower", "leader", "log", "progress", "quorum", "reads", "state")
"""The files with rules. `ready`, `messages`, `config`, `errors` and `events` say what things are called."""


class Cut(NamedTuple):
    """One change of one file: `what` names it, `source` is the whole file with it."""

    file: str
    line: int
    what: str
    source: str


def cuts_of(file: str) -> list[Cut]:
    """Every cut of one file of the core."""
    tree = ast.parse((CORE / f"{file}.py").read_text())
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
