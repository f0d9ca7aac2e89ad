"""Re-entrant locks: one owner at a time, who may enter again and must leave as often.

After the re-entrant models of Hazelcast's Jepsen tests, with leases. `enter` has the values owner, token, ttl_ms and
`holds`, how often the owner is in with it; `leave` has owner, token and `holds`, how often it still is. An entry of
which nobody heard may have been one more of an owner who is in; as a first one it has no token that anybody could show.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.chaos.checkers.holds import GRAIN_MS
from tests.chaos.checkers.linearize import Undecided, linearize
from tests.chaos.history import Event, History, Violation, by_target, conflict, losses, select


class Entered(NamedTuple):
    """Who is in, how often (depth), and when the lease ends at the earliest."""

    owner: str | None = None
    token: int = 0
    depth: int = 0
    lease_end_ms: float = 0.0
    highest: int = 0


def reentrant(state: Entered, event: Event, *, counts: bool) -> Entered | None:
    """`counts`: what is answered is exact. After a loss of data it may be too high, as the reference says."""
    if event.operation == "leave":
        return _leave(state, event, counts=counts)
    if event.outcome == "unknown":
        # How long it made the lease is not known, and a lease that ends sooner forbids less.
        return state._replace(depth=state.depth + 1) if state.owner == event.values["owner"] else None
    return _enter(state, event, counts=counts)


def _leave(state: Entered, event: Event, *, counts: bool) -> Entered | None:
    if (state.owner, state.token) != (event.values["owner"], event.values["token"]):
        return None
    left = int(event.values.get("holds", 0)) if event.outcome == "ok" else state.depth - 1
    if counts and left != state.depth - 1:
        return None
    return state._replace(depth=left) if left else Entered(highest=state.highest)


def _enter(state: Entered, event: Event, *, counts: bool) -> Entered | None:
    owner, token, holds = str(event.values["owner"]), int(event.values["token"]), int(event.values["holds"])
    ends_ms = event.invoked_ms + float(event.values["ttl_ms"]) - GRAIN_MS
    if holds > 1:
        if (state.owner, state.token) != (owner, token) or (counts and holds != state.depth + 1):
            return None
        return state._replace(depth=holds, lease_end_ms=max(state.lease_end_ms, ends_ms))
    if state.owner is not None and event.completed_ms < state.lease_end_ms:
        return None
    return Entered(owner, token, 1, ends_ms, max(state.highest, token))


def reentrant_fenced(state: Entered, event: Event, *, counts: bool) -> Entered | None:
    """And each hold has a higher token than all before it, whoever enters again the same."""
    is_new = event.operation == "enter" and event.outcome == "ok" and int(event.values["holds"]) == 1
    if is_new and int(event.values["token"]) <= state.highest:
        return None
    return reentrant(state, event, counts=counts)


def is_a_reentrant_mutex(history: History) -> list[Violation]:
    return _check("re-entrant mutex", history, reentrant)


def is_a_fenced_reentrant_mutex(history: History) -> list[Violation]:
    return _check("fenced re-entrant mutex", history, reentrant_fenced)


def _check(rule: str, history: History, step: Callable[..., Entered | None]) -> list[Violation]:
    found = []
    judge = partial(step, counts=not losses(history))
    for resource, events in by_target(select(history, "enter", "leave")).items():
        try:
            stuck = linearize(events, Entered(), judge)
        except Undecided as why:
            found.append(conflict(f"{rule} undecided", f"{resource}: gave up after {why}", *events[:1]))
            continue
        if stuck is not None:
            state = stuck.state
            inside = f"{state.owner} is in {state.depth} times" if state.owner else "nobody is in"
            says = f"{resource}: no order of the operations allows this one while {inside}"
            found.append(conflict(rule, says, stuck.event))
    return found
