"""What scripts store of a message, read: lua/lib/attributes and lua/lib/delivered say how it is written."""

import re
from typing import NamedTuple

import msgspec

from service.queue.wire import Message

_ATTRIBUTES = re.compile(rb"(\d+)\t(\d) (\d+) (\d+) (\d+) ")
_DELIVERED = re.compile(rb"(\d+)\.\d+(?: |\t\d \d+ (\d+) )?(.*)", re.DOTALL)


def message_of(record: bytes) -> Message:
    published_ms, separator, data = record.partition(b" ")
    if separator and b"\t" not in published_ms:
        return Message(int(published_ms) / 1000, msgspec.Raw(data))
    found = _ATTRIBUTES.match(record)
    assert found, "a record that no script wrote"  # noqa: S101
    ms, priority, _, key_bytes, headers_bytes = (int(part) for part in found.groups())
    key_end = found.end() + key_bytes
    headers_end = key_end + headers_bytes
    key, headers = record[found.end() : key_end], record[key_end:headers_end]
    return Message(
        ms / 1000,
        msgspec.Raw(record[headers_end:]),
        priority=priority,
        key=key.decode() if key else None,
        headers=msgspec.Raw(headers) if headers else None,
    )


class Last(NamedTuple):
    """The last delivery of a message."""

    attempts: int
    consumer: str


def last_delivery(delivered: bytes) -> Last:
    found = _DELIVERED.fullmatch(delivered)
    if not found:
        return Last(0, "")
    return Last(int(found[1]), found[3][int(found[2] or 0) :].decode())
