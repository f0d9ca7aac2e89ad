"""Versioned values in Redis with a near cache on every node."""

from service.cache.caches import Caches
from service.cache.keeper import Keeper
from service.cache.near import NearCache
from service.cache.wire import Found, GetRequest, Invalidated, InvalidateRequest, Missing, PutDone, PutRequest

__all__ = [
    "Caches",
    "Found",
    "GetRequest",
    "InvalidateRequest",
    "Invalidated",
    "Keeper",
    "Missing",
    "NearCache",
    "PutDone",
    "PutRequest",
]
