"""Virtual time. Events run in order of time, then of scheduling: nothing else can influence their order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

MS = 1_000
"""One millisecond in the simulator's unit, the microsecond."""


class Scheduler:
    """A heap of callbacks and the clock that jumps from one to the next."""

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._sequence = 0
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    def after(self, delay_us: int, action: Callable[..., None], *args: Any) -> None:
        """Run `action(*args)` once `delay_us` (>= 0) has passed."""
        self._sequence += 1
        heapq.heappush(self._events, (self.now + delay_us, self._sequence, action, args))

    def run_until(self, time_us: int, stop: Callable[[], bool] | None = None) -> bool:
        """Run events up to `time_us`; True as soon as `stop()` holds after one of them."""
        while self._events and self._events[0][0] <= time_us:
            self.now, _, action, args = heapq.heappop(self._events)
            self.steps += 1
            action(*args)
            if stop is not None and stop():
                return True
        self.now = max(self.now, time_us)
        return False
