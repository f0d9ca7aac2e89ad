"""Is there an order of the operations, each at an instant between call and answer, that a sequential model allows?

The search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), with visited configurations remembered
(Lowe, "Testing for linearizability", 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.chaos.history import Event

State = TypeVar("State", bound=Hashable)

CONFIGURATIONS_MAX = 100_000
"""A search that has looked at this many gives up."""


class Undecided(Exception):
    """The search gave up: the history may be right or wrong."""


@dataclass(frozen=True)
class Stuck(Generic[State]):
    """The longest order that was found, its state, and the answered operation that fits nowhere after it."""

    state: State
    event: Event


def linearize(events: list[Event], first: State, step: Callable[[State, Event], State | None]) -> Stuck[State] | None:
    """None if the events can be put in order; else where it got stuck. Raises Undecided.

    Events of unknown outcome may have happened at any time after their call, or never; refused ones are left out.
    `step` gives the state after an event, or None where the model does not allow it.
    """
    ops = sorted((e for e in events if e.outcome != "refused"), key=_latest_ms)
    answered = sum(1 << at for at, event in enumerate(ops) if event.outcome == "ok")
    seen = {(0, first)}
    stack = [(0, first)]
    best, best_done = (0, first), -1
    while stack:
        done, state = stack.pop()
        if answered & ~done == 0:
            return None
        if len(seen) > CONFIGURATIONS_MAX:
            raise Undecided(f"{CONFIGURATIONS_MAX} configurations of {len(ops)} operations")
        count = (done & answered).bit_count()
        if count > best_done:
            best, best_done = (done, state), count
        # Pushed from last to first, so that the one that was answered first is tried first.
        for at in reversed(_candidates(ops, done)):
            after = step(state, ops[at])
            if after is None:
                continue
            next_one = (done | 1 << at, after)
            if next_one not in seen:
                seen.add(next_one)
                stack.append(next_one)
    done, state = best
    return Stuck(state, next(ops[at] for at in range(len(ops)) if not done >> at & 1))


def _latest_ms(event: Event) -> float:
    return event.completed_ms if event.outcome == "ok" else math.inf


def _candidates(ops: list[Event], done: int) -> list[int]:
    """Who may come next, of operations by their latest instant: those called before the first of the rest ended."""
    waiting = [at for at in range(len(ops)) if not done >> at & 1]
    bound_ms = _latest_ms(ops[waiting[0]])
    return [at for at in waiting if ops[at].invoked_ms <= bound_ms]
