"""Make a failing schedule smaller: fewer faults, an earlier end, the same broken invariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.raft.simulator.cluster import Cluster, Outcome, Spec, simulate
from tests.raft.simulator.scheduler import MS

MAX_RUNS = 200
"""A schedule has some twenty faults; a few passes over them stay well below this."""


def shrink(failing: Outcome, run: Callable[[Spec], Outcome] = simulate) -> Outcome:
    """The smallest run found that breaks the same invariant; `failing` itself if none is smaller.

    Greedy, one fault at a time until a whole pass removes none. A fault left out shifts nothing else in the
    schedule, because each fault was drawn before the run.
    """
    assert failing.violation is not None, "there is nothing to shrink in a run that held"
    name = failing.violation.name
    best = failing
    runs = 0

    def still_fails(spec: Spec) -> bool:
        nonlocal best, runs
        runs += 1
        outcome = run(spec)
        if outcome.violation is not None and outcome.violation.name == name:
            best = outcome
            return True
        return False

    keep = list(failing.spec.keep if failing.spec.keep is not None else range(_fault_count(failing.spec)))
    removed = True
    while removed and runs < MAX_RUNS:
        removed = False
        for fault in list(keep):
            fewer = tuple(other for other in keep if other != fault)
            if runs < MAX_RUNS and still_fails(replace(best.spec, keep=fewer)):
                keep = list(fewer)
                removed = True
    for share in (2, 4, 8):
        chaos_us = failing.spec.chaos_us // share // MS * MS
        if not still_fails(replace(best.spec, chaos_us=chaos_us)):
            break
    return best


def _fault_count(spec: Spec) -> int:
    return len(Cluster(spec).faults)
