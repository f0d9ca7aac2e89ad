"""One acquire request for several locks: all of them or none, whatever partitions they live in.

The locks of one partition are granted by one script call, those of several partitions one group after the other
(service/lock/grouping.py). While a later group is awaited, the leases of earlier ones are renewed; whatever ends the
request in vain takes them back at once. What cannot be taken back, because Redis is away, ends with its lease.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.clock import steady_s
from service.decisions.node.leases import PLAIN
from service.error_registry import (
    LockHeld,
    LockHoldersFull,
    LockLost,
    LockQuarantine,
    LockReleased,
    LockWaitersFull,
    RequestIdReused,
)
from service.errors import SimpulError
from service.limits import LOCK_HOLDERS_MAX, LOCK_WAITERS_MAX
from service.lock.calls import read_holders
from service.lock.grouping import Group
from service.lock.in_lines import InLines
from service.lock.parts import Parts, Patience
from service.lock.ticket import Answer, Renewed, Ticket, renewed
from service.lock.wire import AcquireAllRequest, GrantedAll

log = logging.getLogger("simpul.lock")

_OK = b"ok"
_WAITED_FOR = (b"lock_held", b"lock_quarantine")
_ROUNDS_MAX = 3
"""How often all is taken anew when leases ended on the way."""
_RENEWED_AFTER = 1 / 3
"""Of a lease, as clients are told to do it."""


@dataclass
class _Taken:
    """A group whose locks this request holds."""

    group: Group
    tokens: list[int]
    generation: int
    runs_from: float
    """Its leases run from then or from later on (service.clock)."""
    is_repeat: bool


class _Refused(NamedTuple):
    """Which group could not be taken, and why."""

    group: Group
    reply: list[Any]


class Several:
    """Raises what an acquire of one lock raises, LockLost when leases end while the last locks are taken, and
    FieldInvalid."""

    def __init__(self, parts: Parts, request: AcquireAllRequest) -> None:
        self._parts = parts
        self._request = request
        self._ticket = Ticket(parts, request)
        self._taken: list[_Taken] = []
        self._awaited: Group | None = None
        """Asked for, or waited for, and not known to be taken."""
        self._positions: dict[bytes, int] = {}
        """In the lines of a wait that ended in vain."""
        self._waited_s = 0.0

    async def acquire(self, patience: Patience | None) -> GrantedAll:
        """`patience` runs the part that waits."""
        try:
            refused = await self._take_rest()
            if refused is not None and refused.reply[0] in _WAITED_FOR and self._request.timeout > 0:
                waiting = self._wait(refused)
                refused = await (patience(waiting) if patience else waiting)
        except BaseException:
            # Also when the client is gone and the wait was cancelled: what it took must not last as long as its leases.
            await self._take_all_back()
            raise
        if refused is None:
            return self._answer()
        # Grants of an earlier call of this request stay: its client has them, and let go of another one.
        if refused.reply[0] == b"lock_released":
            self._taken = [one for one in self._taken if not one.is_repeat]
        await self._take_all_back()
        raise self._refusal(refused.group, refused.reply)

    # Taking

    async def _take_rest(self) -> _Refused | None:
        """All groups that are not taken yet, and those that were lost on the way."""
        for _ in range(_ROUNDS_MAX):
            for group in self._ticket.groups[len(self._taken) :]:
                self._awaited = group
                answer = await self._ticket.acquire(group)
                if answer.reply[0] != _OK:
                    self._awaited = None
                    return _Refused(group, answer.reply)
                await self._note(group, answer)
            if not self._is_in_doubt() or await self._hold_on():
                return None
            lost = self._taken[0]
            await self._take_all_back()
        raise LockLost(owner=self._request.owner, resource=lost.group.resources[0], token=lost.tokens[0])

    async def _note(self, group: Group, answer: Answer) -> None:
        """Raises NoDelegation or LeaseNotCovered when Redis took longer than this node may speak for."""
        _, is_repeat, *tokens = answer.reply
        taken = _Taken(group, tokens, answer.generation, answer.sent_at, bool(is_repeat))
        self._taken.append(taken)
        self._awaited = None
        await self._ticket.cover()
        self._vouch(taken, [Renewed(self._request.ttl_ms, self._request.mode, PLAIN)] * len(tokens))

    def _vouch(self, taken: _Taken, leases: list[Renewed]) -> None:
        for place, token, lease in zip(taken.group.places, taken.tokens, leases, strict=True):
            self._parts.leases.granted(
                place.lock,
                self._ticket.owner,
                token,
                lease.mode,
                lease.ttl_ms,
                sent_at=taken.runs_from,
                is_repeat=taken.is_repeat,
                rest=lease.rest,
            )

    # Holding what is taken

    def _is_in_doubt(self) -> bool:
        """Whether something may have ended what was taken first: a loss of data, time, another call of this request."""
        taken, generation = self._taken, self._parts.scripts.generation
        if any(one.generation != generation for one in taken):
            return True
        may_have_ended = self._waited_s > 0 or any(one.is_repeat for one in taken) or self._renewal_in_s() <= 0
        return len(taken) > 1 and may_have_ended

    def _renewal_in_s(self) -> float:
        runs_from = min(one.runs_from for one in self._taken)
        return runs_from + self._request.ttl_ms / 1000 * _RENEWED_AFTER - steady_s()

    async def _hold_on(self) -> bool:
        """Renew all that is taken, which also shows that it is held. False when something is not any more."""
        scripts = self._parts.scripts
        while True:
            generation, sent_at = scripts.generation, steady_s()
            await self._ticket.cover()
            replies = await asyncio.gather(*(self._ticket.renew(one.group, one.tokens) for one in self._taken))
            if any(reply[0] != _OK for reply in replies):
                return False
            if scripts.generation == generation:
                break
        for one, reply in zip(self._taken, replies, strict=True):
            one.generation, one.runs_from, one.is_repeat = generation, sent_at, False
            self._vouch(one, renewed(reply))
        return True

    # Waiting

    async def _wait(self, refused: _Refused) -> _Refused | None:
        loop, started = asyncio.get_running_loop(), steady_s()
        deadline = loop.time() + self._request.timeout
        awaited: _Refused | None = refused
        while awaited is not None and awaited.reply[0] in _WAITED_FOR and loop.time() < deadline:
            group = awaited.group
            answer = await self._stand_in_lines(group, deadline)
            self._waited_s = steady_s() - started
            if answer is not None and answer.reply[0] != _OK:
                return _Refused(group, answer.reply)
            if answer is not None:
                await self._note(group, answer)
            awaited = await self._take_rest()
        return awaited

    async def _stand_in_lines(self, group: Group, deadline: float) -> Answer | None:
        """None at the deadline, or when an earlier group was lost meanwhile: then all has been taken back."""
        loop = asyncio.get_running_loop()
        lines = InLines(self._parts, self._ticket, group, deadline)
        self._awaited = group
        is_held, answer = True, None
        try:
            while is_held and answer is None and loop.time() < deadline:
                until = min(deadline, loop.time() + self._renewal_in_s()) if self._taken else deadline
                answer = await lines.answered(until)
                if self._taken and self._renewal_in_s() <= 0:
                    is_held = await self._hold_on()
        finally:
            # A retry that waits on this node, too, has the places now.
            if not lines.leave(in_vain=answer is None or not is_held):
                self._awaited = None
        if not is_held:
            await self._take_all_back()
            return None
        if answer is None and self._awaited is not None:
            await self._take_back(group)
        return answer

    # Taking back

    async def _take_all_back(self) -> None:
        taken, awaited = self._taken, self._awaited
        self._taken, self._awaited = [], None
        groups = [one.group for one in taken]
        ours = await asyncio.gather(*(self._take_back(group) for group in [*groups, *([awaited] if awaited else [])]))
        for group, is_ours in zip(groups, ours, strict=False):
            for place in group.places if is_ours else ():
                self._parts.leases.released(place.lock, self._ticket.owner)

    async def _take_back(self, group: Group) -> bool:
        """False when there was nothing of this caller, or when Redis is away: then it ends with its lease."""
        try:
            _, is_ours, more, *positions = await self._ticket.take_back(group)
        except SimpulError as error:
            log.info("%s of %s: not taken back, and ends by itself: %s", group.resources, self._request.owner, error)
            return False
        for place, position in zip(group.places, positions, strict=True):
            if position:
                self._positions[place.name] = position
            if more:
                self._parts.waiting.hand_over_more(place)
        return bool(is_ours)

    # Answers

    def _answer(self) -> GrantedAll:
        request, ttl_ms = self._request, self._request.ttl_ms
        tokens = {
            place.name.decode(): token
            for one in self._taken
            for place, token in zip(one.group.places, one.tokens, strict=True)
        }
        if len(self._taken) > 1:
            spent_ms = (steady_s() - min(one.runs_from for one in self._taken)) * 1000
            ttl_ms = max(0, int(ttl_ms - spent_ms))
        return GrantedAll(
            resources=request.resources,
            tokens={resource: tokens[resource] for resource in request.resources},
            owner=request.owner,
            mode=request.mode,
            ttl_ms=ttl_ms,
            waited_ms=round(self._waited_s * 1000),
        )

    def _refusal(self, group: Group, reply: list[Any]) -> SimpulError:
        code = reply[0]
        if code == b"lock_held":
            return self._held(group, reply)
        if code == b"lock_quarantine":
            return LockQuarantine(resource=group.resources[0], left_ms=reply[1], holders=[])
        if code == b"lock_released":
            return LockReleased(resource=group.resources[reply[2] - 1], token=int(reply[1]))
        if code == b"lock_holders_full":
            return LockHoldersFull(resource=group.resources[reply[1] - 1], limit=LOCK_HOLDERS_MAX)
        if code == b"lock_waiters_full":
            return LockWaitersFull(limit=LOCK_WAITERS_MAX, where=f"for {group.resources[reply[1] - 1]}")
        return RequestIdReused(request_id=self._request.request_id)

    def _held(self, group: Group, reply: list[Any]) -> LockHeld:
        code, number, *about = reply
        found, place = read_holders([code, *about]), group.places[number - 1]
        error = LockHeld(
            resource=place.name.decode(),
            held_mode=about[0].decode() or None,
            holder_count=about[1],
            holders=found.holders,
            waiters=found.waiting[0],
        )
        if found.limit:
            error.fields["limit"] = found.limit
        if place.name in self._positions:
            error.fields["position"] = self._positions[place.name]
        return error
