"""Lock operations of the API."""

from service.error_registry import (
    LeaseNotCovered,
    LimitMismatch,
    LockHeld,
    LockHoldersFull,
    LockHoldExceeded,
    LockLost,
    LockNotHeld,
    LockQuarantine,
    LockReleased,
    LockWaitersFull,
    NoDelegation,
    NodeStopping,
    PayloadTooLarge,
    TokenStale,
)
from service.http.operation import Operation
from service.lock import AcquireRequest, Granted, Released, ReleaseRequest, Renewed, RenewRequest

OPERATIONS = (
    Operation(
        path="/lock/acquire",
        summary="Acquire a lease on a resource, waiting up to `timeout` seconds.",
        request=AcquireRequest,
        replies=(Granted,),
        errors=(
            LockHeld,
            LockQuarantine,
            LockReleased,
            LockHoldersFull,
            LimitMismatch,
            PayloadTooLarge,
            LockWaitersFull,
            NoDelegation,
            LeaseNotCovered,
            NodeStopping,
        ),
        bind=lambda context: context.locks.acquire,
        payload_field="metadata",
        refusal={"granted": False},
        examples=({"resource": "r1", "owner": "alice", "mode": "exclusive", "timeout": 2},),
    ),
    Operation(
        path="/lock/release",
        summary="Release the owner's hold; with `token`, only that one.",
        request=ReleaseRequest,
        replies=(Released,),
        errors=(LockNotHeld, TokenStale),
        bind=lambda context: lambda request, _: context.locks.release(request),
        refusal={"released": False},
        examples=({"resource": "r1", "owner": "alice"},),
    ),
    Operation(
        path="/lock/renew",
        summary="Set the time that is left of a lease.",
        request=RenewRequest,
        replies=(Renewed,),
        errors=(LockLost, LockHoldExceeded, NoDelegation, LeaseNotCovered),
        bind=lambda context: lambda request, _: context.locks.renew(request),
        refusal={"renewed": False},
        examples=({"resource": "r1", "owner": "alice", "token": 68719476737, "ttl_ms": 30000},),
    ),
)
