"""Fixtures of the Raft tests."""

from __future__ import annotations

import pytest

from service.raft.core import Raft
from tests.raft.simulator.disk import Disk
from tests.raft.world import RaftClass


@pytest.fixture
def raft() -> RaftClass:
    """The core under test; `mutants` calls the same scenarios with broken ones."""
    return Raft


@pytest.fixture
def disk() -> type[Disk]:
    """The simulated disk, which keeps the order of records that a runner must keep."""
    return Disk
