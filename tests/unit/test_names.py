"""Names: 1-512 bytes of UTF-8 without control characters; and what makes a retry recognisable."""

import pytest

from service.error_registry import FieldInvalid
from service.limits import NAME_BYTES_MAX
from service.lock import AcquireRequest
from service.names import RequestIdentity, encode_name


@pytest.mark.parametrize("name", ["a", "with space", "a:b{c}*?[", "ünï€😀", "\u00a0", "\u200b", "x" * NAME_BYTES_MAX])
def test_any_text_without_control_characters_is_a_name(name: str) -> None:
    assert encode_name("resource", name) == name.encode()


@pytest.mark.parametrize("name", ["", "a\x00", "\n", "a\tb", "\x1f", "\x7f", "\x80", "\x9f", "\ud800", "a\udfff"])
def test_what_cannot_stand_in_a_key_or_a_log_is_refused_by_field(name: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        encode_name("resource", name)
    assert refused.value.fields["field"] == "resource"


def test_the_limit_is_in_bytes() -> None:
    encode_name("resource", "é" * (NAME_BYTES_MAX // 2))
    with pytest.raises(FieldInvalid, match="has 514 bytes, a name has 1 to 512"):
        encode_name("resource", "é" * (NAME_BYTES_MAX // 2 + 1))


def test_without_a_request_id_there_is_nothing_to_recognise() -> None:
    identity = RequestIdentity("lock.acquire", AcquireRequest("r", "o"), None)
    assert (identity.key_suffix, identity.fingerprint) == (b"", b"")


def test_the_same_request_has_the_same_identity() -> None:
    one, two = (RequestIdentity("lock.acquire", AcquireRequest("r", "o", request_id="q"), "q") for _ in range(2))
    assert (one.key_suffix, one.fingerprint) == (two.key_suffix, two.fingerprint)
    assert one.key_suffix == b"q"
    assert one.fingerprint


def test_another_operation_or_other_contents_have_another_fingerprint() -> None:
    request = AcquireRequest("r", "o", request_id="q")
    variants = [
        RequestIdentity("lock.acquire", request, "q"),
        RequestIdentity("lock.release", request, "q"),
        RequestIdentity("lock.acquire", AcquireRequest("r2", "o", request_id="q"), "q"),
        RequestIdentity("lock.acquire", AcquireRequest("r", "o", ttl_ms=1_000, request_id="q"), "q"),
        RequestIdentity("lock.acquire", AcquireRequest("r", "o", mode="shared", request_id="q"), "q"),
    ]
    assert len({identity.fingerprint for identity in variants}) == len(variants)


def test_a_request_id_is_a_name() -> None:
    with pytest.raises(FieldInvalid) as refused:
        RequestIdentity("lock.acquire", AcquireRequest("r", "o"), "a\x00")
    assert refused.value.fields["field"] == "request_id"
