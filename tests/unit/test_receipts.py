"""Receipts: taken apart as queue.consume made them; anything else is refused before Redis is asked."""

import pytest

from service.error_registry import FieldInvalid
from service.queue.receipts import ReceiptParts, parse, parse_all


@pytest.mark.parametrize(
    ("receipt", "parts"),
    [
        ("1.1.1700000000000.a", ReceiptParts("a", "1.1700000000000", "1")),
        ("131071.12.1700000000000.with.dots.", ReceiptParts("with.dots.", "12.1700000000000", "131071")),
        ("3.1.1700000000000.3.1.1700000000000.a", ReceiptParts("3.1.1700000000000.a", "1.1700000000000", "3")),
        ("3.1.1700000000000.ü {x}", ReceiptParts("ü {x}", "1.1700000000000", "3")),
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


@pytest.mark.parametrize("bad", ["", "1.1.a", "1.1.5\n1.1.5.b", "\n"])
def test_one_bad_receipt_of_many_is_refused_by_its_place(bad: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        parse_all("receipts", ["1.1.5.a", "3.1.1700000000000.ü {x}", bad, "also bad"])
    assert refused.value.fields["field"] == "receipts[2]"


def test_many_are_taken_apart_as_one_is() -> None:
    listed = ["1.1.5.a", "3.1.1700000000000.3.1.1700000000000.a", "2.7.1700000000000.\u2028ü", "1.1.5.with\nbreak"]
    each = [parse("receipt", receipt) for receipt in listed]
    assert parse_all("receipts", listed) == each
    assert parse_all("receipts", listed[:3]) == each[:3]
