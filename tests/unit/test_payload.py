"""Payloads: any JSON that every reader can read, kept byte for byte."""

import msgspec
import pytest

from service.error_registry import FieldInvalid, PayloadTooLarge
from service.limits import PAYLOAD_BYTES_MAX, PAYLOAD_DEPTH_MAX
from service.payload import check_payload


def nested(levels: int, *, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + closing * levels


def check(payload: bytes) -> bytes:
    return check_payload("data", msgspec.Raw(payload))


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"{}",
        b"null",
        b'""',
        b"0",
        b"12345678901234567890",
        b"1.10",
        b"-0.0",
        b'{"a":1,"a":2}',
        b" [ 1 , 2 ]\n",
        '"ü€😀"'.encode(),
        b'"\\u0000\\ud83d\\ude00"',
    ],
)
def test_a_payload_comes_back_as_the_bytes_that_were_sent(payload: bytes) -> None:
    assert check(payload) == payload


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[1,]",
        b"nul",
        b"NaN",
        b"Infinity",
        b"01",
        b"'a'",
        b"1 2",
        b'"\xff"',
        b'"\xc3"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\\ude00\\ud83d"',
        b'"\\x"',
        b'"a\nb"',
        b"\xef\xbb\xbf1",
    ],
)
def test_what_some_reader_would_choke_on_is_refused_by_field(payload: bytes) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check(payload)
    assert refused.value.fields["field"] == "data"


def test_the_limit_of_size_is_in_bytes_and_inclusive() -> None:
    full = b'"' + b"x" * (PAYLOAD_BYTES_MAX - 2) + b'"'
    assert check(full) == full
    with pytest.raises(PayloadTooLarge) as refused:
        check(full[:-1] + b'x"')
    assert refused.value.fields["size_bytes"] == PAYLOAD_BYTES_MAX + 1


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_the_limit_of_depth_is_inclusive(opening: bytes, closing: bytes) -> None:
    per_turn = opening.count(b"[") + opening.count(b"{")
    inside = b"" if opening == b"[" else b"1"
    turns = PAYLOAD_DEPTH_MAX // per_turn
    check(opening * turns + inside + closing * turns)
    with pytest.raises(FieldInvalid, match="deeper than 128"):
        check(opening * (turns + 1) + inside + closing * (turns + 1))


def test_depth_is_not_length() -> None:
    check(b"[" + b",".join([b"[]"] * 1_000) + b"]")


@pytest.mark.parametrize(
    "text",
    [b"[" * 500, b"{[" * 300, b'\\"' + b"[" * 500, b'\\\\\\"' + b"[" * 500, b"\\\\" + b"[" * 500, b'\\"[' * 200],
)
def test_brackets_inside_a_string_are_no_nesting(text: bytes) -> None:
    check(b'{"a":"' + text + b'"}')


@pytest.mark.parametrize("before", [b'"\\\\"', b'"\\""', b'"\\\\\\""', b'"]]]]"', b'"\\u0022"'])
def test_brackets_after_a_string_are_nesting(before: bytes) -> None:
    with pytest.raises(FieldInvalid, match="deeper than 128"):
        check(b"[" + before + b"," + nested(PAYLOAD_DEPTH_MAX) + b"]")


def test_nesting_that_no_parser_takes_is_refused_and_not_a_crash() -> None:
    with pytest.raises(FieldInvalid):
        check(nested(50_000))
