"""A receipt names one delivery: `<generation>.<attempt>.<delivered_ms>.<message id>`.

queue.consume makes it, so that it carries the generation its delivery was made under. The id may hold dots, so it
comes last. A receipt is not a secret: it fences, it does not authorise.
"""

import re
from typing import NamedTuple

from service.error_registry import FieldInvalid

_FORM = re.compile(r"([1-9]\d{0,6})\.([1-9]\d{0,8}\.[1-9]\d{0,14})\.(.+)", re.DOTALL | re.ASCII)
_LINES = re.compile(r"^([1-9]\d{0,6})\.([1-9]\d{0,8}\.[1-9]\d{0,14})\.(.+)$", re.MULTILINE | re.ASCII)


class ReceiptParts(NamedTuple):
    """In the order in which scripts take them."""

    id: str
    delivery: str
    generation: str


def parse(field: str, receipt: str) -> ReceiptParts:
    """Raises FieldInvalid, naming the field, for what no consume reply can have held."""
    parts = _FORM.fullmatch(receipt)
    if not parts:
        raise FieldInvalid(field=field, reason="is not a receipt; send it exactly as consume returned it")
    generation, delivery, message_id = parts.groups()
    return ReceiptParts(message_id, delivery, generation)


def parse_all(field: str, listed: list[str]) -> list[ReceiptParts]:
    """As `parse` of each; of many in one go, for they have no line breaks. Raises FieldInvalid, naming the item."""
    text = "\n".join(listed)
    found = _LINES.findall(text)
    if len(found) == len(listed) == text.count("\n") + 1:
        return [ReceiptParts(message_id, delivery, generation) for generation, delivery, message_id in found]
    return [parse(f"{field}[{position}]", receipt) for position, receipt in enumerate(listed)]
