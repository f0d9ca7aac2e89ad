"""Release and renewal of several locks in one request: each partition in one step, all partitions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from service.clock import steady_s
from service.decisions.node.witnesses import Witnesses
from service.error_registry import LockLost, LockNotHeld, RequestIdReused, TokenStale
from service.lock.calls import RELEASE_ALL, RENEW_ALL
from service.lock.grouping import Group, check_tokens, grouped
from service.lock.parts import Parts
from service.lock.ticket import Answer
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
_VALUES_AT = 2
_REPEATED = 1
_ENDINGS: dict[bytes, Ending] = {_OK: "released", b"lock_not_held": "lock_not_held", b"token_stale": "token_stale"}

RenewOne = Callable[[RenewRequest], Awaitable[Renewed]]


class _Kept(NamedTuple):
    """What became of one hold that was to be renewed; `ttl_ms` when it was."""

    outcome: Renewal
    ttl_ms: int = 0


class Together:
    def __init__(self, parts: Parts, witnesses: Witnesses, renew_one: RenewOne) -> None:
        self._parts = parts
        self._witnesses = witnesses
        self._renew_one = renew_one

    # Release

    async def release(self, request: ReleaseAllRequest) -> ReleasedAll:
        """Raises LockNotHeld or TokenStale when one was not held, after all others have ended; RequestIdReused."""
        groups = grouped(self._parts.keys, request.resources)
        if request.tokens is not None:
            check_tokens(request.resources, request.tokens)
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.release_all", request, request.request_id)
        ends = await asyncio.gather(*(self._release(group, owner, request, identity) for group in groups))
        found = {resource: outcome for end in ends for resource, outcome in end.items()}
        outcomes = {resource: found[resource] for resource in request.resources}
        for resource, outcome in outcomes.items():
            if outcome == "lock_not_held":
                raise LockNotHeld(owner=request.owner, resource=resource, outcomes=outcomes)
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
        """Raises LockLost, NoDelegation, LeaseNotCovered, RequestIdReused."""
        groups = grouped(self._parts.keys, request.resources)
        check_tokens(request.resources, request.tokens)
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.renew_all", request, request.request_id)
        if request.ttl_ms is None:
            self._parts.delegation.check()
        else:
            await self._cover(request.ttl_ms)
        kept = await asyncio.gather(*(self._renew(group, owner, request, identity) for group in groups))
        found = {resource: one for group in kept for resource, one in group.items()}
        outcomes = {resource: found[resource].outcome for resource in request.resources}
        lost = next((resource for resource, outcome in outcomes.items() if outcome == "lock_lost"), None)
        if lost is not None:
            raise LockLost(owner=request.owner, resource=lost, token=request.tokens[lost], outcomes=outcomes)
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
                return {name: _Kept("renewed", ttl_ms) for name, ttl_ms in zip(resources, reply[2::2], strict=True)}
        if reply[0] == b"lock_quarantine":
            return dict(await asyncio.gather(*(self._renew_alone(resource, request) for resource in resources)))
        if reply[0] == b"lock_lost":
            held = [code == _OK for code in reply[1:]]
            return {
                name: _Kept("held" if is_held else "lock_lost") for name, is_held in zip(resources, held, strict=True)
            }
        raise RequestIdReused(request_id=request.request_id)

    async def _renew_alone(self, resource: str, request: RenewAllRequest) -> tuple[str, _Kept]:
        """In a quarantine each hold needs a witness of its own."""
        single = RenewRequest(resource, request.owner, request.tokens[resource], request.ttl_ms)
        try:
            renewed = await self._renew_one(single)
        except LockLost:
            return resource, _Kept("lock_lost")
        return resource, _Kept("renewed", renewed.ttl_ms)

    async def _note(self, group: Group, owner: bytes, tokens: list[int], answer: Answer, marks: set[int]) -> None:
        parts, reply, sent_at = self._parts, answer.reply, answer.sent_at
        ttls_ms, modes = reply[_VALUES_AT::2], reply[_VALUES_AT + 1 :: 2]
        if marks:
            # On a repeat, too: what the first reply said of the lengths may never have come here.
            for place, token in zip(group.places, tokens, strict=True):
                parts.waiting.hand_over_more(place)
                await self._witnesses.shortened(place.lock, owner, token)
        await self._cover(max(ttls_ms))
        for place, token, ttl_ms, mode in zip(group.places, tokens, ttls_ms, modes, strict=True):
            is_repeat = _REPEATED in marks
            parts.leases.granted(place.lock, owner, token, mode.decode(), ttl_ms, sent_at=sent_at, is_repeat=is_repeat)
