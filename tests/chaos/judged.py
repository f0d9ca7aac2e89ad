"""A run as a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.history import select
from tests.chaos.nemeses import NEMESES
from tests.chaos.trial import Trial, run_trial

GRANTS_LEAST = 10
"""A run with fewer shows nothing."""


class Violated(AssertionError):
    """A rule was broken, as against a run that broke down."""


def passes(name: str, folder: Path, runs: int = 1) -> None:
    """No run breaks a rule, and each was a run: locks were granted, messages and values came and went."""
    if NEMESES[name].why_not:
        pytest.skip(NEMESES[name].why_not)
    for seed in range(runs):
        _judge(run_trial(name, seed, folder / str(seed)))


def _judge(trial: Trial) -> None:
    assert trial.grants >= GRANTS_LEAST
    for operation in ("renew", "release", "publish", "ack", "put", "get", "write"):
        assert select(trial.history, operation, outcome="ok"), f"no {operation} succeeded"
    told = "\n".join(str(violation) for violation in trial.violations)
    if trial.violations:
        raise Violated(f"replay: {trial.command}\n{told}")
