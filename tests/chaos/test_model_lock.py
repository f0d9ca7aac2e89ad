"""The checkers never flag a lock that is right, and do flag each way to be wrong."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.checkers import LOCKS
from tests.chaos.history import History
from tests.chaos.model_lock import Bug, play

SEEDS = 40
"""Histories tried until one shows a bug."""


def rules_broken(history: History) -> set[str]:
    return {violation.rule for checker in LOCKS for violation in checker(history)}


@settings(max_examples=150, deadline=None)
@given(chance=st.randoms(use_true_random=False), clients=st.integers(1, 7), shared=st.booleans())
def test_a_right_lock_is_never_flagged(chance: random.Random, clients: int, shared: bool) -> None:
    history = play(chance, clients=clients, operations=60, shared=shared)
    assert rules_broken(history) == set()


SHOWN_BY: dict[Bug, str] = {
    "ignores the lease": "two holders",
    "forgets": "two holders",
    "repeats tokens": "tokens rise",
    "lets strangers release": "owner-aware mutex",
    "lets readers in": "two holders",
}


@pytest.mark.parametrize("bug", SHOWN_BY)
def test_a_wrong_lock_is_flagged(bug: Bug) -> None:
    for seed in range(SEEDS):
        history = play(random.Random(seed), clients=5, operations=100, shared=bug == "lets readers in", bug=bug)
        if SHOWN_BY[bug] in rules_broken(history):
            return
    pytest.fail(f"no history of {SEEDS} shows a lock that {bug}")


def test_every_bug_is_tried() -> None:
    assert set(SHOWN_BY) == set(get_args(Bug)) - {""}
