"""A hold changes its mode: a reader becomes the writer, once the other readers are gone, or a writer a reader."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from service.clock import steady_s
from service.decisions.node.leases import Rest
from service.error_registry import (
    LockDeadlock,
    LockHeld,
    LockHoldExceeded,
    LockLost,
    LockModeMismatch,
    LockNotHeld,
    LockQuarantine,
    LockReleased,
    RequestIdReused,
    TokenStale,
)
from service.errors import SimpulError
from service.lock.calls import DOWNGRADE, RENEW, UPGRADE, WITHDRAW, Place, read_holders
from service.lock.parts import Parts, Patience
from service.lock.waiting import SESSION_MS
from service.lock.wire import Downgraded, DowngradeRequest, Mode, Upgraded, UpgradeRequest
from service.names import RequestIdentity, encode_name

_OK, _WAITS = b"ok", b"lock_held"


class Change:
    """What both have in common."""

    def __init__(self, parts: Parts, operation: str, request: UpgradeRequest | DowngradeRequest) -> None:
        self.place = place = Place(parts.keys, request.resource)
        self.owner = encode_name("owner", request.owner)
        self.parts = parts
        self._request = request
        identity = RequestIdentity(operation, request, request.request_id)
        self.once = identity.fingerprint, parts.keep_ms, self.owner, request.token
        of = place.partition
        self.keys = (of.outcome + identity.key_suffix, *place.line_keys, of.quarantine, of.lock_events)

    async def vouch(self, token: int, mode: Mode, ttl_ms: int, rest: Rest, sent_at: float, *, is_repeat: bool) -> None:
        """Raises NoDelegation or LeaseNotCovered: then nobody was told of the change, and others reckon with no such
        lease."""
        parts = self.parts
        if not parts.delegation.covers(ttl_ms):
            await parts.delegation.obtain(ttl_ms)
        parts.leases.granted(
            self.place.lock, self.owner, token, mode, ttl_ms, sent_at=sent_at, is_repeat=is_repeat, rest=rest
        )

    async def check_generation(self, generation: int, token: int) -> None:
        """A generation began while Redis worked: only what Redis has under the new one counts. Raises LockLost."""
        scripts, of = self.parts.scripts, self.place.partition
        while scripts.generation != generation:
            generation = scripts.generation
            keys = (of.outcome, *self.place.hold_keys, of.quarantine, of.lock_events)
            reply = await scripts.call(RENEW, of, keys, (b"", 0, self.owner, token, b""))
            if reply[0] != _OK:
                raise LockLost(owner=self._request.owner, resource=self._request.resource, token=token)

    def refusal(self, reply: list[Any], needed: Mode) -> SimpulError:
        request = self._request
        code, about, *_ = (*reply, b"")
        who: dict[str, Any] = {"resource": request.resource, "owner": request.owner}
        make: dict[Any, Callable[[], SimpulError]] = {
            b"lock_not_held": lambda: LockNotHeld(**who),
            b"token_stale": lambda: TokenStale(**who, token=request.token),
            b"lock_mode_mismatch": lambda: LockModeMismatch(**who, held_mode=about.decode(), needed_mode=needed),
            b"lock_hold_exceeded": lambda: LockHoldExceeded(**who, left_ms=max(0, about)),
            b"lock_quarantine": lambda: LockQuarantine(resource=request.resource, left_ms=about, holders=[]),
            b"lock_released": lambda: LockReleased(resource=request.resource, token=int(about)),
            b"lock_deadlock": lambda: LockDeadlock(**who, length=2, cycle=self._two_upgrades(about.decode())),
        }
        return make.get(code, lambda: RequestIdReused(request_id=request.request_id))()

    def _two_upgrades(self, other: str) -> list[dict[str, Any]]:
        """Each waits for the other's shared hold to end, of which only this one's token is known here."""
        request = self._request
        how = {"waits_for": request.resource, "mode": "upgrade", "held_mode": "shared"}
        return [
            {"owner": request.owner, **how, "held_by": other},
            {"owner": other, **how, "held_by": request.owner, "token": request.token},
        ]


async def downgrade(parts: Parts, request: DowngradeRequest) -> Downgraded:
    change = Change(parts, "lock.downgrade", request)
    parts.delegation.check()
    generation, sent_at = parts.scripts.generation, steady_s()
    arguments = (*change.once, parts.keys.wake_channel)
    reply = await parts.scripts.call(DOWNGRADE, change.place.partition, change.keys, arguments)
    if reply[0] != _OK:
        raise change.refusal(reply, "exclusive")
    _, ttl_ms, again, holds, hold_left_ms, more = reply
    if more:
        parts.waiting.hand_over_more(change.place)
    await change.check_generation(generation, request.token)
    # Another node may remember an exclusive hold with this token, which would stand against the readers of now.
    await parts.witnesses.vouch_alone(change.place.lock, change.owner, request.token)
    rest = Rest(holds=holds, hold_left_ms=hold_left_ms)
    await change.vouch(request.token, "shared", ttl_ms, rest, sent_at, is_repeat=bool(again))
    return Downgraded(resource=request.resource, owner=request.owner, token=request.token, ttl_ms=ttl_ms)


class Upgrade:
    """One request; it may wait, parked on this node, with the first place in the line."""

    def __init__(self, parts: Parts, request: UpgradeRequest) -> None:
        self._parts = parts
        self._request = request
        self._change = Change(parts, "lock.upgrade", request)
        self._waiter = self._waiter_id()
        self._answer: list[Any] = []
        self._asked_at = (0, 0.0)
        self._deadline = 0.0
        self._started = steady_s()

    async def run(self, patience: Patience | None) -> Upgraded:
        answer = await self._ask(0)
        if answer[0] == _WAITS and self._request.timeout > 0:
            waiting = self._wait()
            answer = await (patience(waiting) if patience else waiting)
        if answer[0] != _OK:
            raise self._refusal(answer)
        return await self._answered(answer)

    def _waiter_id(self) -> bytes:
        """The same for a retry, through whatever node it comes."""
        if self._request.request_id is None:
            return secrets.token_hex(8).encode()
        name = b"upgrade\n" + self._change.place.name + b"\n" + self._request.request_id.encode()
        return blake2b(name, digest_size=16).hexdigest().encode()

    async def _ask(self, wait_ms: int) -> list[Any]:
        """Raises NoDelegation, LeaseNotCovered, or what the store raises."""
        parts, request, change = self._parts, self._request, self._change
        if request.ttl_ms is None:
            parts.delegation.check()
        elif not parts.delegation.covers(request.ttl_ms):
            await parts.delegation.obtain(request.ttl_ms)
        asked_at = parts.scripts.generation, steady_s()
        about = self._waiter, parts.waiting.session, SESSION_MS, wait_ms, parts.keys.wake_channel
        arguments = (*change.once, request.ttl_ms or b"", *about)
        reply = await parts.scripts.call(UPGRADE, change.place.partition, change.keys, arguments)
        if reply[0] != _WAITS:
            self._answer, self._asked_at = reply, asked_at
        return reply

    async def _wait(self) -> list[Any]:
        """Raises what `_ask` raises, LockWaitersFull, NodeStopping."""
        loop, waiting, place = asyncio.get_running_loop(), self._parts.waiting, self._change.place
        self._deadline = loop.time() + self._request.timeout
        self._parked = parked = waiting.park((place,), self._waiter, self._change.owner, self._stand)
        try:
            await self._stand()
            while not self._answer and loop.time() < self._deadline:
                await asyncio.wait([parked.granted], timeout=max(0.0, self._deadline - loop.time()))
                if parked.granted.done():
                    parked.granted.result()
                    if not self._answer:
                        parked.again()
        except asyncio.CancelledError:
            if waiting.leave(parked):
                waiting.finish(self._give_up())
            raise
        except BaseException:
            if waiting.leave(parked):
                await self._give_up()
            raise
        if waiting.leave(parked) and not self._answer:
            await self._give_up()
        # What was asked for before the place was given up is answered by now.
        return self._answer or await self._ask(0)

    async def _stand(self) -> None:
        """Or take up its place, and the lock if it is its turn. Raises what `_ask` raises."""
        left_ms = max(1, round((self._deadline - asyncio.get_running_loop().time()) * 1000))
        reply = await self._ask(left_ms)
        if reply[0] == _WAITS:
            self._parts.waiting.stands(self._parked, (1,))
            self._parts.waiting.hand_over_more(self._change.place)
        else:
            self._parked.grant(0)

    async def _give_up(self) -> None:
        """If Redis is away, the place ends with this node's session."""
        parts, place = self._parts, self._change.place
        keys = (place.partition.quarantine, *place.line_keys)
        about = self._waiter, parts.waiting.session, self._change.owner, parts.keys.wake_channel
        try:
            _, _, more = await parts.scripts.call(WITHDRAW, place.partition, keys, about)
        except SimpulError:
            return
        if more:
            parts.waiting.hand_over_more(place)

    async def _answered(self, reply: list[Any]) -> Upgraded:
        request, (generation, sent_at) = self._request, self._asked_at
        _, token, ttl_ms, again, holds, hold_left_ms = reply
        await self._change.check_generation(generation, token)
        rest = Rest(holds=holds, hold_left_ms=hold_left_ms)
        await self._change.vouch(token, "exclusive", ttl_ms, rest, sent_at, is_repeat=bool(again))
        waited_ms = round((steady_s() - self._started) * 1000) if self._deadline else 0
        return Upgraded(resource=request.resource, owner=request.owner, token=token, ttl_ms=ttl_ms, waited_ms=waited_ms)

    def _refusal(self, reply: list[Any]) -> SimpulError:
        if reply[0] != _WAITS:
            return self._change.refusal(reply, "shared")
        found = read_holders(reply)
        return LockHeld(
            resource=self._request.resource,
            held_mode=reply[1].decode() or None,
            holder_count=reply[2],
            holders=found.holders,
            waiters=int(found.waiting[0]) if found.waiting else 0,
        )
