"""What is asked of the cache and what is answered. Field meanings are the public API's (docs/reference/api.md)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.limits import CACHE_TTL_MS_MAX, INTEGER_MAX, INVALIDATE_BATCH_MAX
from service.names import Name

Version = Annotated[int, Meta(ge=0, le=INTEGER_MAX, description="The version the key must have; 0: it must not exist.")]


class PutRequest(msgspec.Struct, forbid_unknown_fields=True):
    key: Name
    value: msgspec.Raw
    ttl_ms: Annotated[int, Meta(ge=1, le=CACHE_TTL_MS_MAX, description="Lifetime in milliseconds.")] | None = None
    if_version: Version | None = None
    request_id: Name | None = None


class GetRequest(msgspec.Struct, forbid_unknown_fields=True):
    key: Name
    consistency: Literal["local", "strong"] = "local"
    min_version: Annotated[int, Meta(ge=1, le=INTEGER_MAX, description="Of a write that must be seen.")] | None = None


class InvalidateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of `key` and `keys`."""

    key: Name | None = None
    keys: Annotated[list[Name], Meta(min_length=1, max_length=INVALIDATE_BATCH_MAX)] | None = None
    request_id: Name | None = None


class PutDone(msgspec.Struct, kw_only=True):
    ok: Literal[True] = True
    version: int


class Found(msgspec.Struct):
    value: msgspec.Raw
    found: Literal[True]
    version: int
    source: Literal["local", "redis"]


class Missing(msgspec.Struct):
    value: None = None
    found: Literal[False] = False


class Invalidated(msgspec.Struct, kw_only=True):
    ok: Literal[True] = True
    invalidated: int
