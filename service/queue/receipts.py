"""A receipt names one delivery: `<generation>.<attempt>.<delivered_ms>.<message id>`.

queue.consume makes it, so that it carries the generation its delivery was made under. The id may hold dots, so it
comes last. A receipt is not a secret: it fences, it does not authorise.
"""

import re
from typing import NamedTuple

from service.error_registry import FieldInvalid

_FORM = re.compile(r"([1-9]\d{0,6})\.([1-9]\d{0,8}\.[1-9]\d{0,14})\.(.+)", re.DOTALL | re.ASCII)


class ReceiptParts(NamedTuple):
    generation: str
    delivery: str
    id: str

    @property
    def as_sent(self) -> tuple[str, str, str]:
        """In the order in which scripts take them."""
        return self.id, self.delivery, self.generation


def parse(field: str, receipt: str) -> ReceiptParts:
    """Raises FieldInvalid, naming the field, for what no consume reply can have held."""
    parts = _FORM.fullmatch(receipt)
    if not parts:
        raise FieldInvalid(field=field, reason="is not a receipt; send it exactly as consume returned it")
    return ReceiptParts(*parts.groups())
