"""GET /cache/{key}: the value itself, with its version as the ETag, so that whoever has it is not sent it again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from service.cache import GetRequest, Missing
from service.error_registry import KeyAbsent
from service.http.conditions import entity_tag, is_listed
from service.http.context import Context
from service.http.query import Query, choice, integer
from service.limits import INTEGER_MAX

PARAMETERS = (
    choice("consistency", "local: this node's copy will do; strong: ask Redis.", "local", "strong"),
    integer("min_version", "Of a write that must be seen; 0: none.", least=0, most=INTEGER_MAX, default=0),
)
NOT_MODIFIED = 304


async def show_value(context: Context, request: Request, key: str) -> Response:
    """Raises KeyAbsent, FieldInvalid, FieldUnknown, and what the store raises."""
    query = Query(request, PARAMETERS)
    consistency = query.choice("consistency")
    asked = GetRequest(
        key,
        consistency="strong" if consistency == "strong" else "local",
        min_version=query.integer("min_version") or None,
    )
    found = await context.caches.get(asked)
    if isinstance(found, Missing):
        raise KeyAbsent(key=key)
    # no-cache: an HTTP cache on the way may keep it, and asks before each use.
    headers = {"etag": entity_tag(found.version), "cache-control": "no-cache"}
    known = ", ".join(request.headers.getlist("if-none-match"))
    if known and is_listed(known, found.version):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(bytes(found.value), headers=headers, media_type="application/json")
