"""Refusals as application/problem+json (RFC 9457)."""

from typing import Any

import msgspec

from service.errors import SimpulError

RETRY_AFTER_S = b"1"
_CONTENT_TYPE = (b"content-type", b"application/problem+json")
_encode = msgspec.json.Encoder().encode

Headers = list[tuple[bytes, bytes]]


def problem(error: SimpulError, extra: dict[str, Any] | None = None) -> tuple[int, Headers, bytes]:
    """Status, headers and body of a refusal. `type` is a path every node answers with the entry's explanation."""
    document = {
        **(extra or {}),
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "action": error.advice,
        "retry": error.retry,
        **error.fields,
    }
    body = _encode(document)
    headers = [_CONTENT_TYPE, (b"content-length", b"%d" % len(body))]
    if error.status in (429, 503):
        headers.append((b"retry-after", RETRY_AFTER_S))
    if "allowed" in error.fields:
        headers.append((b"allow", str(error.fields["allowed"]).encode()))
    return error.status, headers, body
