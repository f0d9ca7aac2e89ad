"""Quarantine: what locks do between the loss of their data and the end of the leases that were lost with it."""

import pytest

from tests.lua.runner import COUNTER_BITS, GENERATION, QUARANTINE_MS, Runner
from tests.support import DEADLINE_S

MODES = ("exclusive", "shared")
SLACK_MS = DEADLINE_S * 1_000


@pytest.mark.parametrize("mode", MODES)
def test_no_lock_is_granted_in_quarantine_and_nothing_is_touched(run: Runner, mode: str) -> None:
    run.lose_everything()
    before = run.snapshot()
    code, (left_ms,) = run.acquire("a", mode, request_id="r1")
    assert code == "lock_quarantine"
    assert QUARANTINE_MS - SLACK_MS < left_ms <= QUARANTINE_MS
    assert run.snapshot() == before


@pytest.mark.parametrize("mode", MODES)
def test_a_quarantine_lasts_for_its_time(run: Runner, mode: str) -> None:
    run.lose_everything(60_000)
    run.pass_time(30_000)
    code, (left_ms,) = run.acquire("a", mode)
    assert code == "lock_quarantine"
    assert 0 < left_ms <= 30_000


@pytest.mark.parametrize("mode", MODES)
def test_the_first_request_after_its_time_ends_it_and_is_granted(run: Runner, mode: str) -> None:
    run.lose_everything(60_000)
    run.pass_time(60_000)
    assert run.granted("a", mode) == (run.generation << COUNTER_BITS) + 1
    assert "quarantine" not in run.kinds()
    assert run.granted("b", mode, resource="other") == (run.generation << COUNTER_BITS) + 2


@pytest.mark.parametrize("mode", MODES)
def test_the_duty_ends_it_too(run: Runner, mode: str) -> None:
    run.lose_everything(60_000)
    run.pass_time(60_000)
    assert run.lift() == ("ok", [0])
    assert run.granted("a", mode) == (run.generation << COUNTER_BITS) + 1


def test_a_refusal_does_not_end_a_quarantine_that_is_over(run: Runner) -> None:
    old = run.granted("a")
    run.lose_everything(60_000)
    run.reattach("a", old, ttl_ms=90_000)
    run.pass_time(60_000)
    before = run.snapshot()
    assert run.acquire("b").code == "lock_held"
    assert run.snapshot() == before


@pytest.mark.parametrize("mode", MODES)
def test_who_took_a_hold_up_again_keeps_others_out_after_the_quarantine(run: Runner, mode: str) -> None:
    old = run.granted("a", mode)
    run.lose_everything(60_000)
    run.reattach("a", old, mode, ttl_ms=90_000)
    run.pass_time(60_000)
    assert run.acquire("w").code == "lock_held"
    assert run.granted("w", resource="other") > old
    assert run.holders() == {"a": old}


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_redis_kept_is_shown_to_those_who_ask_in_quarantine(run: Runner, mode: str) -> None:
    """An older copy came back: what it knows still stands, and its end may be waited for."""
    token = run.granted("a", mode)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    code, fields = run.acquire("w")
    assert (code, fields[0], fields[2]) == ("lock_held", mode.encode(), b"a")
    assert run.reattach("a", token, mode).code == "ok"
    assert run.release("a", token).code == "ok"
    assert run.acquire("w").code == "lock_quarantine"


def test_a_reader_joins_no_others_in_quarantine(run: Runner) -> None:
    run.granted("a", "shared")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.acquire("b", "shared").code == "lock_quarantine"


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_gets_its_grant_in_quarantine_if_redis_kept_it(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, request_id="r1")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.acquire("a", mode, request_id="r1") == ("ok", [token, 30_000, 1])


def test_queue_and_cache_go_on_in_quarantine(run: Runner) -> None:
    version = run.put("k").fields[0]
    run.lose_everything()
    assert run.publish("m1").code == "ok"
    assert run.ack(run.receipt()) == ["ok"]
    assert run.put("k").fields[0] > version


@pytest.mark.parametrize("loses", [True, False], ids=["everything lost", "a copy kept"])
def test_tokens_rise_across_repeated_quarantines(run: Runner, loses: bool) -> None:
    tokens = [run.granted("a")]
    for _ in range(3):
        run.release("a")
        if loses:
            run.redis.flushall()
        run.install(run.generation + 1, quarantine_ms=QUARANTINE_MS)
        run.pass_time(QUARANTINE_MS)
        tokens.append(run.granted("a"))
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize("loses", [True, False], ids=["everything lost", "a copy kept"])
def test_tokens_rise_over_a_loss_within_a_quarantine(run: Runner, loses: bool) -> None:
    token = run.granted("a")
    run.lose_everything()
    if loses:
        run.redis.flushall()
    run.install(run.generation + 1, quarantine_ms=QUARANTINE_MS)
    assert run.acquire("a").code == "lock_quarantine"
    run.pass_time(QUARANTINE_MS)
    assert run.granted("a") == (run.generation << COUNTER_BITS) + 1 > token


def test_a_counter_ahead_of_the_floor_goes_on_after_a_quarantine(run: Runner) -> None:
    ahead = (GENERATION + 9) << COUNTER_BITS
    run.redis.set(run.key("tokens"), ahead)
    for _ in range(2):
        run.install(run.generation + 1, quarantine_ms=QUARANTINE_MS)
        assert run.acquire("a").code == "lock_quarantine", "a counter that is high enough is set aside, too"
    run.pass_time(QUARANTINE_MS)
    assert run.granted("a") == ahead + 1


def test_the_largest_counter_is_set_aside_exactly(run: Runner) -> None:
    largest = 2**53 - 1
    run.redis.set(run.key("tokens"), largest - 1)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    run.shorten(1_000)
    run.pass_time(1_000)
    assert run.granted("a") == largest


@pytest.mark.parametrize("key", ["tokens", "quarantine"])
def test_a_counter_lost_while_no_quarantine_runs_is_a_loss_and_no_quarantine(run: Runner, key: str) -> None:
    """Also when it was set aside: the key of the quarantine is where it was."""
    if key == "quarantine":
        run.lose_everything()
    run.redis.delete(run.key(key))
    before = run.snapshot()
    for mode in MODES:
        assert run.acquire("a", mode, request_id="r1") == ("fence_missing", [])
    assert run.check() == ("fence_missing", [])
    assert run.install(run.generation) == ("fence_missing", [])
    assert run.snapshot() == before
