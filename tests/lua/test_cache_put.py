"""cache.put: what is stored under which version, and that every near cache hears of it."""

import pytest

from tests.lua.runner import CHANNEL, COUNTER_BITS, GENERATION, Runner, heard
from tests.lua.test_queue_publish import PAYLOADS

FLOOR = GENERATION << COUNTER_BITS


def test_versions_count_up_over_all_keys_of_the_partition(run: Runner) -> None:
    assert [run.put(key) for key in "aba"] == [("ok", [FLOOR + number]) for number in (1, 2, 3)]


@pytest.mark.parametrize("data", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_value_is_kept_byte_for_byte(run: Runner, data: bytes) -> None:
    run.put("a", data)
    assert run.get("a") == (FLOOR + 1, data)


def test_a_value_without_a_lifetime_stays(run: Runner) -> None:
    run.put("a")
    assert run.redis.pttl(run.key("entry", "a")) == -1


def test_a_lifetime_is_kept_and_ends_the_value(run: Runner) -> None:
    run.put("a", ttl_ms=10_000)
    assert 5_000 < run.redis.pttl(run.key("entry", "a")) <= 10_000
    run.pass_time(10_001)
    assert run.get("a") is None


def test_a_later_put_replaces_the_lifetime(run: Runner) -> None:
    run.put("a", ttl_ms=10_000)
    run.put("a")
    assert run.redis.pttl(run.key("entry", "a")) == -1


def test_if_version_stores_only_over_that_version(run: Runner) -> None:
    version = run.put("a", b"1").fields[0]
    assert run.put("a", b"2", if_version=version).code == "ok"
    before = run.snapshot()
    assert run.put("a", b"3", if_version=version, request_id="r1") == ("version_mismatch", [b"%d" % (version + 1)])
    assert run.snapshot() == before


def test_if_version_nought_stores_only_what_does_not_exist(run: Runner) -> None:
    assert run.put("a", b"1", if_version=0).code == "ok"
    assert run.put("a", b"2", if_version=0).code == "version_mismatch"
    run.invalidate("a")
    assert run.put("a", b"3", if_version=0).code == "ok"


def test_if_version_of_a_key_that_is_gone_is_refused_with_nought(run: Runner) -> None:
    version = run.put("a", ttl_ms=1_000).fields[0]
    run.pass_time(1_001)
    assert run.put("a", if_version=version) == ("version_mismatch", [b"0"])


def test_a_version_never_comes_back_after_a_removal(run: Runner) -> None:
    first = run.put("a").fields[0]
    run.invalidate("a")
    second = run.put("a").fields[0]
    assert second > first
    assert run.put("a", if_version=first).code == "version_mismatch"


def test_a_value_that_begins_with_digits_does_not_pass_for_its_version(run: Runner) -> None:
    version = run.put("a", b"99 1").fields[0]
    assert run.put("a", if_version=99).code == "version_mismatch"
    assert run.put("a", if_version=version).code == "ok"


def test_every_put_is_published_with_version_and_key(run: Runner) -> None:
    with heard(run, CHANNEL) as messages:
        versions = [run.put("a").fields[0], run.put("a").fields[0]]
    assert messages == [b"%d %s" % (version, run.key("entry", "a")) for version in versions]


def test_a_refused_put_is_not_published(run: Runner) -> None:
    with heard(run, CHANNEL) as messages:
        run.put("a", if_version=5)
    assert messages == []


def test_a_lost_counter_stores_nothing(run: Runner) -> None:
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    assert run.put("a", request_id="r1") == ("fence_missing", [])
    assert run.snapshot() == before


def test_the_largest_version_is_exact_everywhere(run: Runner) -> None:
    largest = 2**53 - 1
    run.redis.set(run.key("versions"), largest - 1)
    assert run.put("a", b"x", request_id="r1", knows_names="").fields == [largest]
    assert run.put("a", b"x", request_id="r1", knows_names="").fields == [largest], "through the kept outcome"
    assert run.get("a") == (largest, b"x")
    assert run.put("a", if_version=1) == ("version_mismatch", [b"9007199254740991"])


def test_a_repeat_neither_stores_nor_publishes_again(run: Runner) -> None:
    first = run.put("a", b"1", request_id="r1")
    run.put("a", b"2")
    with heard(run, CHANNEL) as messages:
        assert run.put("a", b"1", request_id="r1") == first
    assert messages == []
    assert run.get("a") == (FLOOR + 2, b"2")


def test_a_mismatch_is_judged_again(run: Runner) -> None:
    assert run.put("a", if_version=FLOOR + 1, request_id="r1").code == "version_mismatch"
    run.put("a")
    assert run.put("a", if_version=FLOOR + 1, request_id="r1").code == "ok"
