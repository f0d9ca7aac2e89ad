"""lock.renew_all: the leases of several locks are set together, or none is."""

import pytest

from tests.lua.runner import GENERATION, QUARANTINE_MS, Runner

MODES = ("exclusive", "shared")


@pytest.mark.parametrize("mode", MODES)
def test_all_leases_are_set_together(run: Runner, mode: str) -> None:
    tokens = run.granted_all("a", "xy", mode, ttl_ms=10_000)
    assert run.renew_all("a", "xy", *tokens, ttl_ms=60_000) == (
        "ok",
        [0, *2 * [60_000, mode.encode(), 0, 0, 0, 0]],
    )
    assert all(59_000 < run.lease_left_ms("a", name) <= 60_000 for name in "xy")
    run.pass_time(30_000)
    assert run.renew_all("a", "xy", *tokens).fields[1::6] == [60_000, 60_000], "as long as renewed last"
    assert all(run.lease_left_ms("a", name) > 59_000 for name in "xy")


@pytest.mark.parametrize("lost", ["x", "y", "z"])
def test_when_one_is_lost_none_is_renewed_and_it_is_named(run: Runner, lost: str) -> None:
    tokens = run.granted_all("a", "xyz", ttl_ms=10_000)
    run.release("a", resource=lost)
    before = run.snapshot()
    expected = [b"lock_lost" if name == lost else b"ok" for name in "xyz"]
    assert run.renew_all("a", "xyz", *tokens, ttl_ms=60_000) == ("lock_lost", expected)
    assert run.snapshot() == before


def test_a_stranger_or_an_old_token_renews_none(run: Runner) -> None:
    tokens = run.granted_all("a", "xy")
    assert run.renew_all("b", "xy", *tokens) == ("lock_lost", [b"lock_lost", b"lock_lost"])
    assert run.renew_all("a", "xy", tokens[0], tokens[1] - 1) == ("lock_lost", [b"ok", b"lock_lost"])


def test_one_lease_made_shorter_is_marked(run: Runner) -> None:
    first = run.granted("a", resource="x", ttl_ms=60_000)
    second = run.granted("a", resource="y", ttl_ms=5_000)
    assert run.renew_all("a", "xy", first, second, ttl_ms=10_000).fields[0] == 2
    assert run.renew_all("a", "xy", first, second, ttl_ms=10_000).fields[0] == 0


def test_a_repeat_renews_nothing_and_is_refused_once_one_has_ended(run: Runner) -> None:
    tokens = run.granted_all("a", "xy")
    first = run.renew_all("a", "xy", *tokens, ttl_ms=9_000, request_id="r1")
    before = run.snapshot()
    assert run.renew_all("a", "xy", *tokens, ttl_ms=9_000, request_id="r1").fields == [1, *first.fields[1:]]
    assert run.snapshot() == before
    run.release("a", resource="x")
    assert run.renew_all("a", "xy", *tokens, ttl_ms=9_000, request_id="r1").code == "lock_lost"


def test_what_redis_shows_of_an_older_generation_is_not_renewed_in_quarantine(run: Runner) -> None:
    tokens = run.granted_all("a", "xy")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    code, (left_ms,) = run.renew_all("a", "xy", *tokens)
    assert (code, left_ms > QUARANTINE_MS - 10_000) == ("lock_quarantine", True)
    run.pass_time(QUARANTINE_MS)
    assert run.renew_all("a", "xy", *tokens).code == "lock_lost", "their leases have ended as well"
