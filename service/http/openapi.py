"""The OpenAPI 3.1 document, made from the operations and pages, their types, and the error registry."""

from collections.abc import Iterable
from typing import Any

import msgspec

from service import __version__
from service.error_registry import (
    BodyNotJson,
    BodyTooLarge,
    ClusterForeign,
    FenceMissing,
    FenceStale,
    FieldInvalid,
    FieldMissing,
    FieldUnknown,
    InternalError,
    OutcomeUnknown,
    RequestIdReused,
    ScriptAbsent,
    StoreBusy,
    StoreLoading,
    StoreOutOfMemory,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
    StoreUnblessed,
    StoreUnsettled,
)
from service.errors import SimpulError
from service.http.operation import Operation
from service.http.pages import EVENT_STREAM, Page
from service.limits import BODY_BYTES_MAX

_REF = "#/components/schemas/{name}"
_STORE_ERRORS = (
    StoreUnavailable,
    StoreBusy,
    StoreLoading,
    StoreOutOfMemory,
    StoreReadOnly,
    StoreUnsettled,
    StoreRefused,
    StoreUnblessed,
    ClusterForeign,
    ScriptAbsent,
    FenceMissing,
    FenceStale,
    OutcomeUnknown,
    InternalError,
)
_REQUEST_ERRORS = (BodyNotJson, BodyTooLarge, FieldInvalid, FieldMissing, FieldUnknown)

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. Further fields name what the sentence in `detail` speaks of.",
    "properties": {
        "type": {"type": "string", "description": "Path of the explanation of this code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "action": {"type": "string", "description": "What to do now."},
        "retry": {"enum": ["no", "later", "same-id"]},
    },
    "required": ["type", "title", "status", "code", "detail", "action", "retry"],
}

_SERVER_SENT: dict[str, Any] = {
    "type": "object",
    "description": "One server-sent event.",
    "properties": {
        "id": {"type": "string", "description": "What Last-Event-ID goes on from."},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "JSON: a LockEvent, a LockState after state, a reason after gap."},
    },
    "required": ["event", "data"],
}

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Stands for `request_id`: a repeat of the same request gets its first outcome.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[!-~]+$"},
}

_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags that the caller has.",
    "schema": {"type": "string", "minLength": 1, "pattern": '^(\\*|"[0-9]+")$'},
}
_ETAG = {"ETag": {"description": "The version, in quotes.", "schema": {"type": "string"}}}
_CONDITIONS = (
    {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of the value to replace: as `if_version`.",
        "schema": {"type": "string", "pattern": '^"[1-9][0-9]{0,14}"$'},
    },
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "As `if_version` 0: only if the key does not exist.",
        "schema": {"enum": ["*"]},
    },
)


def document(operations: Iterable[Operation], pages: Iterable[Page]) -> dict[str, Any]:
    """The whole document as plain data."""
    operations, pages = tuple(operations), tuple(pages)
    reply_types = [kind for operation in operations for kind in operation.replies]
    reply_types += [page.reply for page in pages if not isinstance(page.reply, str)]
    schemas = _components([kind for operation in operations for kind in _forms(operation)], reply_types)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Simpul",
            "version": __version__,
            "description": "Locks, queues and caches. Any node answers any request. Unknown fields are refused. "
            f"A request body has at most {BODY_BYTES_MAX} bytes.",
        },
        "paths": {
            **{operation.path: {"post": _post(operation)} for operation in operations},
            **{page.path: {"get": _get(page)} for page in pages},
        },
        "components": {"schemas": {**schemas, "Problem": _PROBLEM}},
    }


def _forms(operation: Operation) -> tuple[type[msgspec.Struct], ...]:
    return (operation.request, operation.variant.request) if operation.variant else (operation.request,)


def _components(request_types: list[type[msgspec.Struct]], reply_types: list[type[msgspec.Struct]]) -> dict[str, Any]:
    _, requests = msgspec.json.schema_components(request_types, ref_template=_REF)
    _, replies = msgspec.json.schema_components(reply_types, ref_template=_REF)
    for kind in reply_types:
        # Defaults of a reply are constants of its shape: always sent, unless the type omits them or says "unset".
        if not kind.__struct_config__.omit_defaults:
            unset = {field.encode_name for field in msgspec.structs.fields(kind) if field.default is msgspec.UNSET}
            shape = replies[kind.__name__]
            shape["required"] = [name for name in shape["properties"] if name not in unset]
    return {**requests, **replies}


def _post(operation: Operation) -> dict[str, Any]:
    has_request_id = "request_id" in operation.request.__struct_fields__
    errors = (*operation.errors, *_REQUEST_ERRORS, *((RequestIdReused,) if has_request_id else ()), *_STORE_ERRORS)
    examples = (*operation.examples, *(operation.variant.examples if operation.variant else ()))
    described: dict[str, Any] = {
        "operationId": operation.path.strip("/").replace("/", "_"),
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _one_of(_forms(operation)),
                    "examples": {str(number): {"value": value} for number, value in enumerate(examples, 1)},
                }
            },
        },
        "responses": _responses(_one_of(operation.replies), errors),
    }
    if has_request_id:
        described["parameters"] = [_IDEMPOTENCY_KEY, *(_CONDITIONS if operation.takes_condition else ())]
    return described


def _get(page: Page) -> dict[str, Any]:
    touches_redis = page.path.startswith(("/lock/", "/locks", "/queue/", "/cache/", "/events"))
    errors = (*page.errors, *(_STORE_ERRORS if touches_redis else ()))
    ok: dict[str, Any]
    if page.reply == EVENT_STREAM:
        ok = {EVENT_STREAM: {"schema": _SERVER_SENT}}
    elif page.has_etag:
        ok = {str(page.reply): {"schema": {}}}
    elif isinstance(page.reply, str):
        ok = {page.reply: {"schema": {"type": "string" if page.reply.startswith("text") else "object"}}}
    else:
        ok = {"application/json": {"schema": _one_of((page.reply,))}}
    described: dict[str, Any] = {
        "operationId": page.path.strip("/").replace("/", "_").replace("{", "").replace("}", ""),
        "summary": page.summary,
        "tags": [page.path.split("/")[1].removesuffix(".json")],
        "responses": _responses(ok, errors),
    }
    parameters: list[dict[str, Any]] = [
        {"name": one.name, "in": "query", "required": False, "description": one.about, "schema": one.schema}
        for one in page.parameters
    ]
    if "{" in page.path:
        name = page.path.split("{")[1].rstrip("}")
        schema = {"type": "string", "minLength": 1}
        parameters.insert(0, {"name": name, "in": "path", "required": True, "schema": schema})
    if page.has_etag:
        parameters.append(_IF_NONE_MATCH)
        described["responses"]["200"]["headers"] = _ETAG
        described["responses"]["304"] = {"description": "The caller has it.", "headers": _ETAG}
    if parameters:
        described["parameters"] = parameters
    return described


def _one_of(kinds: tuple[type, ...]) -> dict[str, Any]:
    refs = [{"$ref": _REF.format(name=kind.__name__)} for kind in kinds]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _responses(ok: dict[str, Any], errors: Iterable[type[SimpulError]]) -> dict[str, Any]:
    """One entry a status; each lists the codes that come with it."""
    content = ok if any("/" in key for key in ok) else {"application/json": {"schema": ok}}
    found: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error.code)
    for status, codes in sorted(by_status.items()):
        found[str(status)] = {
            "description": "Refused: " + ", ".join(f"`{code}`" for code in codes) + ".",
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
    return found
