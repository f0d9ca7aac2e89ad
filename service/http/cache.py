"""Cache operations of the API."""

from service.cache import (
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
from service.error_registry import FillSuperseded, PayloadTooLarge, VersionMismatch
from service.http.operation import Operation

OPERATIONS = (
    Operation(
        path="/cache/put",
        summary="Store a value; with `if_version`, only if the key still has that version.",
        request=PutRequest,
        replies=(PutDone,),
        errors=(PayloadTooLarge, VersionMismatch, FillSuperseded),
        bind=lambda context: lambda request, _: context.caches.put(request),
        refusal={"ok": False},
        payload_field="value",
        takes_condition=True,
        examples=({"key": "k", "value": {"x": 1}},),
    ),
    Operation(
        path="/cache/get",
        summary="Read a value, from this node's near cache or (`strong`) from Redis.",
        request=GetRequest,
        replies=(Found, Missing),
        errors=(),
        bind=lambda context: context.caches.get,
        examples=({"key": "k"}, {"key": "k", "consistency": "strong"}, {"key": "k", "fill_ms": 5000}),
    ),
    Operation(
        path="/cache/mput",
        summary="Store several values, each judged by itself.",
        request=PutManyRequest,
        replies=(PutManyDone,),
        errors=(PayloadTooLarge,),
        bind=lambda context: lambda request, _: context.caches.put_many(request),
        refusal={"ok": False},
        payload_field="items",
        examples=({"items": [{"key": "k1", "value": 1}, {"key": "k2", "value": 2}]},),
    ),
    Operation(
        path="/cache/mget",
        summary="Read several values.",
        request=GetManyRequest,
        replies=(GetManyDone,),
        errors=(),
        bind=lambda context: lambda request, _: context.caches.get_many(request),
        examples=({"keys": ["k1", "k2"]},),
    ),
    Operation(
        path="/cache/invalidate",
        summary="Remove one key, several, or all that have a tag or begin alike, on every node.",
        request=InvalidateRequest,
        replies=(Invalidated,),
        errors=(),
        bind=lambda context: lambda request, _: context.caches.invalidate(request),
        examples=({"key": "k"}, {"keys": ["k1", "k2"]}, {"tag": "t"}, {"prefix": "user:7:"}),
    ),
)
