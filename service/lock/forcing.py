"""Ending holds of others, for operators: decided by the cluster first, then done in Redis.

The decision names the very holds, by owner and token, that stood when it was asked for. So it can be carried out again
and again without ending what came later, and a repeat of the request makes up for a node that died between the two.
"""

from __future__ import annotations

import logging

from service.decisions.decide import Decisions
from service.decisions.node.forced import ForcedReleases
from service.decisions.node.leases import Leases
from service.decisions.replicated.commands import ForceRelease
from service.error_registry import NoSuchHold, RequestIdReused
from service.keys import COUNTER_BITS, Keys
from service.lock.calls import FORCE_RELEASE, Place
from service.lock.locks import Locks
from service.lock.waiting import Waiting
from service.lock.wire import Ended, ForceReleased, ForceReleaseRequest
from service.names import encode_name
from service.store.scripts import Scripts

log = logging.getLogger("simpul.lock")

Holds = tuple[tuple[str, int], ...]


class Forcing:
    def __init__(
        self,
        scripts: Scripts,
        keys: Keys,
        waiting: Waiting,
        locks: Locks,
        *,
        decisions: Decisions,
        forced: ForcedReleases,
        leases: Leases,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._waiting = waiting
        self._locks = locks
        self._decisions = decisions
        self._forced = forced
        self._leases = leases

    async def force_release(self, request: ForceReleaseRequest) -> ForceReleased:
        """End all holds of a lock, 100 at a time, or those of `owner`, or the one with `token`.

        Raises NoSuchHold, NotCommitted, DecisionUnknown, RequestIdReused, and what the store raises: then it may be
        decided, and a repeat with the same request id carries it out.
        """
        place = Place(self._keys, request.resource)
        for field in ("owner", "reason", "request_id"):
            given = getattr(request, field)
            if given is not None:
                encode_name(field, given)
        await self._decisions.confirm_read()
        known = self._forced.of_request(request.request_id)
        if known is None:
            holds, more = await self._standing(request)
            command = ForceRelease(request.resource, holds, request.reason)
            await self._decisions.propose(command, request.request_id)
        elif (known.resource, known.reason) == (request.resource, request.reason):
            holds, more = known.holds, False
        else:
            raise RequestIdReused(request_id=request.request_id)
        for owner, token in holds:
            log.warning("force-release of %s: %s, token %d: %s", request.resource, owner, token, request.reason)
        await self._end(place, holds, request.reason)
        return ForceReleased(resource=request.resource, holds=[Ended(*one) for one in holds], more=more)

    async def _standing(self, request: ForceReleaseRequest) -> tuple[Holds, bool]:
        """What the request names, and whether there is more of it. Raises NoSuchHold."""
        state = await self._locks.inspect(request.resource)
        holds = tuple(
            (one.owner, one.token)
            for one in state.holders
            if request.owner in (None, one.owner) and request.token in (None, one.token)
        )
        if holds:
            return holds, state.more and request.token is None
        is_old = request.token is not None and request.token >> COUNTER_BITS < self._scripts.generation
        if request.owner is not None and request.token is not None and is_old:
            # Redis may have lost it, and its holder take it up again in the quarantine: no more, once this is decided.
            return ((request.owner, request.token),), False
        named = [f"{field} {getattr(request, field)}" for field in ("owner", "token") if getattr(request, field)]
        raise NoSuchHold(resource=request.resource, named=" and ".join(named) or "anybody")

    async def _end(self, place: Place, holds: Holds, reason: str) -> None:
        of = place.partition
        owners = [(encode_name("owner", owner), token) for owner, token in holds]
        reply = await self._scripts.call(
            FORCE_RELEASE,
            of,
            (of.quarantine, *place.line_keys, of.lock_events),
            (self._keys.wake_channel, reason.encode(), *(word for hold in owners for word in hold)),
        )
        for owner, _ in owners:
            self._leases.released(place.lock, owner)
        if reply[2]:
            self._waiting.hand_over_more(place)
