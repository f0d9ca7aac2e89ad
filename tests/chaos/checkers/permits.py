"""Semaphores: never more permits out than the limit.

After the permits model of Hazelcast's Jepsen tests, with leases: a permit that is not given back may be had by another
once its lease can have ended. `take` has the values owner, token, permits, limit and ttl_ms; `give` owner and token. An
owner name is used for one hold only.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.chaos.checkers.holds import GRAIN_MS
from tests.chaos.checkers.linearize import Undecided, linearize
from tests.chaos.history import Event, History, Violation, by_target, conflict, select

RULE = "permits"


class Taken(NamedTuple):
    owner: str
    token: int
    permits: int
    lease_end_ms: float


def permits(state: frozenset[Taken], event: Event) -> frozenset[Taken] | None:
    """The holds that were not given back, also those whose lease may have ended."""
    owner = str(event.values["owner"])
    if event.operation == "give":
        given = [one for one in state if (one.owner, one.token) == (owner, event.values["token"])]
        return state - frozenset(given) if given else None
    if event.outcome == "unknown":
        # Nobody knows of it, and it could only stand in the way.
        return None
    wanted = int(event.values["permits"])
    running = sum(one.permits for one in state if event.completed_ms < one.lease_end_ms)
    if running + wanted > int(event.values["limit"]):
        return None
    ends_ms = event.invoked_ms + float(event.values["ttl_ms"]) - GRAIN_MS
    return state | {Taken(owner, int(event.values["token"]), wanted, ends_ms)}


def is_a_semaphore(history: History) -> list[Violation]:
    """The takes and gives of the history can be put in an order that `permits` allows."""
    found = []
    for resource, events in by_target(select(history, "take", "give")).items():
        try:
            stuck = linearize(events, frozenset[Taken](), permits)
        except Undecided as why:
            found.append(conflict(f"{RULE} undecided", f"{resource}: gave up after {why}", *events[:1]))
            continue
        if stuck is not None:
            out = sum(one.permits for one in stuck.state)
            says = f"{resource}: no order of the operations allows this one with {out} permits not given back"
            found.append(conflict(RULE, says, stuck.event))
    return found
