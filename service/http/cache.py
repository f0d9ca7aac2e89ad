"""Cache operations of the API."""

from service.cache import Found, GetRequest, Invalidated, InvalidateRequest, Missing, PutDone, PutRequest
from service.error_registry import PayloadTooLarge, VersionMismatch
from service.http.operation import Operation

OPERATIONS = (
    Operation(
        path="/cache/put",
        summary="Store a value; with `if_version`, only if the key still has that version.",
        request=PutRequest,
        replies=(PutDone,),
        errors=(PayloadTooLarge, VersionMismatch),
        bind=lambda context: lambda request, _: context.caches.put(request),
        refusal={"ok": False},
        payload_field="value",
        examples=({"key": "k", "value": {"x": 1}},),
    ),
    Operation(
        path="/cache/get",
        summary="Read a value, from this node's near cache or (`strong`) from Redis.",
        request=GetRequest,
        replies=(Found, Missing),
        errors=(),
        bind=lambda context: lambda request, _: context.caches.get(request),
        examples=({"key": "k"}, {"key": "k", "consistency": "strong"}),
    ),
    Operation(
        path="/cache/invalidate",
        summary="Remove one key or several, on every node.",
        request=InvalidateRequest,
        replies=(Invalidated,),
        errors=(),
        bind=lambda context: lambda request, _: context.caches.invalidate(request),
        examples=({"key": "k"}, {"keys": ["k1", "k2"]}),
    ),
)
