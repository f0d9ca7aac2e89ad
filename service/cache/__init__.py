"""Versioned values in Redis with a near cache on every node."""

from service.cache.auditing import Auditor
from service.cache.caches import Caches
from service.cache.keeper import Keeper
from service.cache.naming import Names
from service.cache.near import NearCache
from service.cache.wire import (
    Audit,
    Found,
    GetManyDone,
    GetManyRequest,
    GetRequest,
    Invalidated,
    InvalidateRequest,
    Missing,
    PutDone,
    PutManyDone,
    PutManyRequest,
    PutRequest,
)

__all__ = [
    "Audit",
    "Auditor",
    "Caches",
    "Found",
    "GetManyDone",
    "GetManyRequest",
    "GetRequest",
    "InvalidateRequest",
    "Invalidated",
    "Keeper",
    "Missing",
    "Names",
    "NearCache",
    "PutDone",
    "PutManyDone",
    "PutManyRequest",
    "PutRequest",
]
