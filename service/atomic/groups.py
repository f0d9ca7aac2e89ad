"""Groups of operations: one script call, all or nothing."""

from __future__ import annotations

from typing import Any

from service.atomic.plan import Plan
from service.atomic.wire import (
    AckMessage,
    AtomicDone,
    AtomicRequest,
    CheckLock,
    GroupOperation,
    GroupResult,
    InvalidateKey,
    KeyInvalidated,
    LockChecked,
    MessageAcked,
    MessagePublished,
    PublishMessage,
    PutValue,
    ValuePut,
)
from service.cache import NearCache
from service.error_registry import (
    LockIsShared,
    LockLost,
    LockQuarantine,
    OperationRefused,
    RequestIdReused,
    VersionMismatch,
)
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.limits import INTEGER_MAX
from service.names import RequestIdentity
from service.queue import Queues, receipts
from service.queue.refusals import refusal
from service.queue.topics import Topics
from service.store.scripts import Scripts, declare

APPLY = declare(
    "atomic.apply",
    keys="fence outcome versions quarantine due sessions part+",
    args="fence fingerprint keep_ms channel operation+ payload+",
)


class Groups:
    def __init__(
        self, scripts: Scripts, keys: Keys, queues: Queues, topics: Topics, near: NearCache, *, outcome_keep_ms: int
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._queues = queues
        self._topics = topics
        self._near = near
        self._keep_ms = outcome_keep_ms

    async def apply(self, request: AtomicRequest) -> AtomicDone:
        """Do all operations, or none. Raises OperationRefused, which says why and which; TagNotShared, FieldInvalid,
        PayloadTooLarge, RequestIdReused."""
        messages = [one for one in request.operations if isinstance(one, PublishMessage)]
        ids = self._queues.ids_of(messages, request.request_id)
        plan = Plan(self._keys, request, ids, self._topics.get)
        of = plan.partition
        identity = RequestIdentity("atomic", request, request.request_id)
        keys = (of.outcome + identity.key_suffix, of.versions, of.quarantine, of.due, of.sessions, *plan.keys)
        args = (identity.fingerprint, self._keep_ms, self._keys.invalidate_channel, *plan.args)
        reply = await self._scripts.call(APPLY, of, keys, args)
        if reply[0] == b"request_id_reused":
            raise RequestIdReused(request_id=request.request_id)
        if reply[0] != b"ok":
            raise _refused(request.operations, reply)
        named = iter(ids)
        done = zip(request.operations, reply[1:], strict=True)
        return AtomicDone([self._result(of, operation, result, named) for operation, result in done])

    def _result(self, of: Partition, operation: GroupOperation, result: int, ids: Any) -> GroupResult:
        if isinstance(operation, CheckLock):
            return LockChecked()
        if isinstance(operation, AckMessage):
            return MessageAcked()
        if isinstance(operation, PublishMessage):
            return MessagePublished(next(ids), not result)
        entry_key = of.cache + operation.key.encode()
        if isinstance(operation, PutValue):
            # This node's own readers see the write with its reply, not when the publication comes round.
            self._near.wrote(entry_key, of.number, result)
            return ValuePut(result)
        self._near.written(entry_key, INTEGER_MAX)
        return KeyInvalidated(result)


def _refused(operations: list[GroupOperation], reply: list[Any]) -> OperationRefused:
    index: int = reply[1]
    operation = operations[index]
    error = _error(operation, [reply[0], *reply[2:]])
    problem = {
        "code": error.code,
        "status": error.status,
        "detail": error.detail,
        "action": error.advice,
        "retry": error.retry,
        **error.fields,
    }
    if isinstance(operation, CheckLock):
        problem["owner"] = operation.owner
    name = str(operation.__struct_config__.tag)
    # Whether it is worth sending again is for the operation to say: nothing of the others has happened.
    return OperationRefused(index=index, operation=name, reason=error.detail, refusal=problem, retry=error.retry)


def _error(operation: GroupOperation, reply: list[Any]) -> SimpulError:
    """What the refusal would be if the operation had been asked for alone."""
    if isinstance(operation, CheckLock):
        resource = operation.resource
        if reply[0] == b"lock_quarantine":
            return LockQuarantine(resource=resource, left_ms=reply[1])
        if reply[0] == b"lock_is_shared":
            return LockIsShared(resource=resource, mode=reply[1].decode())
        return LockLost(resource=resource, token=operation.token, owner=operation.owner or "whoever acquired it")
    if isinstance(operation, AckMessage):
        return refusal(reply, operation.topic, receipts.parse("receipt", operation.receipt).id)
    if isinstance(operation, PublishMessage):
        return refusal(reply, operation.topic)
    assert not isinstance(operation, InvalidateKey)  # noqa: S101 - nothing stands against a removal
    return VersionMismatch(key=operation.key, version=int(reply[1]), if_version=operation.if_version)
