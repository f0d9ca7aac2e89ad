"""Lock operations: each is one script call; waiting is a parked request that a release hands the lock to."""

from typing import Any

from msgspec import UNSET

from service.clock import steady_s
from service.decisions.node.delegation import Delegation
from service.decisions.node.forced import ForcedReleases
from service.decisions.node.leases import PLAIN, Leases, Rest
from service.decisions.node.witnesses import Witnesses
from service.error_registry import LockHoldExceeded, LockLost, LockNotHeld, RequestIdReused, TokenStale
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.lock.attempt import Attempt, released
from service.lock.calls import HISTORY, INSPECT, REATTACH, RELEASE, RENEW, Place, read_holders
from service.lock.change import Upgrade, downgrade
from service.lock.events import LockEvent, read_entry, with_inferred
from service.lock.parts import Parts, Patience
from service.lock.several import Several
from service.lock.together import Together
from service.lock.waiting import Waiting
from service.lock.wire import (
    AcquireAllRequest,
    AcquireRequest,
    Downgraded,
    DowngradeRequest,
    Granted,
    GrantedAll,
    History,
    LockState,
    ReleaseAllRequest,
    Released,
    ReleasedAll,
    ReleaseRequest,
    RenewAllRequest,
    Renewed,
    RenewedAll,
    RenewRequest,
    Upgraded,
    UpgradeRequest,
    Waiter,
)
from service.names import RequestIdentity, encode_name
from service.store.scripts import Scripts

HISTORY_CALLS_MAX = 8
_MARK_AT, _REST_AT = 3, 4
"""Where a renewal says that it is a repeat or shorter, and what the hold is beyond its lease."""
_REPEATED, _SHORTENED = 1, 2
_WAITED_FOR = (b"lock_held", b"lock_quarantine")


class Locks:
    def __init__(
        self,
        scripts: Scripts,
        keys: Keys,
        waiting: Waiting,
        *,
        delegation: Delegation,
        leases: Leases,
        witnesses: Witnesses,
        forced: ForcedReleases,
        outcome_keep_ms: int,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._waiting = waiting
        self._delegation = delegation
        self._leases = leases
        self._witnesses = witnesses
        self._forced = forced
        self._keep_ms = outcome_keep_ms
        self._parts = Parts(scripts, keys, waiting, delegation, leases, witnesses, outcome_keep_ms)
        self._together = Together(self._parts, self.renew, self._with_reason)

    async def acquire(self, request: AcquireRequest, patience: Patience | None = None) -> Granted:
        """Grant a lease, waiting in line up to `timeout` seconds for it.

        Raises LockHeld, LockDeadlock, LockQuarantine, LockHoldersFull, LimitMismatch, LockReleased, LockWaitersFull,
        NoDelegation, LeaseNotCovered, NodeStopping, RequestIdReused, FieldInvalid, FieldMissing, PayloadTooLarge.
        Cancelling a waiting call withdraws it: a grant that arrives too late is released. `patience` runs the waiting
        part.
        """
        attempt = Attempt(self._parts, request)
        reply = await (attempt.run() if request.timeout > 0 else attempt.run_past_the_dead())
        if reply[0] == b"ok":
            return attempt.granted(reply)
        if reply[0] in _WAITED_FOR and request.timeout > 0:
            waiting = _wait(attempt, reply)
            return await (patience(waiting) if patience else waiting)
        raise attempt.refusal(reply)

    async def release(self, request: ReleaseRequest) -> Released:
        """End the owner's hold now; a re-entrant one when it was taken back as often as it was taken, or with `all`.

        Raises LockNotHeld, TokenStale, RequestIdReused.
        """
        place = Place(self._keys, request.resource)
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.release", request, request.request_id)
        reply = await self._scripts.call(
            RELEASE,
            place.partition,
            (place.partition.outcome + identity.key_suffix, *place.line_keys, place.partition.lock_events),
            (
                identity.fingerprint,
                self._keep_ms,
                owner,
                request.token or b"",
                self._keys.wake_channel,
                b"1" if request.all else b"",
            ),
        )
        code = reply[0]
        if code == b"ok":
            return released(self._parts, place, owner, reply)
        if code == b"token_stale":
            raise TokenStale(owner=request.owner, resource=request.resource, token=request.token)
        if code == b"lock_not_held":
            not_held = LockNotHeld(owner=request.owner, resource=request.resource)
            raise self._with_reason(not_held, request.resource, request.owner, request.token)
        raise RequestIdReused(request_id=request.request_id)

    async def renew(self, request: RenewRequest) -> Renewed:
        """Set what is left of the lease to ttl_ms, or to its last length. A hold that Redis lost is taken up again
        while its quarantine runs, if some node knows that its lease does.

        Raises LockLost, NoDelegation, LeaseNotCovered, RequestIdReused.
        """
        if request.ttl_ms is None:
            self._delegation.check()
        elif not self._delegation.covers(request.ttl_ms):
            await self._delegation.obtain(request.ttl_ms)
        place = Place(self._keys, request.resource)
        partition = place.partition
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.renew", request, request.request_id)
        keys = (partition.outcome + identity.key_suffix, *place.hold_keys, partition.quarantine, partition.lock_events)
        once = (identity.fingerprint, self._keep_ms, owner, request.token)
        marks: set[int] = set()
        while True:
            generation, sent_at = self._scripts.generation, steady_s()
            reply, rest = await self._renew_or_reattach(request, partition, keys, once)
            marks.update(filter(None, reply[_MARK_AT:_REST_AT]))
            # A generation that began meanwhile: this node has told the leader what it granted before it, and this was
            # not among it, so only what Redis says under the new one counts.
            if self._scripts.generation == generation or reply[0] != b"ok":
                break
        if reply[0] == b"lock_lost":
            lost = LockLost(owner=request.owner, resource=request.resource, token=request.token)
            raise self._with_reason(lost, request.resource, request.owner, request.token)
        if reply[0] == b"lock_hold_exceeded":
            raise LockHoldExceeded(owner=request.owner, resource=request.resource, left_ms=max(0, reply[1]))
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=request.request_id)
        ttl_ms, mode = reply[1:_MARK_AT]
        # On a repeat, too: what the first reply said of the length may never have come here.
        if marks:
            # Those who wait for its end reckon with a later one.
            self._waiting.hand_over_more(place)
            await self._witnesses.vouch_alone(place.lock, owner, request.token)
        # Asked again: the length was not known before, and this node must not vouch for more than it has announced.
        if not self._delegation.covers(ttl_ms):
            await self._delegation.obtain(ttl_ms)
        self._leases.granted(
            place.lock,
            owner,
            request.token,
            mode.decode(),
            ttl_ms,
            sent_at=sent_at,
            is_repeat=_REPEATED in marks,
            rest=rest,
        )
        return Renewed(ttl_ms=ttl_ms, token=request.token)

    def _with_reason(self, error: SimpulError, resource: str, owner: str, token: int | None) -> SimpulError:
        """Say so if an operator ended the hold."""
        reason = self._forced.reason(resource, owner, token)
        if reason is not None:
            error.fields["reason"] = reason
        return error

    async def _renew_or_reattach(
        self, request: RenewRequest, partition: Partition, keys: tuple[bytes, ...], once: tuple[Any, ...]
    ) -> tuple[list[Any], Rest]:
        reply = await self._scripts.call(RENEW, partition, keys, (*once, request.ttl_ms or b""))
        if reply[0] != b"lock_quarantine":
            return reply, Rest(*reply[_REST_AT:])
        _, lock_key, *_ = keys
        owner, token = once[-2:]
        lease = await self._witnesses.lease(lock_key, owner, token)
        if lease is None:
            return [b"lock_lost"], PLAIN
        rest = Rest(lease.holds, lease.permits, lease.limit, lease.hold_left_ms)
        ttl_ms = asked_ms = request.ttl_ms or lease.ttl_ms
        if rest.hold_left_ms:
            ttl_ms = min(ttl_ms, rest.hold_left_ms)
        more = b"" if rest == PLAIN else b"%d %d %d %d" % rest
        reply = await self._scripts.call(REATTACH, partition, keys, (*once, lease.mode, ttl_ms, more))
        is_shorter = reply[0] == b"ok" and asked_ms < lease.ttl_ms
        return [*reply[:_MARK_AT], _SHORTENED] if is_shorter else reply, rest

    async def upgrade(self, request: UpgradeRequest, patience: Patience | None = None) -> Upgraded:
        """Make a shared hold exclusive, before all others in line, waiting up to `timeout` seconds for other readers.

        Raises LockHeld, LockDeadlock, LockNotHeld, TokenStale, LockModeMismatch, LockHoldExceeded, LockQuarantine,
        LockReleased, LockLost, LockWaitersFull, NoDelegation, LeaseNotCovered, NodeStopping, RequestIdReused.
        The shared hold stays when it is not granted; an exclusive one whose caller is gone, until its lease ends.
        """
        return await Upgrade(self._parts, request).run(patience)

    async def downgrade(self, request: DowngradeRequest) -> Downgraded:
        """Make an exclusive hold shared, with the same token and lease.

        Raises LockNotHeld, TokenStale, LockModeMismatch, LockQuarantine, LockLost, NoDelegation, LeaseNotCovered,
        RequestIdReused.
        """
        return await downgrade(self._parts, request)

    async def acquire_all(self, request: AcquireAllRequest, patience: Patience | None = None) -> GrantedAll:
        """Grant leases on several resources, all or none, waiting up to `timeout` seconds. Raises what `acquire` does,
        LockLost, FieldInvalid."""
        return await Several(self._parts, request).acquire(patience)

    async def release_all(self, request: ReleaseAllRequest) -> ReleasedAll:
        """End what the owner holds of them. Raises LockNotHeld, TokenStale, RequestIdReused, FieldInvalid."""
        return await self._together.release(request)

    async def renew_all(self, request: RenewAllRequest) -> RenewedAll:
        """Set what is left of their leases. Raises what `renew` does, FieldInvalid."""
        return await self._together.renew(request)

    async def inspect(self, resource: str) -> LockState:
        place = Place(self._keys, resource)
        keys = (*place.hold_keys, place.waiters, place.partition.waiter_info + place.name)
        reply = await self._scripts.call(INSPECT, place.partition, keys, ())
        found = read_holders(reply, waiters_shown=True)
        waiter_count, *waiters = found.waiting or [0]
        return LockState(
            resource,
            reply[1].decode() or None,
            reply[2],
            found.holders,
            more=reply[2] > len(found.holders),
            waiter_count=waiter_count,
            waiters=[
                Waiter(owner.decode(), mode.decode(), position)
                for position, (owner, mode) in enumerate(zip(waiters[::2], waiters[1::2], strict=True), 1)
            ],
            limit=found.limit or UNSET,
        )

    async def history(self, resource: str, most: int) -> History:
        """The latest events of a lock, of at most 2 * LOCK_EVENTS_MAX of all locks in its partition."""
        place = Place(self._keys, resource)
        of = place.partition
        found: list[LockEvent] = []
        before: bytes = b""
        for _ in range(HISTORY_CALLS_MAX):
            _, before, since, *entries = await self._scripts.call(
                HISTORY, of, (place.lock, of.lock_events), (before, most - len(found))
            )
            found += [entry.event for entry in (read_entry(one, of.lock) for one in entries) if entry.event]
            if not before or len(found) >= most:
                break
        since_ms = int(since.partition(b"-")[0]) if since else None
        return History(with_inferred(found), more=bool(before), recorded_since_ms=since_ms)


async def _wait(attempt: Attempt, refused: list[Any]) -> Granted:
    started = steady_s()
    reply = await attempt.wait(refused)
    if reply[0] == b"ok":
        return attempt.granted(reply, waited_s=steady_s() - started)
    raise attempt.refusal(reply)
