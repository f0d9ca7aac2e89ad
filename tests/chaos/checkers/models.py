"""Sequential models of a lock, after those of Hazelcast's Jepsen tests, with leases.

A model is a first state and a step. A lock with a lease adds one rule to each of them: an acquire may follow a hold
that was not released if it can have happened after the end of that hold's lease.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.chaos.checkers.holds import GRAIN_MS, token_of
from tests.chaos.checkers.linearize import Undecided, linearize
from tests.chaos.history import Event, History, Violation, by_target, conflict, select


class Mutex(NamedTuple):
    """Who holds the lock (a client and its token; None: nobody) and when the lease ends at the earliest."""

    owner: str | None = None
    token: int | None = None
    lease_end_ms: float = 0.0
    highest: int = 0
    held_since: float = -1.0
    """Invocation of the last grant or renewal, to name it in a violation."""


def owner_aware(state: Mutex, event: Event) -> Mutex | None:
    """One owner at a time; only the owner renews and releases.

    Of unknown outcome, only what can make room for others is tried (a release, a shorter lease). An acquire that
    nobody heard the answer of, or a longer lease, could only stand in the way, and each would double the search.
    """
    if event.operation == "acquire":
        if event.outcome == "unknown" or (state.owner is not None and event.completed_ms < state.lease_end_ms):
            return None
        token = int(event.values["token"])
        return Mutex(event.client, token, _lease_end_ms(event), max(state.highest, token), event.invoked_ms)
    if (state.owner, state.token) != (event.client, event.values["token"]):
        return None
    if event.operation == "release":
        return Mutex(highest=state.highest)
    lease_end_ms = _lease_end_ms(event)
    if event.outcome == "unknown" and lease_end_ms >= state.lease_end_ms:
        return None
    return state._replace(token=token_of(event), lease_end_ms=lease_end_ms, held_since=event.invoked_ms)


def fenced(state: Mutex, event: Event) -> Mutex | None:
    """Owner-aware, and each grant has a higher token than all before it."""
    if event.operation == "acquire" and event.outcome == "ok" and event.values["token"] <= state.highest:
        return None
    return owner_aware(state, event)


def is_an_owner_aware_mutex(history: History) -> list[Violation]:
    """The exclusive locks of the history can be put in an order that `owner_aware` allows."""
    return _check("owner-aware mutex", history, owner_aware)


def is_a_fenced_mutex(history: History) -> list[Violation]:
    """The exclusive locks of the history can be put in an order that `fenced` allows."""
    return _check("fenced mutex", history, fenced)


def _check(rule: str, history: History, step: Callable[[Mutex, Event], Mutex | None]) -> list[Violation]:
    found = []
    for resource, events in by_target(select(history, "acquire", "renew", "release")).items():
        if any(event.values.get("mode", "exclusive") != "exclusive" for event in events):
            continue
        try:
            stuck = linearize(events, Mutex(), step)
        except Undecided as why:
            # Told, lest it pass for a history that was found right.
            found.append(conflict(f"{rule} undecided", f"{resource}: gave up after {why}", *events[:1]))
            continue
        if stuck is not None:
            held = [e for e in events if e.invoked_ms == stuck.state.held_since and e.client == stuck.state.owner]
            says = f"{resource}: no order of the operations allows this one while {stuck.state.owner or 'nobody'} holds"
            found.append(conflict(rule, says, *held, stuck.event))
    return found


def _lease_end_ms(event: Event) -> float:
    return event.invoked_ms + float(event.values["ttl_ms"]) - GRAIN_MS
