"""Leases on names: exclusive for one owner, shared for many, each with a fencing token."""

from service.lock.locks import Locks
from service.lock.wire import (
    AcquireRequest,
    Granted,
    LockState,
    Released,
    ReleaseRequest,
    Renewed,
    RenewRequest,
)

__all__ = [
    "AcquireRequest",
    "Granted",
    "LockState",
    "Locks",
    "ReleaseRequest",
    "Released",
    "RenewRequest",
    "Renewed",
]
