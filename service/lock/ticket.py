"""A request for several locks as the scripts know it: who asks, through whom, and what is asked of each group."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Any, NamedTuple

from service.clock import steady_s
from service.decisions.node.leases import Rest
from service.lock.calls import ACQUIRE_ALL, RENEW_ALL, WAIT_ALL, WITHDRAW_ALL
from service.lock.grouping import Group, grouped
from service.lock.parts import Parts
from service.lock.waiting import SESSION_MS
from service.lock.wire import AcquireAllRequest
from service.names import RequestIdentity, encode_name

_VALUES_AT, _VALUES = 2, 6
_KEPT_BEYOND_WAIT_MS = 60_000
_OURS = b"\x01"
"""Before the id of a request that the client gave none: no name begins with it."""


class Answer(NamedTuple):
    """What a script said, under which generation it was asked, and when (service.clock): leases run from then or from
    later on."""

    reply: list[Any]
    generation: int
    sent_at: float


class Renewed(NamedTuple):
    """One lease of a reply of lock.renew_all."""

    ttl_ms: int
    mode: str
    rest: Rest


def renewed(reply: list[Any]) -> list[Renewed]:
    """Of `ok mark [ttl_ms mode holds permits limit hold_left_ms]`."""
    each = zip(*[iter(reply[_VALUES_AT:])] * _VALUES, strict=True)
    return [Renewed(ttl_ms, mode.decode(), Rest(*rest)) for ttl_ms, mode, *rest in each]


class Ticket:
    """Raises FieldInvalid. Calls raise what the store raises; those that grant, NoDelegation and LeaseNotCovered."""

    def __init__(self, parts: Parts, request: AcquireAllRequest) -> None:
        self._parts = parts
        self.request = request
        self.groups = grouped(parts.keys, request.resources)
        self.owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.acquire_all", request, request.request_id)
        self._caller = secrets.token_hex(8).encode()
        # Every request has an identity: an answer that is lost on the way must be found, or taken back.
        self._suffix = identity.key_suffix or _OURS + self._caller
        self._fingerprint = identity.fingerprint or self._caller
        wait_ms = round(request.timeout * 1000) + _KEPT_BEYOND_WAIT_MS
        self._keep_ms = max(parts.keep_ms, wait_ms) if request.request_id else wait_ms
        self.waiter = self._waiter_id()

    def _waiter_id(self) -> bytes:
        """The same for a retry, through whatever node it comes."""
        if self.request.request_id is None:
            return self._caller
        names = b"\n".join(place.name for group in self.groups for place in group.places)
        return blake2b(names + b"\n\n" + self._suffix, digest_size=16).hexdigest().encode()

    async def acquire(self, group: Group) -> Answer:
        return await self._ask(ACQUIRE_ALL, group, ())

    async def wait(self, group: Group, left_ms: int) -> Answer:
        return await self._ask(WAIT_ALL, group, (self.waiter, self._parts.waiting.session, SESSION_MS, left_ms))

    async def _ask(self, call: Any, group: Group, more: tuple[Any, ...]) -> Answer:
        parts, request = self._parts, self.request
        await self.cover()
        generation, sent_at = parts.scripts.generation, steady_s()
        reply = await parts.scripts.call(
            call,
            group.partition,
            (group.partition.outcome + self._suffix, *group.line_keys),
            (
                self._fingerprint,
                self._keep_ms,
                self.owner,
                request.mode,
                request.ttl_ms,
                self._caller,
                parts.keys.wake_channel,
                *more,
            ),
        )
        return Answer(reply, generation, sent_at)

    async def cover(self) -> None:
        """This node may speak for leases of this length. Raises NoDelegation, LeaseNotCovered."""
        delegation = self._parts.delegation
        if not delegation.covers(self.request.ttl_ms):
            await delegation.obtain(self.request.ttl_ms)

    async def take_back(self, group: Group) -> list[Any]:
        """Places and grant of this caller; nothing of a retry that came later. `ok taken_back more [position]`."""
        parts = self._parts
        return await parts.scripts.call(
            WITHDRAW_ALL,
            group.partition,
            (group.partition.outcome + self._suffix, *group.line_keys),
            (
                self._fingerprint,
                self.owner,
                self._caller,
                parts.keys.wake_channel,
                self.waiter,
                parts.waiting.session,
            ),
        )

    async def renew(self, group: Group, tokens: list[int]) -> list[Any]:
        """For as long as before: no lease becomes shorter, should its holder have renewed it meanwhile."""
        of = group.partition
        arguments = (b"", 0, self.owner, b"", *tokens)
        return await self._parts.scripts.call(RENEW_ALL, of, (of.outcome, *group.hold_keys), arguments)
