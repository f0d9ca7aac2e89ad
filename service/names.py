"""What a name may be: 1-512 bytes of UTF-8 without control characters, so that it can stand in keys and logs."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated

import msgspec

from service.error_registry import FieldInvalid
from service.limits import NAME_BYTES_MAX

Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=NAME_BYTES_MAX,
        extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"},
    ),
]
"""Decoding checks the length in characters; `encode_name` the rest."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def encode_name(field: str, name: str) -> bytes:
    """The name as it goes into keys. Raises FieldInvalid, naming the field."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise FieldInvalid(field=field, reason="holds half of a surrogate pair, which is no character") from None
    if not name.isprintable() and _CONTROL.search(name):
        raise FieldInvalid(field=field, reason="holds a control character")
    if not 0 < len(encoded) <= NAME_BYTES_MAX:
        raise FieldInvalid(field=field, reason=f"has {len(encoded)} bytes, a name has 1 to {NAME_BYTES_MAX}")
    return encoded


def encode_names(field: str, names: Sequence[str]) -> list[bytes]:
    """Those of a list. Raises FieldInvalid, naming the item."""
    return [
        name.encode()
        # What most names are is seen at once.
        if name.isascii() and name.isprintable() and 0 < len(name) <= NAME_BYTES_MAX
        else encode_name(f"{field}[{place}]", name)
        for place, name in enumerate(names)
    ]


class RequestIdentity:
    """What makes a retry recognisable: where its outcome is kept and what the request was."""

    __slots__ = ("fingerprint", "key_suffix")

    def __init__(self, operation: str, request: msgspec.Struct, request_id: str | None) -> None:
        if request_id is None:
            self.key_suffix = self.fingerprint = b""
            return
        self.key_suffix = encode_name("request_id", request_id)
        contents = msgspec.json.encode(request)
        self.fingerprint = blake2b(operation.encode() + b"\n" + contents, digest_size=12).hexdigest().encode()
