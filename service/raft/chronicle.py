"""What an operator reads of a member: log lines, role history and counters, made from the core's typed events."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

from service.raft.events import (
    BecameLeader,
    Event,
    FollowsLeader,
    SnapshotReceived,
    SnapshotSent,
    StartedElection,
    StartedPreVote,
    SteppedDown,
    describe,
)
from service.raft.messages import NodeId

log = logging.getLogger("simpul.raft")

HISTORY_MAX = 64
_ROUTINE = (StartedPreVote, SnapshotSent, SnapshotReceived)
"""Not changes of role that were decided: said in the log, left out of the history."""


class Moment(NamedTuple):
    """One line of the role history; `at_ms` is the wall clock, since 1970."""

    at_ms: int
    term: int
    event: str


class Chronicle:
    """`heard` takes each event as it happens; `name_of` turns a member's URL into the name people use."""

    def __init__(self, node: NodeId, tick_ms: int, name_of: Callable[[NodeId], str]) -> None:
        self.history: deque[Moment] = deque(maxlen=HISTORY_MAX)
        self.counts: Counter[str] = Counter()
        self._node = node
        self._tick_ms = tick_ms
        self._name_of = name_of
        self._is_searching = False

    def heard(self, event: Event) -> None:
        """Log it, count it, keep it."""
        line = describe(self._name_of(self._node), self._with_names(event), self._tick_ms)
        self.counts[type(event).__name__] += 1
        log.log(logging.INFO if self._is_news(event) else logging.DEBUG, "%s", line)
        if not isinstance(event, _ROUTINE):
            self.history.append(Moment(int(time.time() * 1000), event.term, line))

    def _is_news(self, event: Event) -> bool:
        """True for what an operator must see: who leads, who stopped, and the first question after a silence."""
        was_searching = self._is_searching
        self._is_searching = isinstance(event, StartedPreVote | StartedElection | SteppedDown)
        if isinstance(event, StartedPreVote):
            return not was_searching
        return isinstance(event, BecameLeader | FollowsLeader) or (isinstance(event, SteppedDown) and event.was_leader)

    @property
    def elections(self) -> int:
        """Elections this member has begun since it started."""
        return self.counts[StartedElection.__name__]

    def _with_names(self, event: Event) -> Event:
        """The event with names instead of URLs."""
        names: dict[str, Any] = {
            field.name: self._name_of(getattr(event, field.name))
            for field in fields(event)
            if field.name in ("lost_leader", "leader", "to") and getattr(event, field.name) is not None
        }
        return replace(event, **names)
