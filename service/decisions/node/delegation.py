"""Whether this node may grant leases now, and how long ones: what lets the others reckon with it when it is silent.

A node grants for `delegation_ms` after its last report that a leader answered, and no lease longer than it has
announced (`CoverLeases`). So leases of a node that nobody hears have all ended delegation + announced length after it
was heard last, whatever became of it.
"""

from __future__ import annotations

from service import background
from service.clock import steady_s
from service.decisions.decide import Decisions
from service.decisions.node.leases import Leases
from service.decisions.replicated.commands import CoverLeases
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import DecisionUnknown, LeaseNotCovered, NoDelegation, NotCommitted
from service.limits import LEASE_MS_MAX

_STEPS_MS = (60_000, 10 * 60_000, 60 * 60_000, LEASE_MS_MAX)
"""Announced in few, wide steps: each is a decision of the cluster, and makes the quarantine longer that a silent node
causes."""
ANNOUNCE_TIMEOUT_S = 2.0
FIRST_WORD_S = 5.0
"""How long a node that starts waits for the first word of a leader before it serves what needs none."""
_ANNOUNCED_AT_MOST = 2
"""Once more, should a shorter announcement that was under way have come first."""


class Delegation:
    def __init__(
        self, me: str, machine: DecisionMachine, decisions: Decisions, leases: Leases, *, usual_ms: int
    ) -> None:
        """`usual_ms`: the length that is announced for good; longer ones are as long as one runs."""
        self._me = me
        self._usual_ms = usual_ms
        self._steps_ms = (usual_ms, *(step_ms for step_ms in _STEPS_MS if step_ms > usual_ms))
        self._machine = machine
        self._decisions = decisions
        self._leases = leases
        self._heard_at = self._started_at = steady_s()
        self._was_extended = False
        self._is_lowering = False
        self.ends_at = 0.0
        """of service.clock: nothing is granted after it."""

    def extend(self, sent_at: float, delegation_ms: int) -> None:
        """A leader answered the report sent at `sent_at`."""
        self._heard_at = max(self._heard_at, sent_at)
        self._was_extended = self._was_extended or delegation_ms > 0
        self.ends_at = max(self.ends_at, sent_at + delegation_ms / 1000)

    @property
    def is_awaited(self) -> bool:
        """The node has just started and may not grant yet, but is about to: to be ready now would mean refusals."""
        return not self._was_extended and steady_s() < self._started_at + FIRST_WORD_S

    def covers(self, ttl_ms: int) -> bool:
        """The hot path's question: True when `obtain` would return at once."""
        return steady_s() <= self.ends_at and ttl_ms <= self._announced_ms()

    def left_s(self) -> float:
        """How long this node may grant locks yet, should no leader answer any more."""
        return max(0.0, self.ends_at - steady_s())

    def check(self) -> None:
        """Raises NoDelegation."""
        now = steady_s()
        if now > self.ends_at:
            raise NoDelegation(silent_ms=round((now - self._heard_at) * 1000))

    async def obtain(self, ttl_ms: int) -> None:
        """Announce leases of this length, unless they are. Raises LeaseNotCovered, NoDelegation."""
        self.check()
        for _ in range(_ANNOUNCED_AT_MOST):
            if ttl_ms > self._announced_ms():
                await self._announce(next(step_ms for step_ms in self._steps_ms if step_ms >= ttl_ms))
        if ttl_ms > self._announced_ms():
            raise LeaseNotCovered(ttl_ms=ttl_ms, cap_ms=self._announced_ms(), reason="no leader decided it in time")
        self.check()

    def lower_if_due(self) -> None:
        """Take an announcement back once nothing that runs needs it, so that a crash of this node costs less."""
        state = self._machine.state
        is_high = self._me in state.nodes and state.cover(self._me).lease_ms > self._usual_ms
        if is_high and not self._is_lowering and self._leases.left_ms() <= self._usual_ms:
            background.finite(self._lower(), "announcing shorter leases")

    async def _lower(self) -> None:
        # From now on, not from when it is decided: what is granted in between must be covered as well.
        self._is_lowering = True
        try:
            await self._announce(self._usual_ms)
        finally:
            self._is_lowering = False

    def _announced_ms(self) -> int:
        announced_ms = self._machine.state.cover(self._me).lease_ms
        return min(self._usual_ms, announced_ms) if self._is_lowering else announced_ms

    async def _announce(self, lease_ms: int) -> None:
        known = self._machine.state.cover(self._me).index
        try:
            await self._decisions.propose(CoverLeases(self._me, known, lease_ms), timeout_s=ANNOUNCE_TIMEOUT_S)
            if self._machine.state.cover(self._me).index == known:
                # Decided, or overtaken by another, where this node has not come to yet: what the leader said arrives
                # before its log does when the way between them loses packets.
                await self._decisions.confirm_read(ANNOUNCE_TIMEOUT_S)
        except (NotCommitted, DecisionUnknown):
            return  # the caller looks at what is decided
