"""What is asked of the cache and what is answered. Field meanings are the public API's (docs/reference/api.md).

Fields that came after the first release are absent when not given: outcomes of request ids are known by what a request
says, and a retry may reach a node of another release.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.limits import (
    CACHE_TTL_MS_MAX,
    FILL_MS_MAX,
    FILL_MS_MIN,
    INTEGER_MAX,
    INVALIDATE_BATCH_MAX,
    MGET_MAX,
    MPUT_MAX,
    NAME_BYTES_MAX,
    TAGS_MAX,
)
from service.names import Name

Version = Annotated[int, Meta(ge=0, le=INTEGER_MAX, description="The version the key must have; 0: it must not exist.")]
Lifetime = Annotated[int, Meta(ge=1, le=CACHE_TTL_MS_MAX, description="Lifetime in milliseconds.")]
Seen = Annotated[int, Meta(ge=1, le=INTEGER_MAX, description="Of a write that must be seen.")]
Consistency = Literal["local", "strong"]
FillToken = Annotated[str, Meta(min_length=1, max_length=64, description="As a read with fill_ms granted it.")]

Prefix = Annotated[
    str,
    Meta(min_length=0, max_length=NAME_BYTES_MAX, extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}),
]


class PutRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of `value` and `negative_ttl_ms`."""

    key: Name
    value: msgspec.Raw | UnsetType = UNSET
    ttl_ms: Lifetime | None = None
    if_version: Version | None = None
    request_id: Name | None = None
    tags: Annotated[list[Name], Meta(min_length=1, max_length=TAGS_MAX)] | UnsetType = UNSET
    stale_ms: Lifetime | UnsetType = UNSET
    fill_token: FillToken | UnsetType = UNSET
    negative_ttl_ms: Lifetime | UnsetType = UNSET


class GetRequest(msgspec.Struct, forbid_unknown_fields=True):
    key: Name
    consistency: Consistency = "local"
    min_version: Seen | None = None
    stale_ms: Annotated[int, Meta(ge=1, le=CACHE_TTL_MS_MAX)] | None = None
    fill_ms: Annotated[int, Meta(ge=FILL_MS_MIN, le=FILL_MS_MAX)] | None = None
    wait_ms: Annotated[int, Meta(ge=0, le=FILL_MS_MAX)] | None = None


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """One value of an mput."""

    key: Name
    value: msgspec.Raw
    ttl_ms: Lifetime | None = None
    if_version: Version | None = None


class PutManyRequest(msgspec.Struct, forbid_unknown_fields=True):
    items: Annotated[list[Item], Meta(min_length=1, max_length=MPUT_MAX)]
    request_id: Name | None = None


class GetManyRequest(msgspec.Struct, forbid_unknown_fields=True):
    keys: Annotated[list[Name], Meta(min_length=1, max_length=MGET_MAX)]
    consistency: Consistency = "local"


class InvalidateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of `key`, `keys`, `tag` and `prefix`."""

    key: Name | None = None
    keys: Annotated[list[Name], Meta(min_length=1, max_length=INVALIDATE_BATCH_MAX)] | None = None
    request_id: Name | None = None
    tag: Name | UnsetType = UNSET
    prefix: Prefix | UnsetType = UNSET
    all: bool | UnsetType = UNSET


class PutDone(msgspec.Struct, kw_only=True):
    ok: Literal[True] = True
    version: int


class Stored(msgspec.Struct):
    """One value of an mput: its new version, or the one that stood against it."""

    ok: bool
    version: int


class PutManyDone(msgspec.Struct):
    ok: bool
    results: list[Stored]


class Found(msgspec.Struct):
    value: msgspec.Raw
    found: Literal[True]
    version: int
    source: Literal["local", "redis"]
    stale: Literal[True] | UnsetType = UNSET
    fill_token: str | UnsetType = UNSET


class Missing(msgspec.Struct):
    value: None = None
    found: Literal[False] = False
    absent: Literal[True] | UnsetType = UNSET
    fill_token: str | UnsetType = UNSET
    filling_ms: int | UnsetType = UNSET


class Read(msgspec.Struct):
    """One value of an mget; `value` is null when none was found."""

    value: msgspec.Raw
    found: bool
    version: int | UnsetType = UNSET
    source: Literal["local", "redis"] | UnsetType = UNSET
    absent: Literal[True] | UnsetType = UNSET


class GetManyDone(msgspec.Struct):
    entries: list[Read]


class Audit(msgspec.Struct):
    """What a node's copies are found to be, held against Redis."""

    entries: int
    """Copies that the node holds."""
    sampled: int
    """Of those, how many were looked at: drawn at random, and such as could be served just then."""
    stale: int
    """Of those, how many Redis had overwritten."""
    oldest_stale_ms: int
    """How long after Redis had said so one of them could still be served, at the most."""
    broken: int
    """How many could be for longer than `bound_ms`: none, ever."""
    bound_ms: int


class Invalidated(msgspec.Struct, kw_only=True):
    ok: Literal[True] = True
    invalidated: int
    more: Literal[True] | UnsetType = UNSET
