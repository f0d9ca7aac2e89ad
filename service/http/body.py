"""A request body, read within its limit and decoded into a request type; refusals name the field."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import orjson
from starlette.types import Receive

from service.error_registry import BodyNotJson, FieldInvalid, FieldMissing, FieldUnknown
from service.limits import BODY_BYTES_MAX

Request = TypeVar("Request", bound=msgspec.Struct)


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer."""


async def read_body(receive: Receive, limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """The whole body, or as much of it as shows that it is over the limit. Raises ClientGone."""
    chunks: list[bytes] = []
    size = 0
    while size <= limit_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if not message.get("more_body", False):
            break
    return b"".join(chunks)


def idempotency_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The Idempotency-Key header, which stands for `request_id`. Raises FieldInvalid."""
    for name, value in headers:
        if name == b"idempotency-key":
            try:
                return str(value, "utf-8")
            except UnicodeDecodeError:
                raise FieldInvalid(field="Idempotency-Key", reason="is not UTF-8") from None
    return None


FIELD_ERRORS = (FieldInvalid, FieldMissing, FieldUnknown)
"""What `decode` raises for JSON of another type than was asked for."""

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PATH = re.compile(r" - at `\$\.?(?:\[\.\.\.\])?(.*)`$")
_JSON_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_NAMED = re.compile(r"`([^`]*)`")


def decode(decoder: "msgspec.json.Decoder[Request]", body: bytes, payload_field: str) -> Request:
    """Raises BodyNotJson, FieldMissing, FieldUnknown or FieldInvalid."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _field_error(str(error)) from None
    except RecursionError:
        raise FieldInvalid(field=payload_field, reason="is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyNotJson(reason=_why_not_json(body, error)) from None


def _field_error(text: str) -> Exception:
    reason, where = text, _PATH.search(text)
    path = where[1] if where else ""
    if where:
        reason = text[: where.start()]
    named = _NAMED.search(reason)
    inner = f"{path}.{named[1]}" if path and named else (named[1] if named else "")
    if reason.startswith("Object missing required field"):
        return FieldMissing(field=inner)
    if reason.startswith("Object contains unknown field"):
        return FieldUnknown(field=inner)
    words = _NAMED.sub(lambda found: " or ".join(_JSON_WORDS.get(kind, kind) for kind in found[1].split(" | ")), reason)
    return FieldInvalid(field=path or "body", reason=words.replace("Expected", "expected"))


def _why_not_json(body: bytes, error: Exception) -> str:
    """The decoder skips over payloads and then tells less than a full parser does."""
    if not body:
        return "it is empty"
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as better:
        return str(better)
    return str(error)


def fields_of(body: bytes) -> frozenset[str]:
    """The names in a JSON object; none of anything else."""
    try:
        return frozenset(_object_decoder.decode(body))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return frozenset()


def known_fields(request: type[Any]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(request))
