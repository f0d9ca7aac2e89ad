"""Leases on names: exclusive for one owner, shared for many, each with a fencing token."""

from service.lock.locks import Locks
from service.lock.wire import (
    AcquireAllRequest,
    AcquireRequest,
    Ended,
    ForceReleased,
    ForceReleaseRequest,
    Granted,
    GrantedAll,
    LockList,
    LockState,
    ReleaseAllRequest,
    Released,
    ReleasedAll,
    ReleaseRequest,
    RenewAllRequest,
    Renewed,
    RenewedAll,
    RenewRequest,
)

__all__ = [
    "AcquireAllRequest",
    "AcquireRequest",
    "Ended",
    "ForceReleaseRequest",
    "ForceReleased",
    "Granted",
    "GrantedAll",
    "LockList",
    "LockState",
    "Locks",
    "ReleaseAllRequest",
    "ReleaseRequest",
    "Released",
    "ReleasedAll",
    "RenewAllRequest",
    "RenewRequest",
    "Renewed",
    "RenewedAll",
]
