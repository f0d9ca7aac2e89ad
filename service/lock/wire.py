"""What is asked of a lock and what is answered. Field meanings are the public API's (docs/reference/api.md)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.limits import (
    INTEGER_MAX,
    LEASE_MS_DEFAULT,
    LEASE_MS_MAX,
    LEASE_MS_MIN,
    LOCK_HOLD_MS_MAX,
    LOCK_LIMIT_MAX,
    LOCK_RESOURCES_MAX,
    LOCK_RESOURCES_MIN,
    LOCK_WAIT_S_DEFAULT,
    LOCK_WAIT_S_MAX,
)
from service.lock.events import LockEvent
from service.names import Name

Mode = Literal["exclusive", "shared", "semaphore"]
ModeOfSeveral = Literal["exclusive", "shared"]
LeaseMs = Annotated[int, Meta(ge=LEASE_MS_MIN, le=LEASE_MS_MAX, description="Length of the lease in milliseconds.")]
HoldMs = Annotated[
    int, Meta(ge=LEASE_MS_MIN, le=LOCK_HOLD_MS_MAX, description="How long to hold at most, renewals included, in ms.")
]
Permits = Annotated[int, Meta(ge=1, le=LOCK_LIMIT_MAX, description="Permits of a semaphore.")]
Token = Annotated[int, Meta(ge=1, le=INTEGER_MAX, description="Fencing token of a grant.")]

WaitS = Annotated[float, Meta(ge=0, le=LOCK_WAIT_S_MAX, description="Seconds to wait for the lock; 0 tries once.")]


class AcquireRequest(msgspec.Struct, forbid_unknown_fields=True):
    # What is unset stays out of what identifies a request, so a repeat through a node of an older release is one.
    resource: Name
    owner: Name
    mode: Mode | UnsetType = UNSET
    ttl_ms: LeaseMs = LEASE_MS_DEFAULT
    timeout: WaitS = LOCK_WAIT_S_DEFAULT
    request_id: Name | None = None
    reentrant: bool | UnsetType = UNSET
    limit: Permits | UnsetType = UNSET
    permits: Permits | UnsetType = UNSET
    max_hold_ms: HoldMs | UnsetType = UNSET
    metadata: msgspec.Raw | UnsetType = UNSET


class ReleaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    resource: Name
    owner: Name
    token: Token | None = None
    request_id: Name | None = None
    all: bool | UnsetType = UNSET


class RenewRequest(msgspec.Struct, forbid_unknown_fields=True):
    resource: Name
    owner: Name
    token: Token
    ttl_ms: LeaseMs | None = None
    request_id: Name | None = None


Resources = Annotated[
    list[Name],
    Meta(min_length=LOCK_RESOURCES_MIN, max_length=LOCK_RESOURCES_MAX, extra_json_schema={"uniqueItems": True}),
]
Tokens = Annotated[dict[str, Token], Meta(description="Fencing token of each resource.")]


class AcquireAllRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Several locks, all or none."""

    resources: Resources
    owner: Name
    mode: ModeOfSeveral = "exclusive"
    ttl_ms: LeaseMs = LEASE_MS_DEFAULT
    timeout: WaitS = LOCK_WAIT_S_DEFAULT
    request_id: Name | None = None


class ReleaseAllRequest(msgspec.Struct, forbid_unknown_fields=True):
    resources: Resources
    owner: Name
    tokens: Tokens | None = None
    request_id: Name | None = None


class RenewAllRequest(msgspec.Struct, forbid_unknown_fields=True):
    resources: Resources
    owner: Name
    tokens: Tokens
    ttl_ms: LeaseMs | None = None
    request_id: Name | None = None


class ForceReleaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Without `owner` and `token` all holds end that stand now."""

    resource: Name
    reason: Name
    owner: Name | None = None
    token: Token | None = None
    request_id: Name | None = None


class UpgradeRequest(msgspec.Struct, forbid_unknown_fields=True):
    resource: Name
    owner: Name
    token: Token
    ttl_ms: LeaseMs | None = None
    timeout: Annotated[
        float, Meta(ge=0, le=LOCK_WAIT_S_MAX, description="Seconds to wait for the other readers; 0 tries once.")
    ] = LOCK_WAIT_S_DEFAULT
    request_id: Name | None = None


class DowngradeRequest(msgspec.Struct, forbid_unknown_fields=True):
    resource: Name
    owner: Name
    token: Token
    request_id: Name | None = None


class Holder(msgspec.Struct):
    owner: str
    mode: Mode
    token: int
    expires_in_ms: int
    holds: int | UnsetType = UNSET
    permits: int | UnsetType = UNSET
    hold_left_ms: int | UnsetType = UNSET
    metadata: msgspec.Raw | UnsetType = UNSET


class Waiter(msgspec.Struct):
    owner: str
    mode: Literal["exclusive", "shared", "semaphore", "upgrade"]
    position: int


class Granted(msgspec.Struct, kw_only=True):
    granted: Literal[True] = True
    resource: str
    owner: str
    mode: Mode
    token: int
    ttl_ms: int
    waited_ms: int
    holds: int | UnsetType = UNSET
    permits: int | UnsetType = UNSET
    limit: int | UnsetType = UNSET


class GrantedAll(msgspec.Struct, kw_only=True):
    granted: Literal[True] = True
    resources: list[str]
    tokens: dict[str, int]
    owner: str
    mode: ModeOfSeveral
    ttl_ms: int
    waited_ms: int


class Released(msgspec.Struct):
    released: Literal[True] = True
    holds: int | UnsetType = UNSET


class Ended(msgspec.Struct):
    owner: str
    token: int


class ForceReleased(msgspec.Struct, kw_only=True):
    """The holds that it was decided to end; `more` when there were others."""

    released: Literal[True] = True
    resource: str
    holds: list[Ended]
    more: bool


class Renewed(msgspec.Struct, kw_only=True):
    renewed: Literal[True] = True
    ttl_ms: int
    token: int


Ending = Literal["released", "lock_not_held", "token_stale"]
Renewal = Literal["renewed", "held", "lock_lost", "lock_hold_exceeded"]
"""`held`: it runs, with what it had left."""


class ReleasedAll(msgspec.Struct):
    outcomes: dict[str, Ending]
    released: Literal[True] = True


class RenewedAll(msgspec.Struct, kw_only=True):
    renewed: Literal[True] = True
    ttl_ms: int
    tokens: dict[str, int]


class ListedLock(msgspec.Struct):
    """`owner`, `token` and `expires_in_ms` are the first holder's; null for a lock that is only waited for just now."""

    resource: str
    mode: Mode | None
    holder_count: int
    owner: str | None
    token: int | None
    expires_in_ms: int | None
    waiter_count: int


class LockList(msgspec.Struct):
    """`cursor` is for the next page, null on the last."""

    locks: list[ListedLock]
    cursor: str | None


class History(msgspec.Struct):
    """What is recorded of a lock, the latest first; `more` when there is something older. `recorded_since_ms` is Redis
    time, since 1970, of the oldest event kept of all locks in its partition; null while nothing is recorded."""

    events: list[LockEvent]
    more: bool
    recorded_since_ms: int | None


class Upgraded(msgspec.Struct, kw_only=True):
    upgraded: Literal[True] = True
    resource: str
    owner: str
    mode: Literal["exclusive"] = "exclusive"
    token: int
    ttl_ms: int
    waited_ms: int


class Downgraded(msgspec.Struct, kw_only=True):
    downgraded: Literal[True] = True
    resource: str
    owner: str
    mode: Literal["shared"] = "shared"
    token: int
    ttl_ms: int


class LockState(msgspec.Struct):
    resource: str
    mode: Mode | None
    holder_count: int
    holders: list[Holder]
    more: bool
    waiter_count: int = 0
    waiters: list[Waiter] = []
    limit: int | UnsetType = UNSET
    history: History | UnsetType = UNSET
    """Where it was asked for."""
