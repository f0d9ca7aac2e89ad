"""No read returns a version older than one that was acknowledged more than the bound before the read began.

`put` and `get` have `version`, a `get` that found nothing has none; nor has `invalidate`. Values are written without
a ttl in these histories, so that nothing but an invalidation or a loss takes them away.
"""

from __future__ import annotations

from tests.chaos.history import Event, History, Violation, by_target, conflict, losses, select

STALE_BOUND_MS = 1000.0


def no_stale_read(history: History, bound_ms: float = STALE_BOUND_MS) -> list[Violation]:
    """After a loss only what was written after it binds: an older value may be all that Redis has."""
    lost = losses(history)
    found = []
    for key, events in by_target(select(history, "put", "get", "invalidate")).items():
        writes = [e for e in events if e.operation == "put" and e.outcome == "ok"]
        removals = [e for e in events if e.operation == "invalidate" and e.outcome != "refused"]
        for read in (e for e in events if e.operation == "get" and e.outcome == "ok"):
            since_ms = max((loss.completed_ms for loss in lost if loss.invoked_ms < read.completed_ms), default=0.0)
            settled_ms = read.invoked_ms - bound_ms
            binding = [w for w in writes if w.completed_ms <= settled_ms and w.invoked_ms >= since_ms]
            newest = max(binding, key=lambda write: int(write.values["version"]), default=None)
            found += _judge(key, read, newest, removals, settled_ms)
    return found


def _judge(key: str, read: Event, newest: Event | None, removals: list[Event], settled_ms: float) -> list[Violation]:
    version = int(read.values.get("version", 0))
    if newest is None or version > newest.values["version"]:
        return []
    after = [r for r in removals if r.completed_ms >= newest.invoked_ms and r.invoked_ms <= read.completed_ms]
    if version == 0 and after:
        return []
    if version < newest.values["version"]:
        says = f"{key}: version {version} was read, {newest.values['version']} had been acknowledged"
        return [conflict("stale read", says, newest, read)]
    gone = [r for r in after if r.outcome == "ok" and r.invoked_ms > newest.completed_ms]
    for removal in gone:
        if removal.completed_ms <= settled_ms:
            says = f"{key}: version {version} was read, it had been invalidated"
            return [conflict("stale read", says, newest, removal, read)]
    return []
