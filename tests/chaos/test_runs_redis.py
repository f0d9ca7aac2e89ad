"""One bounded run of each family of nemeses of Redis. `make chaos` has the long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.judged import passes

LOSSES = ("flushall", "restart_empty", "lagging_failover")


@pytest.mark.parametrize("name", [*LOSSES, "delete_a_fence", "client_kill"])
def test_the_promises_hold_while_redis_fails(name: str, tmp_path: Path) -> None:
    passes(name, tmp_path)
