"""No read returns a version older than one that was acknowledged more than the bound before the read began.

`put` and `get` have `version`, a `get` that found nothing has none; nor has `invalidate`. A `get` whose `consistency`
is strong has no bound: it returns nothing older than what was acknowledged before it began. Values are written without
a ttl in these histories, so that nothing but an invalidation or a loss takes them away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos.history import Event, History, Violation, by_target, conflict, losses, select

STALE_BOUND_MS = 1000.0


class Read(NamedTuple):
    """A read, and for how long what it returned had been out of date when it began: 0 if it was not."""

    event: Event
    stale_ms: float
    shown_by: tuple[Event, ...] = ()
    says: str = ""


def reads(history: History, consistency: str = "local") -> list[Read]:
    """After a loss only what was written after it counts: an older value may be all that Redis has."""
    lost = losses(history)
    found = []
    for key, events in by_target(select(history, "put", "get", "invalidate")).items():
        writes = [e for e in events if e.operation == "put" and e.outcome == "ok"]
        removals = [e for e in events if e.operation == "invalidate" and e.outcome != "refused"]
        for event in events:
            if event.operation != "get" or event.outcome != "ok" or _consistency(event) != consistency:
                continue
            since_ms = max((loss.completed_ms for loss in lost if loss.invoked_ms < event.completed_ms), default=0.0)
            late = [*_newer(event, [w for w in writes if w.invoked_ms >= since_ms], removals)]
            late += _removed(event, [w for w in writes if w.invoked_ms >= since_ms], removals)
            found.append(_oldest(key, event, late))
    return found


def _consistency(read: Event) -> str:
    return str(read.values.get("consistency", "local"))


def _version(event: Event) -> int:
    return int(event.values.get("version", 0))


def _newer(read: Event, writes: list[Event], removals: list[Event]) -> Iterator[tuple[Event, ...]]:
    """Writes of a later version than was read; of a value that was not found, those that no removal may have taken."""
    for write in writes:
        if _version(write) <= _version(read):
            continue
        taken = (r for r in removals if r.completed_ms >= write.invoked_ms and r.invoked_ms <= read.completed_ms)
        if _version(read) or not any(taken):
            yield (write,)


def _removed(read: Event, writes: list[Event], removals: list[Event]) -> Iterator[tuple[Event, ...]]:
    """Acknowledged removals that came after the write of what was read."""
    for write in writes:
        if _version(read) and _version(write) == _version(read):
            yield from (
                (write, removal)
                for removal in removals
                if removal.outcome == "ok" and removal.invoked_ms > write.completed_ms
            )


def _oldest(key: str, read: Event, late: list[tuple[Event, ...]]) -> Read:
    """By what was acknowledged first of all that the read did not show."""
    if not late:
        return Read(read, 0.0)
    shown_by = min(late, key=lambda events: events[-1].completed_ms)
    stale_ms = read.invoked_ms - shown_by[-1].completed_ms
    what = "it had been invalidated"
    if len(shown_by) == 1:
        what = f"{_version(shown_by[0])} had been acknowledged"
    says = f"{key}: version {_version(read)} was read, {what} {stale_ms:.2f} ms before"
    return Read(read, max(stale_ms, 0.0), shown_by, says)


def no_stale_read(history: History, bound_ms: float = STALE_BOUND_MS) -> list[Violation]:
    """What was acknowledged longer ago than the bound is seen by every read."""
    late = (one for one in reads(history) if one.shown_by and one.stale_ms >= bound_ms)
    return [conflict("stale read", one.says, *one.shown_by, one.event) for one in late]


def no_stale_strong_read(history: History) -> list[Violation]:
    """What was acknowledged is seen by every strong read that begins after that.

    Not judged from a loss on: for a moment two primaries may both take writes, and a node may not know that it works
    with the one that was given up.
    """
    begins_ms = min((loss.invoked_ms for loss in losses(history)), default=float("inf"))
    late = (one for one in reads(history, "strong") if one.stale_ms > 0 and one.event.completed_ms < begins_ms)
    return [conflict("stale strong read", one.says, *one.shown_by, one.event) for one in late]
