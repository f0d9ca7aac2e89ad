"""Lock operations: each is one script call; waiting is a parked request that a release wakes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from service.clock import steady_s
from service.decisions.node.delegation import Delegation
from service.decisions.node.leases import Leases
from service.decisions.node.witnesses import Witnesses
from service.error_registry import (
    LockHeld,
    LockHoldersFull,
    LockLost,
    LockNotHeld,
    LockQuarantine,
    LockReleased,
    NodeStopping,
    RequestIdReused,
    TokenStale,
)
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.limits import LOCK_HOLDERS_MAX
from service.lock.wire import (
    AcquireRequest,
    Granted,
    Holder,
    LockState,
    Released,
    ReleaseRequest,
    Renewed,
    RenewRequest,
)
from service.names import RequestIdentity, encode_name
from service.store.scripts import Scripts, declare
from service.store.wakeups import Wakeups

ACQUIRE = declare(
    "lock.acquire",
    keys="fence outcome tokens lock readers reader_holds quarantine",
    args="fence fingerprint keep_ms owner mode ttl_ms waits",
)
RELEASE = declare(
    "lock.release",
    keys="fence outcome lock readers reader_holds",
    args="fence fingerprint keep_ms owner token wake_channel",
)
RENEW = declare(
    "lock.renew",
    keys="fence outcome lock readers reader_holds quarantine",
    args="fence fingerprint keep_ms owner token ttl_ms",
)
REATTACH = declare(
    "lock.reattach",
    keys="fence outcome lock readers reader_holds quarantine",
    args="fence fingerprint keep_ms owner token mode ttl_ms",
)
INSPECT = declare("lock.inspect", keys="fence lock readers reader_holds", args="fence")

_HOLDER_FIELDS = 3
_RENEWED_FIELDS = 3
_REPEATED, _SHORTENED = 1, 2
_FRESH_GRANT_FIELDS = 3
_WAITED_FOR = (b"lock_held", b"lock_quarantine")

Patience = Callable[[Coroutine[Any, Any, Granted]], Awaitable[Granted]]
"""Runs a wait for as long as its caller is there to hear the answer."""


class Locks:
    def __init__(
        self,
        scripts: Scripts,
        keys: Keys,
        wakeups: Wakeups,
        *,
        delegation: Delegation,
        leases: Leases,
        witnesses: Witnesses,
        outcome_keep_ms: int,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._wakeups = wakeups
        self._delegation = delegation
        self._leases = leases
        self._witnesses = witnesses
        self._keep_ms = outcome_keep_ms
        self._undoing: set[asyncio.Task[Any]] = set()

    async def acquire(self, request: AcquireRequest, patience: Patience | None = None) -> Granted:
        """Grant a lease, waiting up to `timeout` seconds for it.

        Raises LockHeld, LockQuarantine, LockHoldersFull, LockReleased, LockWaitersFull, NoDelegation, LeaseNotCovered,
        NodeStopping, RequestIdReused. Cancelling a waiting call withdraws it: a grant that arrives too late is
        released. `patience` runs the waiting part.
        """
        attempt = _Attempt(self, request)
        reply = await attempt.run(waits=False)
        if reply[0] == b"ok":
            return attempt.granted(reply)
        if reply[0] in _WAITED_FOR and request.timeout > 0:
            waiting = self._wait(attempt, request)
            return await (patience(waiting) if patience else waiting)
        raise attempt.refusal(reply)

    async def _wait(self, attempt: "_Attempt", request: AcquireRequest) -> Granted:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.timeout
        ticket = self._wakeups.park(attempt.lock_key)
        try:
            while True:
                left_s = deadline - loop.time()
                reply = await self._unless_cancelled(attempt)
                if reply[0] == b"ok":
                    return attempt.granted(reply, waited_s=request.timeout - (deadline - loop.time()))
                if reply[0] not in _WAITED_FOR or left_s <= 0:
                    raise attempt.refusal(reply)
                await asyncio.wait([ticket], timeout=min(_blocked_for_s(reply) + 0.001, left_s))
                if self._wakeups.is_closed:
                    raise NodeStopping(resource=request.resource)
                ticket = self._wakeups.renew(attempt.lock_key, ticket)
        finally:
            self._wakeups.leave(attempt.lock_key, ticket)

    async def _unless_cancelled(self, attempt: "_Attempt") -> list[Any]:
        """Run the attempt to its end even when the caller leaves, and give back what it then was granted."""
        running = asyncio.ensure_future(attempt.run(waits=True))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._undo(attempt, running))
            self._undoing.add(task)
            task.add_done_callback(self._undoing.discard)
            raise

    async def _undo(self, attempt: "_Attempt", running: "asyncio.Future[list[Any]]") -> None:
        try:
            reply = await running
            if reply[0] == b"ok":
                request = attempt.request
                await self.release(ReleaseRequest(request.resource, request.owner, token=reply[1]))
        except SimpulError:
            # Redis is away, or the lease ended by itself: then its end gives the lock back.
            return

    async def release(self, request: ReleaseRequest) -> Released:
        """End the owner's hold now. Raises LockNotHeld, TokenStale, RequestIdReused."""
        partition, name = self._locate(request.resource)
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.release", request, request.request_id)
        reply = await self._scripts.call(
            RELEASE,
            partition,
            (partition.outcome + identity.key_suffix, *_hold_keys(partition, name)),
            (identity.fingerprint, self._keep_ms, owner, request.token or b"", self._keys.wake_channel),
        )
        code = reply[0]
        if code == b"ok":
            self._leases.released(partition.lock + name, owner)
            return Released()
        if code == b"token_stale":
            raise TokenStale(owner=request.owner, resource=request.resource, token=request.token)
        if code == b"lock_not_held":
            raise LockNotHeld(owner=request.owner, resource=request.resource)
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
        partition, name = self._locate(request.resource)
        owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.renew", request, request.request_id)
        keys = (partition.outcome + identity.key_suffix, *_hold_keys(partition, name), partition.quarantine)
        once = (identity.fingerprint, self._keep_ms, owner, request.token)
        marks = set()
        while True:
            generation, sent_at = self._scripts.generation, steady_s()
            reply = await self._renew_or_reattach(request, partition, keys, once)
            marks.update(reply[_RENEWED_FIELDS:])
            # A generation that began meanwhile: this node has told the leader what it granted before it, and this was
            # not among it, so only what Redis says under the new one counts.
            if self._scripts.generation == generation or reply[0] != b"ok":
                break
        if reply[0] == b"lock_lost":
            raise LockLost(owner=request.owner, resource=request.resource, token=request.token)
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=request.request_id)
        ttl_ms, mode = reply[1:_RENEWED_FIELDS]
        # On a repeat, too: what the first reply said of the length may never have come here.
        if marks:
            await self._witnesses.shortened(partition.lock + name, owner, request.token)
        # Asked again: the length was not known before, and this node must not vouch for more than it has announced.
        if not self._delegation.covers(ttl_ms):
            await self._delegation.obtain(ttl_ms)
        self._leases.granted(
            partition.lock + name,
            owner,
            request.token,
            mode.decode(),
            ttl_ms,
            sent_at=sent_at,
            is_repeat=_REPEATED in marks,
        )
        return Renewed(ttl_ms=ttl_ms, token=request.token)

    async def _renew_or_reattach(
        self, request: RenewRequest, partition: Partition, keys: tuple[bytes, ...], once: tuple[Any, ...]
    ) -> list[Any]:
        reply = await self._scripts.call(RENEW, partition, keys, (*once, request.ttl_ms or b""))
        if reply[0] != b"lock_quarantine":
            return reply
        _, lock_key, *_ = keys
        owner, token = once[-2:]
        lease = await self._witnesses.lease(lock_key, owner, token)
        if lease is None:
            return [b"lock_lost"]
        ttl_ms = request.ttl_ms or lease.ttl_ms
        reply = await self._scripts.call(REATTACH, partition, keys, (*once, lease.mode, ttl_ms))
        is_shorter = reply[0] == b"ok" and ttl_ms < lease.ttl_ms
        return [*reply, _SHORTENED] if is_shorter else reply

    async def inspect(self, resource: str) -> LockState:
        partition, name = self._locate(resource)
        reply = await self._scripts.call(INSPECT, partition, _hold_keys(partition, name), ())
        holders = _holders(reply)
        return LockState(resource, reply[1].decode() or None, reply[2], holders, more=reply[2] > len(holders))

    def _locate(self, resource: str) -> tuple[Partition, bytes]:
        name = encode_name("resource", resource)
        return self._keys.partition_of(name), name


class _Attempt:
    """One acquire request, ready to be tried any number of times."""

    def __init__(self, locks: Locks, request: AcquireRequest) -> None:
        self.request = request
        self._locks = locks
        self._partition, name = locks._locate(request.resource)
        self._owner = encode_name("owner", request.owner)
        identity = RequestIdentity("lock.acquire", request, request.request_id)
        partition = self._partition
        self.lock_key = partition.lock + name
        outcome = partition.outcome + identity.key_suffix
        self._keys = (outcome, partition.tokens, *_hold_keys(partition, name), partition.quarantine)
        self._args = (identity.fingerprint, locks._keep_ms, self._owner, request.mode, request.ttl_ms)

    async def run(self, *, waits: bool) -> list[Any]:
        """Raises NoDelegation, LeaseNotCovered, or what the store raises."""
        locks, request = self._locks, self.request
        if not locks._delegation.covers(request.ttl_ms):
            await locks._delegation.obtain(request.ttl_ms)
        generation, sent_at = locks._scripts.generation, steady_s()
        reply = await locks._scripts.call(ACQUIRE, self._partition, self._keys, (*self._args, b"1" if waits else b"0"))
        if reply[0] == b"ok":
            if locks._scripts.generation != generation and not await self._is_still_held(reply[1]):
                return await self.run(waits=waits)
            await self._vouch_or_give_back(reply[1])
            locks._leases.granted(
                self.lock_key,
                self._owner,
                reply[1],
                request.mode,
                reply[2],
                sent_at=sent_at,
                is_repeat=len(reply) > _FRESH_GRANT_FIELDS,
            )
        return reply

    async def _is_still_held(self, token: int) -> bool:
        """A generation began while Redis worked, and this node has told the leader what it granted before: a grant that
        was not among it counts only if Redis has it under the new generation, too."""
        scripts = self._locks._scripts
        _, _, *hold_keys = self._keys
        while True:
            generation = scripts.generation
            keys = (self._partition.outcome, *hold_keys)
            reply = await scripts.call(RENEW, self._partition, keys, (b"", 0, self._owner, token, b""))
            if reply[0] != b"ok" or scripts.generation == generation:
                return bool(reply[0] == b"ok")

    async def _vouch_or_give_back(self, token: int) -> None:
        """Raises NoDelegation or LeaseNotCovered when Redis took longer than this node may speak for: the others reckon
        with no such lease of it."""
        delegation = self._locks._delegation
        if delegation.covers(self.request.ttl_ms):
            return
        try:
            await delegation.obtain(self.request.ttl_ms)
        except SimpulError:
            # If this fails, too, the lock is held in vain until its lease ends; nobody believes to have it.
            with contextlib.suppress(SimpulError):
                await self._locks.release(ReleaseRequest(self.request.resource, self.request.owner, token=token))
            raise

    def granted(self, reply: list[Any], *, waited_s: float = 0.0) -> Granted:
        request = self.request
        return Granted(
            resource=request.resource,
            owner=request.owner,
            mode=request.mode,
            token=reply[1],
            ttl_ms=reply[2],
            waited_ms=round(waited_s * 1000),
        )

    def refusal(self, reply: list[Any]) -> SimpulError:
        request = self.request
        if reply[0] == b"lock_held":
            return LockHeld(
                resource=request.resource,
                held_mode=reply[1].decode(),
                holder_count=reply[2],
                holders=_holders(reply),
            )
        if reply[0] == b"lock_quarantine":
            return LockQuarantine(resource=request.resource, left_ms=reply[1], holders=[])
        if reply[0] == b"lock_released":
            return LockReleased(resource=request.resource, token=int(reply[1]))
        if reply[0] == b"lock_holders_full":
            return LockHoldersFull(resource=request.resource, limit=LOCK_HOLDERS_MAX)
        return RequestIdReused(request_id=request.request_id)


def _hold_keys(partition: Partition, name: bytes) -> tuple[bytes, bytes, bytes]:
    """The keys lock, readers and reader_holds of one resource."""
    return partition.lock + name, partition.readers + name, partition.reader_holds + name


def _blocked_for_s(reply: list[Any]) -> float:
    """How long a refusal lasts at the most, if nobody ends it earlier."""
    if reply[0] == b"lock_quarantine":
        return float(reply[1]) / 1000
    return max((holder.expires_in_ms for holder in _holders(reply)), default=0) / 1000


def _holders(reply: list[Any]) -> list[Holder]:
    """From a reply `code mode count [owner token expires_in_ms]`."""
    flat = reply[3:]
    return [
        Holder(flat[at].decode(), reply[1].decode(), int(flat[at + 1]), flat[at + 2])
        for at in range(0, len(flat), _HOLDER_FIELDS)
    ]
