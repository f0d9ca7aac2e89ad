"""What the leader knows of one follower (§5.3 nextIndex and matchIndex), and how fast it may send.

    PROBE      one request at a time, to find where the logs agree
    REPLICATE  optimistic: `next` advances when a request is sent, within a window
    SNAPSHOT   silent until the snapshot is installed, lost or overdue

The invariant 0 <= match < next holds between any two calls.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum


class Mode(Enum):
    """How entries travel to one follower."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


@dataclass(slots=True)
class Progress:
    """One follower's replication state, owned by the leader of the current term and thrown away with it."""

    next: int
    match: int = 0
    mode: Mode = Mode.PROBE
    probing: bool = False
    """A probe is out and unanswered; the next heartbeat reply permits another, in case it was lost."""
    inflight: deque[int] = field(default_factory=deque)
    """Last index of each unacknowledged request, ascending."""
    snapshot_index: int = 0
    """In SNAPSHOT mode, the index of the snapshot sent."""
    snapshot_ticks: int = 0
    silent_ticks: int = 0
    """Ticks since anything of this term came from the follower."""
    commit_sent: int = 0
    """The commit index it was last told."""
    read_round: int = 0
    """The highest heartbeat round it has confirmed (thesis §6.4)."""
    owed: bool = True
    """An append is due even if it is empty: a probe, or a check that optimistic requests arrived."""

    def may_send(self, window: int) -> bool:
        """False while flow control holds entries back; heartbeats go regardless."""
        if self.mode is Mode.PROBE:
            return not self.probing
        return self.mode is Mode.REPLICATE and len(self.inflight) < window

    def sent(self, last_index: int, entries: int) -> None:
        """An append ending at `last_index` with this many entries has left."""
        self.owed = False
        if self.mode is Mode.PROBE:
            self.probing = True
        elif entries:
            self.next = last_index + 1
            self.inflight.append(last_index)

    def acknowledged(self, match: int) -> bool:
        """The follower holds the log up to `match`; True if that is news. An old or repeated ack is not."""
        while self.inflight and self.inflight[0] <= match:
            self.inflight.popleft()
        if match < self.match:
            return False
        advanced = match > self.match
        self.match = match
        self.next = max(self.next, match + 1)
        if self.mode is Mode.PROBE or (self.mode is Mode.SNAPSHOT and match >= self.snapshot_index):
            self.replicate()
        return advanced

    def refused(self, rejected_index: int, retry_next: int) -> bool:
        """The follower refused a request at `rejected_index`; True if it was not stale.

        A refusal of a request that later ones have overtaken says nothing: the follower has moved on, and
        obeying it would make `next` fall to or below `match`.
        """
        if self.mode is Mode.SNAPSHOT:
            return False
        if self.mode is Mode.REPLICATE:
            if rejected_index <= self.match:
                return False
            self.probe(self.match + 1)
            return True
        if rejected_index != self.next - 1:
            return False
        self.probe(max(self.match + 1, min(rejected_index, retry_next)))
        return True

    def probe(self, next_index: int) -> None:
        """Forget what is in flight and look for agreement from `next_index`."""
        self.mode = Mode.PROBE
        self.next = next_index
        self.probing = False
        self.owed = True
        self.inflight.clear()

    def replicate(self) -> None:
        """The logs agree at `match`: send ahead from there."""
        self.mode = Mode.REPLICATE
        self.next = self.match + 1
        self.probing = False

    def await_snapshot(self, index: int) -> None:
        """A snapshot of `index` has left; nothing else helps this follower until it is installed."""
        self.mode = Mode.SNAPSHOT
        self.snapshot_index = index
        self.snapshot_ticks = 0
        self.owed = False
        self.inflight.clear()

    def heard_heartbeat(self) -> None:
        """The follower answers, so a silent request was lost rather than slow: permit one more."""
        self.probing = False
        if self.inflight:
            # Without this a window full of lost requests would never move again.
            self.inflight.popleft()
