"""Receipts: taken apart as queue.consume made them; anything else is refused before Redis is asked."""

import pytest

from service.error_registry import FieldInvalid
from service.queue.receipts import ReceiptParts, parse


@pytest.mark.parametrize(
    ("receipt", "parts"),
    [
        ("1.1.1700000000000.a", ReceiptParts("1", "1.1700000000000", "a")),
        ("131071.12.1700000000000.with.dots.", ReceiptParts("131071", "12.1700000000000", "with.dots.")),
        ("3.1.1700000000000.3.1.1700000000000.a", ReceiptParts("3", "1.1700000000000", "3.1.1700000000000.a")),
        ("3.1.1700000000000.ü {x}", ReceiptParts("3", "1.1700000000000", "ü {x}")),
    ],
)
def test_a_receipt_names_generation_delivery_and_message(receipt: str, parts: ReceiptParts) -> None:
    assert parse("receipt", receipt) == parts


@pytest.mark.parametrize(
    "receipt",
    [
        "",
        "a",
        "1",
        "1.1",
        "1.1.1",
        "1.1.1.",
        "1.1.a",
        "0.1.1.a",
        "1.0.1.a",
        "1.1.0.a",
        "01.1.1.a",
        "1.-1.1.a",
        "1.1.1e3.a",
        " 1.1.1.a",
        "1..1.a",
        "12345678.1.1.a",
        "1.1234567890.1.a",
        "1.1.1234567890123456.a",
        "1١.1.1700000000000.a",
    ],
)
def test_what_no_consume_can_have_made_is_refused_by_field(receipt: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        parse("receipts[3]", receipt)
    assert refused.value.fields["field"] == "receipts[3]"
