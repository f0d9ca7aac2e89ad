"""If-Match and If-None-Match (RFC 9110, section 13): a value's version is its entity tag."""

from __future__ import annotations

import re
from collections.abc import Iterable

from service.error_registry import FieldInvalid
from service.limits import INTEGER_MAX

_CONDITIONS = frozenset((b"if-match", b"if-none-match"))
_VERSION = re.compile(rb'"([1-9][0-9]{0,15})"')
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")


def entity_tag(version: int) -> str:
    return f'"{version}"'


def is_listed(header: str, version: int) -> bool:
    """Whether If-None-Match lists this version. Tags compare weakly here, as the RFC says. Raises FieldInvalid."""
    if header.strip() == "*":
        return True
    if not _TAGS.fullmatch(header):
        raise FieldInvalid(field="If-None-Match", reason="is neither * nor a list of entity tags in quotes")
    return entity_tag(version) in (tag.removeprefix("W/") for tag in re.findall(_TAG, header))


def condition_of(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The version that a write asks for, 0 for a key that must not exist. Raises FieldInvalid."""
    given = [(name, value) for name, value in headers if name in _CONDITIONS]
    if not given:
        return None
    name, value = given[0][0], given[0][1].strip()
    if len(given) > 1:
        raise FieldInvalid(field="If-Match", reason="and If-None-Match are one condition: send one of them, once")
    if name == b"if-none-match":
        if value != b"*":
            raise FieldInvalid(field="If-None-Match", reason="is * for a write: only if the key does not exist")
        return 0
    version = _VERSION.fullmatch(value)
    if version is None or int(version[1]) > INTEGER_MAX:
        raise FieldInvalid(field="If-Match", reason='is the ETag of one value, a version in quotes, such as "7"')
    return int(version[1])
