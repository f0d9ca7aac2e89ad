"""Release and renewal of several locks in one request: each partition in one step, all partitions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from service.clock import steady_s
from service.error_registry import LockHoldExceeded, LockLost, LockNotHeld, RequestIdReused, TokenStale
from service.errors import SimpulError
from service.lock.calls import RELEASE_ALL, RENEW_ALL
from service.lock.grouping import Group, check_tokens, grouped
from service.lock.parts import Parts
from service.lock.ticket import Answer, renewed
from service.lock.wire import (
    Ending,
    ReleaseAllRequest,
    ReleasedAll,
    Renewal,
    RenewAllRequest,
    Renewed,
    RenewedAll,
    RenewRequest,
)
from service.names import RequestIdentity, encode_name

_OK = b"ok"
_REPEATED = 1
_RENEWALS: dict[bytes, Renewal] = {
    _OK: "held",
    b"lock_lost": "lock_lost",
    b"lock_hold_exceeded": "lock_hold_exceeded",
}
_ENDINGS: dict[bytes, Ending] = {_OK: "released", b"lock_not_held": "lock_not_held", b"token_stale": "token_stale"}

Value = TypeVar("Value")
WithReason = Callable[[SimpulError, str, str, int | None], SimpulError]
"""Say so if an operator ended the hold of this resource, owner and token."""
RenewOne = Callable[[RenewRequest], Awaitable[Renewed]]


class _Kept(NamedTuple):
    """What became of one hold that was to be renewed; `ttl_ms` when it was."""

    outcome: Renewal
    ttl_ms: int = 0
    """How long it runs, where that is known: renewed, or not to be renewed any more."""


class Together:
    def __init__(self, parts: Parts, renew_one: RenewOne, with_reason: WithReason) -> None:
        self._parts = parts
        self._with_reason = with_reason
        self._renew_one = renew_one

    # Release

    async def release(self, request: ReleaseAllRequest) -> ReleasedAll:
        """Raises LockNotHeld or TokenStale when one was not held, after all others have ended; RequestIdReused."""
        groups = grouped(self._parts.keys, request.resources)
        if request.tokens is not None:
            check_tokens(request.resources, request.tokens)
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.release_all", request, request.request_id)
        ends = await _all([self._release(group, owner, request, identity) for group in groups])
        found = {resource: outcome for end in ends for resource, outcome in end.items()}
        outcomes = {resource: found[resource] for resource in request.resources}
        for resource, outcome in outcomes.items():
            if outcome == "lock_not_held":
                not_held = LockNotHeld(owner=request.owner, resource=resource, outcomes=outcomes)
                raise self._with_reason(not_held, resource, request.owner, (request.tokens or {}).get(resource))
            if outcome == "token_stale":
                token = (request.tokens or {})[resource]
                raise TokenStale(owner=request.owner, resource=resource, token=token, outcomes=outcomes)
        return ReleasedAll(outcomes)

    async def _release(
        self, group: Group, owner: bytes, request: ReleaseAllRequest, identity: RequestIdentity
    ) -> dict[str, Ending]:
        parts, resources, tokens = self._parts, group.resources, request.tokens or {}
        reply = await parts.scripts.call(
            RELEASE_ALL,
            group.partition,
            (group.partition.outcome + identity.key_suffix, *group.line_keys),
            (
                identity.fingerprint,
                parts.keep_ms,
                owner,
                parts.keys.wake_channel,
                *(tokens.get(resource, b"") for resource in resources),
            ),
        )
        if reply[0] != _OK:
            raise RequestIdReused(request_id=request.request_id)
        _, more, *codes = reply
        for place, code in zip(group.places, codes, strict=True):
            if code == _OK:
                parts.leases.released(place.lock, owner)
            if more:
                parts.waiting.hand_over_more(place)
        return {resource: _ENDINGS[code] for resource, code in zip(resources, codes, strict=True)}

    # Renewal

    async def renew(self, request: RenewAllRequest) -> RenewedAll:
        """Raises LockLost, LockHoldExceeded, NoDelegation, LeaseNotCovered, RequestIdReused."""
        groups = grouped(self._parts.keys, request.resources)
        check_tokens(request.resources, request.tokens)
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.renew_all", request, request.request_id)
        if request.ttl_ms is None:
            self._parts.delegation.check()
        else:
            await self._cover(request.ttl_ms)
        kept = await _all([self._renew(group, owner, request, identity) for group in groups])
        found = {resource: one for group in kept for resource, one in group.items()}
        outcomes = {resource: found[resource].outcome for resource in request.resources}
        about: dict[str, Any] = {"owner": request.owner, "outcomes": outcomes}
        for resource, outcome in outcomes.items():
            if outcome == "lock_lost":
                token = request.tokens[resource]
                raise self._with_reason(
                    LockLost(resource=resource, token=token, **about), resource, request.owner, token
                )
        for resource, outcome in outcomes.items():
            if outcome == "lock_hold_exceeded":
                raise LockHoldExceeded(resource=resource, left_ms=found[resource].ttl_ms, **about)
        tokens = {resource: request.tokens[resource] for resource in request.resources}
        return RenewedAll(ttl_ms=min(one.ttl_ms for one in found.values()), tokens=tokens)

    async def _cover(self, ttl_ms: int) -> None:
        delegation = self._parts.delegation
        if not delegation.covers(ttl_ms):
            await delegation.obtain(ttl_ms)

    async def _renew(
        self, group: Group, owner: bytes, request: RenewAllRequest, identity: RequestIdentity
    ) -> dict[str, _Kept]:
        scripts, resources = self._parts.scripts, group.resources
        keys = (group.partition.outcome + identity.key_suffix, *group.hold_keys)
        tokens = [request.tokens[resource] for resource in resources]
        arguments = (identity.fingerprint, self._parts.keep_ms, owner, request.ttl_ms or b"", *tokens)
        marks = set()
        while True:
            generation, sent_at = scripts.generation, steady_s()
            reply = await scripts.call(RENEW_ALL, group.partition, keys, arguments)
            # As for one lock: what a generation that began meanwhile shows is asked for again.
            if reply[0] != _OK:
                break
            marks.add(reply[1])
            if scripts.generation == generation:
                await self._note(group, owner, tokens, Answer(reply, generation, sent_at), marks - {0})
                leases = renewed(reply)
                return {name: _Kept("renewed", lease.ttl_ms) for name, lease in zip(resources, leases, strict=True)}
        if reply[0] == b"lock_quarantine":
            return dict(await asyncio.gather(*(self._renew_alone(resource, request) for resource in resources)))
        if reply[0] == b"lock_lost":
            return {name: _Kept(_RENEWALS[code]) for name, code in zip(resources, reply[1:], strict=True)}
        if reply[0] == b"lock_hold_exceeded":
            _, left_ms, *codes = reply
            return {name: _Kept(_RENEWALS[code], left_ms) for name, code in zip(resources, codes, strict=True)}
        raise RequestIdReused(request_id=request.request_id)

    async def _renew_alone(self, resource: str, request: RenewAllRequest) -> tuple[str, _Kept]:
        """In a quarantine each hold needs a witness of its own."""
        single = RenewRequest(resource, request.owner, request.tokens[resource], request.ttl_ms)
        try:
            renewed = await self._renew_one(single)
        except LockLost:
            return resource, _Kept("lock_lost")
        except LockHoldExceeded as refused:
            return resource, _Kept("lock_hold_exceeded", refused.fields["left_ms"])
        return resource, _Kept("renewed", renewed.ttl_ms)

    async def _note(self, group: Group, owner: bytes, tokens: list[int], answer: Answer, marks: set[int]) -> None:
        parts, leases = self._parts, renewed(answer.reply)
        if marks:
            # On a repeat, too: what the first reply said of the lengths may never have come here.
            for place, token in zip(group.places, tokens, strict=True):
                parts.waiting.hand_over_more(place)
                await parts.witnesses.vouch_alone(place.lock, owner, token)
        await self._cover(max(lease.ttl_ms for lease in leases))
        for place, token, lease in zip(group.places, tokens, leases, strict=True):
            parts.leases.granted(
                place.lock,
                owner,
                token,
                lease.mode,
                lease.ttl_ms,
                sent_at=answer.sent_at,
                is_repeat=_REPEATED in marks,
                rest=lease.rest,
            )


async def _all(groups: list[Coroutine[Any, Any, Value]]) -> list[Value]:
    """At once; the common case of one group without a task of its own."""
    return [await groups[0]] if len(groups) == 1 else await asyncio.gather(*groups)
