"""What an acquire asks for beyond mode and lease: checked, and put into the one argument that the scripts take."""

from __future__ import annotations

from msgspec import UNSET

from service.decisions.node.leases import PLAIN, Rest
from service.error_registry import FieldInvalid, FieldMissing
from service.limits import LOCK_METADATA_BYTES_MAX
from service.lock.wire import AcquireRequest, Mode
from service.payload import check_payload


def settle(request: AcquireRequest) -> tuple[Mode, bytes]:
    """The mode, which goes into the request where it was only implied, and the `detail` (lua/lib/detail), which is
    empty for a plain lock.

    Raises FieldInvalid, FieldMissing, PayloadTooLarge.
    """
    mode, metadata = request.mode, request.metadata
    if mode is UNSET:
        mode = request.mode = "exclusive" if request.limit is UNSET else "semaphore"
    is_plain = request.limit is UNSET and request.permits is UNSET and request.max_hold_ms is UNSET
    if is_plain and metadata is UNSET and not request.reentrant and mode != "semaphore":
        return mode, b""
    _check_semaphore(request)
    if request.max_hold_ms is not UNSET and request.max_hold_ms < request.ttl_ms:
        raise FieldInvalid(field="max_hold_ms", reason=f"must be at least ttl_ms, which is {request.ttl_ms}")
    shown = b"" if metadata is UNSET else check_payload("metadata", metadata, LOCK_METADATA_BYTES_MAX)
    rest = rest_of(request)
    return mode, b"%d %d %d %d %b" % (rest.holds, rest.permits, rest.limit, rest.hold_left_ms, shown)


def rest_of(request: AcquireRequest) -> Rest:
    """Of the hold that it is granted first."""
    if request.limit is UNSET and request.max_hold_ms is UNSET and not request.reentrant:
        return PLAIN
    limit = request.limit or 0
    permits = request.permits or 1 if limit else 0
    return Rest(1 if request.reentrant else 0, permits, limit, request.max_hold_ms or 0)


def _check_semaphore(request: AcquireRequest) -> None:
    limit, permits = request.limit, request.permits
    if limit is UNSET:
        if request.mode == "semaphore":
            raise FieldMissing(field="limit")
        if permits is not UNSET:
            raise FieldInvalid(field="permits", reason="needs limit, how many there are in all")
    elif request.mode != "semaphore":
        raise FieldInvalid(field="limit", reason=f"is for the mode semaphore, not for {request.mode}")
    elif permits is not UNSET and permits > limit:
        raise FieldInvalid(field="permits", reason=f"must be at most limit, which is {limit}")
