"""What this node granted: how long its leases can run, and proof of those that run, for when Redis forgets them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from service.clock import steady_s

LEASES_REMEMBERED_MAX = 100_000
_SWEPT_AT_ONCE = 4
"""Leases looked at for each one that is granted: more than one, so that ended ones do not pile up."""


class Rest(NamedTuple):
    """What a hold is beyond token, mode and lease; all 0 for a plain one."""

    holds: int = 0
    """How often a re-entrant hold was taken."""
    permits: int = 0
    limit: int = 0
    hold_left_ms: int = 0
    """For how long it may be renewed yet; 0 = no limit."""


PLAIN = Rest()


class Lease(msgspec.Struct, array_like=True, frozen=True):
    """A hold that runs; `left_ms` is how long yet, counted so that it is never more than Redis would say.

    The last four are those of `Rest`; nodes of older releases send none.
    """

    token: int
    mode: str
    ttl_ms: int
    left_ms: int
    holds: int = 0
    permits: int = 0
    limit: int = 0
    hold_left_ms: int = 0


class _Granted(NamedTuple):
    """Redis counts a lease from a moment between question and answer. What its owner may still claim is reckoned from
    the question, what all others must wait for from the answer."""

    token: int
    mode: str
    ttl_ms: int
    runs_until: float
    ended_at: float
    asked_at: float
    rest: Rest


class Leases:
    """By lock and owner. Times are of service.clock, in seconds: they are compared with nobody's."""

    def __init__(self) -> None:
        self._running: dict[tuple[bytes, bytes], _Granted] = {}
        self._forgotten_end_at = 0.0
        """When all leases have ended that are not told apart any more."""
        self._denied: frozenset[tuple[bytes, int]] = frozenset()

    def __len__(self) -> int:
        return len(self._running)

    def granted(
        self,
        lock: bytes,
        owner: bytes,
        token: int,
        mode: str,
        ttl_ms: int,
        *,
        sent_at: float,
        is_repeat: bool,
        rest: Rest = PLAIN,
    ) -> None:
        """Redis has granted or renewed a lease, asked for at `sent_at`; or, when `is_repeat`, has said so again."""
        ttl_s = ttl_ms / 1000
        now = steady_s()
        if is_repeat:
            # When that lease began is not known here: reckoned with, but no proof.
            self._forget(now + ttl_s)
            return
        running = self._running
        before = running.pop((lock, owner), None)
        if before is not None and before.token == token and before.ended_at > now + ttl_s:
            # Redis may lose this very renewal and show the hold until then: no proof, but only while all others wait.
            self._forget(before.ended_at)
        running[lock, owner] = _Granted(token, mode, ttl_ms, sent_at + ttl_s, now + ttl_s, sent_at, rest)
        for _ in range(_SWEPT_AT_ONCE):
            oldest = next(iter(running))
            ended_at = running[oldest].ended_at
            if ended_at > now:
                if len(running) <= LEASES_REMEMBERED_MAX:
                    return
                self._forget(ended_at)
            del running[oldest]

    def released(self, lock: bytes, owner: bytes) -> None:
        """Redis has ended this owner's hold."""
        self._running.pop((lock, owner), None)

    def counted(self, lock: bytes, owner: bytes, holds: int) -> None:
        """Redis has taken a re-entrant hold back once: so often it is held yet."""
        found = self._running.get((lock, owner))
        if found is not None:
            self._running[lock, owner] = found._replace(rest=found.rest._replace(holds=holds))

    def vouch_no_more(self, lock: bytes, owner: bytes, token: int) -> None:
        """The lease was shortened through another node: it is reckoned with as before, but no proof. A later grant to
        the same owner stays proof: what is said of `token` may come late."""
        found = self._running.get((lock, owner))
        if found is not None and found.token <= token:
            del self._running[lock, owner]
            self._forget(found.ended_at)

    def deny(self, holds: Iterable[tuple[bytes, int]]) -> None:
        """Holds, by lock and token, that an operator ended: no proof any more, whenever they were renewed."""
        self._denied = frozenset(holds)

    def earlier(self, end_at: float) -> None:
        """Leases of an earlier life of this node run until then."""
        self._forget(end_at)

    def running(self, lock: bytes, owner: bytes, token: int) -> Lease | None:
        """The lease, if this node granted or renewed it last and it runs still."""
        found = self._running.get((lock, owner))
        left_ms = int((found.runs_until - steady_s()) * 1000) if found else 0
        if found is None or found.token != token or left_ms <= 0 or (lock, token) in self._denied:
            return None
        rest = found.rest
        if rest.hold_left_ms:
            gone_ms = int((steady_s() - found.asked_at) * 1000) + 1
            rest = rest._replace(hold_left_ms=max(1, rest.hold_left_ms - gone_ms))
        return Lease(found.token, found.mode, found.ttl_ms, left_ms, *rest)

    def end_at(self) -> float:
        """When the last lease that this node granted has ended, at the latest. Looks at all of them: for rare use."""
        return max([self._forgotten_end_at, *(lease.ended_at for lease in self._running.values())])

    def left_ms(self) -> int:
        """How long the last lease can still run, rounded up; 0 when none does."""
        end_at = self.end_at()
        return max(0, int((end_at - steady_s()) * 1000) + 1) if end_at else 0

    def _forget(self, end_at: float) -> None:
        self._forgotten_end_at = max(self._forgotten_end_at, end_at)
