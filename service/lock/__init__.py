"""Leases on names: exclusive for one owner, shared for many, each with a fencing token."""

from service.lock.locks import Locks
from service.lock.wire import (
    AcquireRequest,
    Ended,
    ForceReleased,
    ForceReleaseRequest,
    Granted,
    LockList,
    LockState,
    Released,
    ReleaseRequest,
    Renewed,
    RenewRequest,
)

__all__ = [
    "AcquireRequest",
    "Ended",
    "ForceReleaseRequest",
    "ForceReleased",
    "Granted",
    "LockList",
    "LockState",
    "Locks",
    "ReleaseRequest",
    "Released",
    "RenewRequest",
    "Renewed",
]
