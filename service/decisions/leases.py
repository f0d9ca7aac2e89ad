"""What this node granted: how long its last lease can run, and proof of those that run, for when Redis forgets them."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

import msgspec

LEASES_REMEMBERED_MAX = 100_000
_SWEPT_AT_ONCE = 4
"""Leases looked at for each one that is granted: more than one, so that ended ones do not pile up."""


class Lease(msgspec.Struct, array_like=True, frozen=True):
    """A hold that runs; `left_ms` is how long yet, counted so that it is never more than Redis would say."""

    token: int
    mode: str
    ttl_ms: int
    left_ms: int


class _Granted(NamedTuple):
    token: int
    mode: str
    ttl_ms: int
    ends_at: float


class Leases:
    """By lock and owner. Times are of this process's monotonic clock, in seconds: they are compared with nobody's."""

    def __init__(self) -> None:
        self.ends_at = 0.0
        """When the last lease that this node granted has ended, at the latest."""
        self._running: dict[tuple[bytes, bytes], _Granted] = {}

    def __len__(self) -> int:
        return len(self._running)

    def granted(
        self, lock: bytes, owner: bytes, token: int, mode: str, ttl_ms: int, *, sent_at: float, is_repeat: bool
    ) -> None:
        """Redis has granted or renewed a lease, asked for at `sent_at`; or, when `is_repeat`, has said so again."""
        ttl_s = ttl_ms / 1000
        # Redis counted from a moment between the question and the answer. What others must wait for is reckoned from
        # the answer, what this owner may still claim from the question.
        self.ends_at = max(self.ends_at, monotonic() + ttl_s)
        if is_repeat:
            return  # when that lease began is not known here
        running = self._running
        running.pop((lock, owner), None)
        running[lock, owner] = _Granted(token, mode, ttl_ms, sent_at + ttl_s)
        for _ in range(_SWEPT_AT_ONCE):
            oldest = next(iter(running))
            if running[oldest].ends_at > sent_at and len(running) <= LEASES_REMEMBERED_MAX:
                return
            del running[oldest]
            if not running:
                return

    def released(self, lock: bytes, owner: bytes) -> None:
        self._running.pop((lock, owner), None)

    def running(self, lock: bytes, owner: bytes, token: int) -> Lease | None:
        """The lease, if this node granted or renewed it last and it runs still."""
        found = self._running.get((lock, owner))
        left_ms = int((found.ends_at - monotonic()) * 1000) if found else 0
        if found is None or found.token != token or left_ms <= 0:
            return None
        return Lease(found.token, found.mode, found.ttl_ms, left_ms)

    def left_ms(self) -> int:
        """How long the last lease can still run, rounded up; 0 when none does."""
        return max(0, int((self.ends_at - monotonic()) * 1000) + 1) if self.ends_at else 0
