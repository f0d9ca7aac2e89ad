"""The core is a function of what it is given: no clock, no socket, no file, no random source of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from service.raft import core

FOLDER = Path(core.__file__).parent
PURE = "config core election errors events follower leader log messages progress quorum reads ready state"
ALLOWED = {"__future__", "bisect", "collections", "dataclasses", "enum", "random", "typing", "service"}


@pytest.mark.parametrize("name", PURE.split())
def test_a_file_of_the_core_imports_nothing_that_acts(name: str) -> None:
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            imported = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported = {node.module or ""}
        else:
            continue
        assert {module.split(".")[0] for module in imported} <= ALLOWED
        own = {module for module in imported if module.startswith("service.")}
        assert {module.removeprefix("service.raft.") for module in own} <= set(PURE.split())
        if "random" in imported:
            assert isinstance(node, ast.ImportFrom)
            assert [alias.name for alias in node.names] == ["Random"], "only the injected generator"


@pytest.mark.parametrize("name", PURE.split())
def test_every_function_of_the_core_fits_a_screen(name: str) -> None:
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 70, node.name
