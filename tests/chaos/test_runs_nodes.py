"""One bounded run of each family of nemeses of nodes and of their ways. `make chaos` has the long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.judged import passes


@pytest.mark.parametrize("name", ["one_node_loses_redis", "kill_the_leader", "isolate_the_leader", "clock_jumps"])
def test_the_promises_hold_while_nodes_fail(name: str, tmp_path: Path) -> None:
    passes(name, tmp_path)
