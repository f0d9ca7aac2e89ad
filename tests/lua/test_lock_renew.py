"""lock.renew: how long a lease runs after it, and which holds it keeps."""

import pytest

from tests.lua.runner import Runner

MODES = ("exclusive", "shared")


@pytest.mark.parametrize("mode", MODES)
def test_a_renewal_sets_the_time_left_and_never_adds(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=30_000)
    for _ in range(3):
        assert run.renew("a", token, 40_000) == ("ok", [40_000])
    assert 35_000 < run.lease_left_ms("a") <= 40_000


@pytest.mark.parametrize("mode", MODES)
def test_a_renewal_may_shorten_a_lease(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=60_000)
    run.renew("a", token, 5_000)
    assert run.lease_left_ms("a") <= 5_000
    assert run.redis.pttl(run.key("lock", "res")) <= 5_001
    run.pass_time(5_001)
    assert run.acquire("b").code == "ok"


@pytest.mark.parametrize("mode", MODES)
def test_a_renewed_lease_outlives_its_first_end(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=10_000)
    run.pass_time(8_000)
    run.renew("a", token, 10_000)
    run.pass_time(8_000)
    assert run.holders() == {"a": token}
    assert run.acquire("b").code == "lock_held"


@pytest.mark.parametrize("mode", MODES)
def test_without_a_length_the_last_one_counts(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=20_000)
    assert run.renew("a", token) == ("ok", [20_000])
    run.renew("a", token, 12_000)
    assert run.renew("a", token) == ("ok", [12_000])


def test_readers_renew_each_their_own_lease(run: Runner) -> None:
    long, short = run.granted("long", "shared", ttl_ms=60_000), run.granted("short", "shared", ttl_ms=10_000)
    assert run.renew("short", short) == ("ok", [10_000])
    assert run.renew("long", long) == ("ok", [60_000])
    run.renew("short", short, 5_000)
    assert 50_000 < run.lease_left_ms("long") <= 60_000
    for kind in ("lock", "readers"):
        assert run.redis.pttl(run.key(kind, "res")) > 50_000, "the longest lease keeps the keys"
    run.pass_time(5_001)
    assert run.holders() == {"long": long}


@pytest.mark.parametrize("mode", MODES)
def test_only_owner_and_token_together_renew(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    before = run.snapshot()
    assert run.renew("b", token, 1_000) == ("lock_lost", [])
    assert run.renew("a", token + 1, 1_000) == ("lock_lost", [])
    assert run.renew("a", token - 1, 1_000) == ("lock_lost", [])
    assert run.snapshot() == before


def test_a_free_lock_cannot_be_renewed(run: Runner) -> None:
    assert run.renew("a", 1).code == "lock_lost"


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_ended_stays_ended(run: Runner, mode: str, linger: bool) -> None:
    token = run.granted("a", mode, ttl_ms=1_000)
    run.pass_time(1_001, linger=linger)
    assert run.renew("a", token, 30_000).code == "lock_lost"
    assert run.holders() == {}


def test_a_reader_that_left_cannot_renew_among_those_who_stay(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    run.release("a")
    assert run.renew("a", token, 1_000).code == "lock_lost"


@pytest.mark.parametrize("mode", MODES)
def test_a_renewal_keeps_those_who_wait_known(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.acquire("b", waits=1)
    run.renew("a", token, 60_000)
    assert run.is_waited_for()


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_does_not_renew_a_second_time(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    first = run.renew("a", token, 20_000, request_id="r1")
    run.renew("a", token, 60_000)
    assert run.renew("a", token, 20_000, request_id="r1") == first
    assert run.lease_left_ms("a") > 50_000


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_never_calls_a_lease_renewed_that_has_ended_since(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    assert run.renew("a", token, 10_000, request_id="r1").code == "ok"
    run.pass_time(10_001)
    assert run.renew("a", token, 10_000, request_id="r1").code == "lock_lost"
