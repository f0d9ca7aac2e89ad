"""What clients saw, as data: one event an operation, with when it was asked and when it was answered.

All times are milliseconds of one monotonic clock, that of the process that records. Nothing of a node's or of Redis'
own clock is in a history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["ok", "refused", "unknown"]
"""refused: nothing was changed, and the answer says so; unknown: it may have taken effect, then or later."""

NEMESIS = "nemesis"
"""The operation of an event that is a fault; its value `loses` says that Redis may have lost what it acknowledged."""


@dataclass(frozen=True, slots=True)
class Event:
    """One operation of one client; `code` is the refusal's, and `values` what was asked and answered."""

    client: str
    operation: str
    target: str
    invoked_ms: float
    completed_ms: float
    outcome: Outcome
    code: str = ""
    node: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = " ".join(f"{name}={value}" for name, value in self.values.items())
        through = f" through {self.node}" if self.node else ""
        outcome = f"{self.outcome} {self.code}".strip()
        return (
            f"{self.invoked_ms:9.2f} - {self.completed_ms:9.2f} ms  {self.client} {self.operation} {self.target}"
            f"{through}: {outcome} {told}".rstrip()
        )


History = Sequence[Event]


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a history breaks, and the events that show it, in the order of their invocation."""

    rule: str
    says: str
    events: tuple[Event, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.rule}: {self.says}", *(f"    {event}" for event in self.events)])


def conflict(rule: str, says: str, *events: Event) -> Violation:
    return Violation(rule, says, tuple(sorted(events, key=lambda event: event.invoked_ms)))


def select(history: History, *operations: str, outcome: Outcome | None = None) -> list[Event]:
    """The events of these operations, by invocation."""
    found = (e for e in history if e.operation in operations and outcome in (None, e.outcome))
    return sorted(found, key=lambda event: event.invoked_ms)


def by_target(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.target, []).append(event)
    return found


def losses(history: History) -> list[Event]:
    """The faults that may have lost acknowledged data."""
    return [event for event in select(history, NEMESIS) if event.values.get("loses")]


def save(history: History, path: Path) -> None:
    """As JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(asdict(event)) + "\n" for event in history))


def load(path: Path) -> list[Event]:
    return [Event(**json.loads(line)) for line in path.read_text().splitlines()]
