"""The comparison itself: an example that is wrong must not pass."""

import pytest

from tests.docs.shell import fill, matches


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("ok", "ok"),
        ("took ... ms", "took 12 ms"),
        ("first\n...\nlast", "first\na\nb\nlast"),
        ("first\n...\nlast", "first\nlast"),
        ("first\n...", "first\na\nb"),
        ("...\nlast", "a\nlast"),
        ('{"a":1,\n "b":...}', '{"a":1,"b":{"c":2}}'),
        ("...", ""),
    ],
)
def test_what_the_page_shows_is_what_was_printed(shown: str, printed: str) -> None:
    assert matches(shown, printed, {})


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("ok", "ok, but"),
        ("ok", ""),
        ("took ... ms", "took 12\nms"),
        ("first\n...\nlast", "first\na\nb"),
        ('{"a":1}', '{"a":2}'),
        ('{"a":1}', '{"a":1,"b":2}'),
        ('{"token":<token>}', '{"token":}'),
        ("", "a warning"),
    ],
)
def test_what_was_not_printed_is_told_apart(shown: str, printed: str) -> None:
    assert not matches(shown, printed, {})


def test_a_named_value_is_learned_and_then_held_to() -> None:
    known: dict[str, str] = {}
    assert matches('{"token":<my-token>}', '{"token":68719476737}', known)
    assert known == {"my-token": "68719476737"}
    assert matches("<my-token>", "68719476737", known)
    assert not matches("<my-token>", "68719476738", known)
    assert fill('{"token":<my-token>} < file <other>', known) == '{"token":68719476737} < file <other>'


def test_one_name_is_one_value_within_one_output() -> None:
    assert matches("<a> <a>", "1 1", {})
    assert not matches("<a> <a>", "1 2", {})
