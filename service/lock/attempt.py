"""One acquire request: it is tried, stands in line if it waits, and takes what it is handed."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from msgspec import UNSET

from service.clock import steady_s
from service.decisions.node.leases import Rest
from service.error_registry import (
    LimitMismatch,
    LockHeld,
    LockHoldersFull,
    LockQuarantine,
    LockReleased,
    LockWaitersFull,
    NodeStopping,
    RequestIdReused,
    ScriptAbsent,
)
from service.errors import SimpulError
from service.limits import LOCK_HOLDERS_MAX, LOCK_WAITERS_MAX
from service.lock.asked import rest_of, settle
from service.lock.calls import ACQUIRE, CONFIRM, GIVE_BACK, RELEASE, RENEW, WAIT, WITHDRAW, Place, read_holders
from service.lock.parts import Parts
from service.lock.waiting import SESSION_MS
from service.lock.wire import AcquireRequest, Granted, Released
from service.names import RequestIdentity, encode_name

_OK = b"ok"
_AGAIN_AT, _HOLDS_AT, _WAS_PLAIN_AT = 3, 4, 7
"""Where a grant says that it is a repeat, and what it says of a re-entrant hold."""


class Attempt:
    """Replies are those of lock.acquire and lock.confirm: `ok token ttl_ms [again …]`, or a refusal.

    Raises FieldInvalid, FieldMissing, PayloadTooLarge for what no acquire can ask for.
    """

    def __init__(self, parts: Parts, request: AcquireRequest) -> None:
        self.request = request
        self._mode, self._detail = settle(request)
        self.place = place = Place(parts.keys, request.resource)
        self._parts = parts
        self._owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.acquire", request, request.request_id)
        self._fingerprint = identity.fingerprint
        self._outcome = place.partition.outcome + identity.key_suffix
        self._position = 0
        self._waiter = b""

    async def run(self) -> list[Any]:
        """Raises NoDelegation, LeaseNotCovered, or what the store raises."""
        parts, request, place = self._parts, self.request, self.place
        if not parts.delegation.covers(request.ttl_ms):
            await parts.delegation.obtain(request.ttl_ms)
        generation, sent_at = parts.scripts.generation, steady_s()
        of = place.partition
        reply = await parts.scripts.call(
            ACQUIRE,
            of,
            (
                self._outcome,
                of.tokens,
                place.lock,
                place.readers,
                place.reader_holds,
                of.quarantine,
                place.waiters,
                of.lock_events,
            ),
            (self._fingerprint, parts.keep_ms, self._owner, self._mode, request.ttl_ms, self._detail),
        )
        if reply[0] == _OK and not await self._can_be_answered(reply, generation, sent_at):
            return await self.run()
        return reply

    async def run_past_the_dead(self) -> list[Any]:
        """As `run`, but a line in which only the waiters of dead nodes stand keeps nobody out."""
        reply = await self.run()
        if reply[0] != b"lock_held" or not _waiters(reply) or not self._is_kept_out_by_the_line(reply):
            return reply
        return reply if await self._parts.waiting.hand_over(self.place) else await self.run()

    def _is_kept_out_by_the_line(self, reply: list[Any]) -> bool:
        return not reply[1] or (reply[1] == b"shared" and self._mode == "shared")

    # Waiting

    async def wait(self, refused: list[Any]) -> list[Any]:
        """Stand in line until it is granted, or for `timeout` seconds. Cancelling it gives the place up, or what was
        granted. `refused` is what the first try heard: the answer where the active script set knows no lines.

        Raises LockDeadlock, LockWaitersFull, NodeStopping, and what `run` raises.
        """
        self._deadline = asyncio.get_running_loop().time() + self.request.timeout
        self._waiter = self._waiter_id()
        self._parked = self._parts.waiting.park((self.place,), self._waiter, self._owner, self._stand_in_line)
        turn = _Turn()
        try:
            reply = await self._until_granted(turn)
        except asyncio.CancelledError:
            if self._parts.waiting.leave(self._parked):
                self._parts.waiting.finish(self._give_up(turn.token))
            raise
        except BaseException as error:
            if self._parts.waiting.leave(self._parked):
                await self._give_up(turn.token)
            if isinstance(error, ScriptAbsent):
                return refused
            raise
        is_last = self._parts.waiting.leave(self._parked)
        if reply is not None:
            return reply
        if is_last:
            await self._give_up(None)
        return await self.run()

    async def _until_granted(self, turn: _Turn) -> list[Any] | None:
        """None at the deadline."""
        loop, parked = asyncio.get_running_loop(), self._parked
        await self._stand_in_line()
        while True:
            await asyncio.wait([parked.granted], timeout=max(0.0, self._deadline - loop.time()))
            if not parked.granted.done():
                return None
            turn.token = parked.granted.result()
            reply = await self._confirm(turn.token)
            if reply[0] != b"lock_lost":
                return reply
            turn.token = None
            parked.again()
            if self._parts.waiting.is_closed:
                raise NodeStopping(resource=self.request.resource)
            await self._stand_in_line()

    def _waiter_id(self) -> bytes:
        """The same for a retry, through whatever node it comes."""
        if self.request.request_id is None:
            return secrets.token_hex(8).encode()
        name = self.place.name + b"\n" + self.request.request_id.encode()
        return blake2b(name, digest_size=16).hexdigest().encode()

    async def _stand_in_line(self) -> None:
        """Or take up the place it has. What comes of it is told to the parked request. Raises what the store raises."""
        parts, request, parked, of = self._parts, self.request, self._parked, self.place.partition
        left_ms = max(1, round((self._deadline - asyncio.get_running_loop().time()) * 1000))
        reply = await parts.scripts.call(
            WAIT,
            of,
            (self._outcome, *self.place.line_keys, of.quarantine),
            (
                self._fingerprint,
                self._owner,
                self._mode,
                request.ttl_ms,
                parked.waiter,
                parts.waiting.session,
                SESSION_MS,
                left_ms,
                parts.keys.wake_channel,
                self._detail,
            ),
        )
        if reply[0] != _OK:
            parked.refuse(self.refusal(reply))
            return
        _, position, _, blocked_ms, token, more = reply
        if position:
            parts.waiting.stands(parked, (position,))
            parts.waiting.expect(self.place.lock, blocked_ms)
        else:
            parked.is_queued = True
            parked.grant(int(token))
        if more:
            parts.waiting.hand_over_more(self.place)

    async def _confirm(self, token: int) -> list[Any]:
        """Take what was handed over. `lock_lost` when it has passed on meanwhile."""
        parts, request, of = self._parts, self.request, self.place.partition
        if not parts.delegation.covers(request.ttl_ms):
            await parts.delegation.obtain(request.ttl_ms)
        generation, sent_at = parts.scripts.generation, steady_s()
        _, *hold_keys, waiters, info, _, granted = self.place.line_keys
        reply = await parts.scripts.call(
            CONFIRM,
            of,
            (self._outcome, *hold_keys, waiters, info, granted, of.lock_events),
            (
                self._fingerprint,
                parts.keep_ms,
                self._owner,
                token,
                request.ttl_ms,
                self._parked.waiter,
                parts.keys.wake_channel,
            ),
        )
        if reply[0] == _OK and not await self._can_be_answered(reply, generation, sent_at):
            return [b"lock_lost"]
        return reply

    async def _give_up(self, token: int | None) -> None:
        """Leave the line; `token`: of a grant that may have been confirmed already. If Redis is away, the place ends
        with this node's session, and the grant after its lease."""
        parts, of = self._parts, self.place.partition
        with contextlib.suppress(SimpulError):
            reply = await parts.scripts.call(
                WITHDRAW,
                of,
                (of.quarantine, *self.place.line_keys),
                (self._parked.waiter, parts.waiting.session, self._owner, parts.keys.wake_channel),
            )
            _, self._position, more = reply
            if more:
                parts.waiting.hand_over_more(self.place)
            if token is not None:
                await self._give_back(token)

    # Grants

    async def _can_be_answered(self, reply: list[Any], generation: int, sent_at: float) -> bool:
        """Whether the hold in an ok reply still counts; then this node vouches for it. Raises NoDelegation or
        LeaseNotCovered when it may not."""
        parts, request = self._parts, self.request
        token, ttl_ms = reply[1], reply[2]
        if parts.scripts.generation != generation and not await self._is_still_held(token):
            return False
        await self._vouch_or_give_back(token, ttl_ms)
        rest = rest_of(request)
        if len(reply) > _HOLDS_AT:
            holds, permits, hold_left_ms = reply[_HOLDS_AT:_WAS_PLAIN_AT]
            rest = Rest(holds, permits, rest.limit, hold_left_ms)
            if reply[_WAS_PLAIN_AT]:
                await parts.witnesses.vouch_alone(self.place.lock, self._owner, token)
        parts.leases.granted(
            self.place.lock,
            self._owner,
            token,
            self._mode,
            ttl_ms,
            sent_at=sent_at,
            is_repeat=len(reply) > _AGAIN_AT and reply[_AGAIN_AT] == 1,
            rest=rest,
        )
        return True

    async def _is_still_held(self, token: int) -> bool:
        """A generation began while Redis worked, and this node has told the leader what it granted before: a grant that
        was not among it counts only if Redis has it under the new generation, too."""
        scripts, of = self._parts.scripts, self.place.partition
        while True:
            generation = scripts.generation
            keys = (of.outcome, *self.place.hold_keys, of.quarantine, of.lock_events)
            reply = await scripts.call(RENEW, of, keys, (b"", 0, self._owner, token, b""))
            if reply[0] != _OK or scripts.generation == generation:
                return bool(reply[0] == _OK)

    async def _vouch_or_give_back(self, token: int, ttl_ms: int) -> None:
        """Raises NoDelegation or LeaseNotCovered when Redis took longer than this node may speak for: the others reckon
        with no such lease of it."""
        delegation = self._parts.delegation
        if delegation.covers(ttl_ms):
            return
        try:
            await delegation.obtain(ttl_ms)
        except SimpulError:
            # If this fails, too, the lock is held in vain until its lease ends; nobody believes to have it.
            with contextlib.suppress(SimpulError):
                await self._give_back(token)
            raise

    async def _give_back(self, token: int) -> None:
        """Unless a repeat of this request, through whatever node, was told of the grant meanwhile."""
        parts, of = self._parts, self.place.partition
        keys = (of.outcome, *self.place.line_keys, of.lock_events)
        if not parts.scripts.has(GIVE_BACK):
            # The active scripts are those of a release that kept no note of repeats.
            once = (b"", 0, self._owner, token)
            reply = await parts.scripts.call(RELEASE, of, keys, (*once, parts.keys.wake_channel, b""))
            if reply[0] == _OK:
                released(parts, self.place, self._owner, reply)
            return
        args = (self._fingerprint, self._owner, token, self._waiter, parts.keys.wake_channel)
        _, is_given_back, *rest = await parts.scripts.call(GIVE_BACK, of, (self._outcome, *keys[1:]), args)
        if is_given_back:
            released(parts, self.place, self._owner, [_OK, *rest])

    # Answers

    def granted(self, reply: list[Any], *, waited_s: float = 0.0) -> Granted:
        request = self.request
        granted = Granted(
            resource=request.resource,
            owner=request.owner,
            mode=self._mode,
            token=reply[1],
            ttl_ms=reply[2],
            waited_ms=round(waited_s * 1000),
        )
        if request.reentrant:
            granted.holds = reply[_HOLDS_AT] if len(reply) > _HOLDS_AT else 1
        if request.limit is not UNSET:
            granted.limit, granted.permits = request.limit, request.permits or 1
        return granted

    def refusal(self, reply: list[Any]) -> SimpulError:
        request, code = self.request, reply[0]
        if code == b"lock_held":
            found = read_holders(reply)
            error = LockHeld(
                resource=request.resource,
                held_mode=reply[1].decode() or None,
                holder_count=reply[2],
                holders=found.holders,
                waiters=_waiters(reply),
            )
            if found.limit:
                error.fields["limit"] = found.limit
            if self._position:
                error.fields["position"] = self._position
            return error
        resource = request.resource
        make: dict[bytes, Callable[[], SimpulError]] = {
            b"lock_quarantine": lambda: LockQuarantine(resource=resource, left_ms=reply[1], holders=[]),
            b"limit_mismatch": lambda: LimitMismatch(resource=resource, limit=reply[1]),
            b"lock_released": lambda: LockReleased(resource=resource, token=int(reply[1])),
            b"lock_holders_full": lambda: LockHoldersFull(resource=resource, limit=LOCK_HOLDERS_MAX),
            b"lock_waiters_full": lambda: LockWaitersFull(limit=LOCK_WAITERS_MAX, where=f"for {resource}"),
        }
        return make.get(code, lambda: RequestIdReused(request_id=request.request_id))()


class _Turn:
    """What a wait that ends early must give back."""

    token: int | None = None


def _waiters(reply: list[Any]) -> int:
    waiting = read_holders(reply).waiting
    return int(waiting[0]) if waiting else 0


def released(parts: Parts, place: Place, owner: bytes, reply: list[Any]) -> Released:
    """What follows from an `ok [more holds]` of lock.release."""
    more, holds = reply[1] if len(reply) > 1 else 0, reply[2] if len(reply) > 2 else UNSET
    if holds:
        parts.leases.counted(place.lock, owner, holds)
    else:
        parts.leases.released(place.lock, owner)
    if more:
        parts.waiting.hand_over_more(place)
    return Released(holds=holds)
