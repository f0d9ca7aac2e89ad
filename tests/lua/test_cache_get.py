"""cache.get: the latest value, its version and its lifetime."""

from tests.lua.runner import COUNTER_BITS, GENERATION, Runner


def test_a_key_that_does_not_exist_has_nothing_to_tell(run: Runner) -> None:
    assert run.call("cache.get", "a") == ("ok", [])


def test_the_latest_value_comes_with_its_version(run: Runner) -> None:
    run.put("a", b"1")
    version = run.put("a", b"2").fields[0]
    assert run.get("a") == (version, b"2")
    assert version == (GENERATION << COUNTER_BITS) + 2


def test_a_value_for_ever_has_no_lifetime(run: Runner) -> None:
    run.put("a")
    assert run.call("cache.get", "a").fields[1] == -1


def test_a_lifetime_is_what_is_left_of_it(run: Runner) -> None:
    run.put("a", ttl_ms=30_000)
    run.pass_time(10_000)
    assert 15_000 < run.call("cache.get", "a").fields[1] <= 20_000


def test_reading_changes_nothing(run: Runner) -> None:
    run.put("a", ttl_ms=30_000)
    before = run.snapshot()
    run.get("a")
    run.get("b")
    assert run.snapshot() == before
