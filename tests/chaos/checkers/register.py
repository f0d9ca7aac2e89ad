"""A register that lock holders write: no update is lost, and a writer that was overtaken is refused.

Its events are instants in the order of their value `turn`. `read` gives the version that is there; `write` says which
version it builds on, `base`, and which it made, `version`. A *guarded* register takes a token with both, and should
refuse one below the highest it has seen. A *plain* one takes anybody; who writes there does so only while its lease
runs.
"""

from __future__ import annotations

from tests.chaos.history import Event, History, Violation, by_target, conflict, select

GUARDED = "guarded"
PLAIN = "plain"


def no_guarded_update_is_lost(history: History) -> list[Violation]:
    """Each accepted write of a guarded register has read the one before it."""
    return _lost("guarded update lost", history, GUARDED)


def no_update_is_lost_to_a_holder(history: History) -> list[Violation]:
    """The same of a plain register, which only the lock protects: holders write it while their leases run."""
    return _lost("plain update lost", history, PLAIN)


def _register(history: History, kind: str) -> dict[str, list[Event]]:
    of_kind = [event for event in select(history, "read", "write") if event.values["register"] == kind]
    return by_target(sorted(of_kind, key=lambda event: int(event.values["turn"])))


def _lost(rule: str, history: History, kind: str) -> list[Violation]:
    found = []
    for name, events in _register(history, kind).items():
        last: Event | None = None
        for event in events:
            if event.operation != "write" or event.outcome != "ok":
                continue
            if last is not None and event.values["base"] != last.values["version"]:
                says = f"{name}: version {last.values['version']} was overwritten by a writer that had not read it"
                found.append(conflict(rule, says, last, event))
            last = event
    return found


def stale_writers_fail(history: History) -> list[Violation]:
    """A guarded register accepts no token below one it accepted, nor an equal one from another owner."""
    rule = "stale writer accepted"
    found = []
    for name, events in _register(history, GUARDED).items():
        highest: Event | None = None
        for event in events:
            if event.outcome != "ok":
                continue
            if highest is not None:
                token, known = event.values["token"], highest.values["token"]
                if token < known:
                    found.append(conflict(rule, f"{name} accepted token {token} after {known}", highest, event))
                    continue
                if token == known and event.values["owner"] != highest.values["owner"]:
                    says = f"{name} accepted token {token} from two owners"
                    found.append(conflict(rule, says, highest, event))
            highest = event
    return found
