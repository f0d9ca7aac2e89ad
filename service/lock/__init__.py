"""Leases on names: exclusive for one owner, shared for many, each with a fencing token."""

from service.lock.locks import Locks
from service.lock.wire import (
    AcquireAllRequest,
    AcquireRequest,
    Granted,
    GrantedAll,
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
    "Granted",
    "GrantedAll",
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
