"""Opaque JSON of a user, kept byte for byte: checked once on the way in so that every reader can read it."""

from itertools import accumulate

import msgspec
import orjson

from service.error_registry import FieldInvalid, PayloadTooLarge
from service.limits import PAYLOAD_BYTES_MAX, PAYLOAD_DEPTH_MAX

_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def check_payload(field: str, raw: msgspec.Raw, limit_bytes: int = PAYLOAD_BYTES_MAX) -> bytes:
    """The payload's bytes. Raises PayloadTooLarge or FieldInvalid, naming the field.

    orjson parses it once more than the decoder of the envelope, which skips over it: that one lets bytes that are
    not UTF-8 through, and one such message would break every consumer's reply.
    """
    payload = bytes(raw)
    if len(payload) > limit_bytes:
        raise PayloadTooLarge(field=field, size_bytes=len(payload), limit_bytes=limit_bytes)
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise FieldInvalid(field=field, reason=f"is not JSON that every reader accepts ({error.msg})") from None
    if len(payload) > 2 * PAYLOAD_DEPTH_MAX and _opens(payload) > PAYLOAD_DEPTH_MAX < _depth(payload):
        raise FieldInvalid(field=field, reason=f"is nested deeper than {PAYLOAD_DEPTH_MAX} levels")
    return payload


def _opens(payload: bytes) -> int:
    """A bound of the depth that is soon found."""
    return payload.count(b"[") + payload.count(b"{")


def _depth(payload: bytes) -> int:
    """Deepest nesting of valid JSON; brackets inside strings do not count."""
    outside = b"".join(payload.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    return max(accumulate(_STEPS.get(byte, 0) for byte in outside), default=0)
