"""Every known bug is caught by every piece of evidence named for it, and the real core by none."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

from service.raft.core import Raft
from tests.raft import bugs
from tests.raft.mutants import TABLE, Bug, judge
from tests.raft.simulator.disk import Disk


@pytest.mark.parametrize("bug", TABLE, ids=lambda bug: bug.__name__)
def test_a_known_bug_is_caught_by_all_its_evidence(bug: Bug) -> None:
    for evidence in TABLE[bug]:
        assert judge(bug, evidence).caught, f"{bug.__name__} survives {evidence}"


def test_no_evidence_accuses_the_real_core() -> None:
    pairs = {
        (evidence, Disk if issubclass(bug, Disk) else Raft)
        for bug, evidences in TABLE.items()
        for evidence in evidences
    }
    for evidence, innocent in sorted(pairs, key=lambda pair: pair[0]):
        assert not judge(innocent, evidence).caught, evidence


def test_every_bug_is_in_the_table_with_evidence() -> None:
    written = set()
    for module in pkgutil.iter_modules(bugs.__path__):
        names = vars(importlib.import_module(f"tests.raft.bugs.{module.name}"))
        for name, value in names.items():
            if inspect.isclass(value) and value.__module__.startswith(bugs.__name__) and name[0] != "_":
                assert issubclass(value, Raft | Disk)
                written.add(value)
    assert written == set(TABLE)
    assert all(TABLE.values())
    assert len(TABLE) >= 25
