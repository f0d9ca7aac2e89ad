"""What a hold may have beside mode and lease: metadata and a longest time; and what layout 1 wrote is read."""

from typing import Any

import pytest

from tests.lua.runner import QUARANTINE_MS, SESSION, Runner, detail, waiter_of

MODES = ("exclusive", "shared", "semaphore")
each_mode = pytest.mark.parametrize("mode", MODES)
METADATA = '{"host": "h1",  "pid": [1, 2.50, "\\u00fc ü"], "0": ""}'


def asked(mode: str, **more: Any) -> str:
    return detail(limit=3 if mode == "semaphore" else 0, **more)


# -- metadata


@each_mode
def test_metadata_is_shown_byte_for_byte(run: Runner, mode: str) -> None:
    run.granted("a", mode, detail=asked(mode, metadata=METADATA))
    assert run.held("a").metadata == METADATA
    refused = run.acquire("b")
    assert refused.fields[-1] == METADATA.encode()


@each_mode
def test_metadata_stays_over_renewals_and_a_wait(run: Runner, mode: str) -> None:
    run.granted("x")
    run.waiting("a b", mode, detail=asked(mode, metadata=METADATA))
    run.release("x")
    assert list(run.holders()) == ["a b"]
    token = run.holders()["a b"]
    run.confirm("a b", token)
    assert run.held("a b").metadata == METADATA
    run.renew("a b", token, 90_000)
    assert run.held("a b").metadata == METADATA
    assert 80_000 < run.held("a b").expires_in_ms <= 90_000


@each_mode
def test_the_next_holder_has_none_of_it(run: Runner, mode: str) -> None:
    run.granted("a", mode, detail=asked(mode, metadata=METADATA))
    run.release("a")
    assert run.kinds() == set()
    run.granted("a")
    assert run.held("a").metadata == ""


def test_many_of_the_holders_have_some(run: Runner) -> None:
    for number in range(5):
        run.granted(f"r{number}", "shared", detail=detail(metadata=str(number)) if number % 2 else "")
    assert [run.held(f"r{number}").metadata for number in range(5)] == ["", "1", "", "3", ""]


def test_an_exclusive_hold_with_more_ends_by_itself(run: Runner) -> None:
    run.granted("a", detail=detail(metadata="1"), ttl_ms=1_000)
    run.pass_time(1_002)
    assert run.kinds() == set()
    run.granted("b")


# -- the longest time


@each_mode
def test_no_renewal_reaches_past_the_longest_time(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=30_000, detail=asked(mode, max_hold_ms=50_000))
    assert run.renew("a", token, 45_000).fields[0] == 45_000
    run.pass_time(30_000)
    reply = run.renew("a", token, 45_000)
    assert reply.code == "ok"
    assert 15_000 < reply.fields[0] <= 20_000
    assert reply.fields[2] == 0, "that it is cut short makes it no shorter lease"
    assert reply.fields[-1] == reply.fields[0]
    assert run.lease_left_ms("a") <= 20_000
    run.pass_time(20_001)
    assert run.renew("a", token, 45_000).code == "lock_lost"
    assert run.acquire("b").code == "ok"


@each_mode
def test_a_shorter_lease_is_still_possible(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=30_000, detail=asked(mode, max_hold_ms=50_000))
    reply = run.renew("a", token, 1_000)
    assert (reply.fields[0], reply.fields[2]) == (1_000, 2)
    assert run.renew("a", token).fields[0] == 1_000, "as long as the last time"


@each_mode
def test_the_time_left_is_shown(run: Runner, mode: str) -> None:
    run.granted("a", mode, detail=asked(mode, max_hold_ms=50_000))
    run.pass_time(10_000)
    assert 35_000 < run.held("a").hold_left_ms <= 40_000


@each_mode
def test_the_longest_time_of_one_that_waited_begins_when_it_is_confirmed(run: Runner, mode: str) -> None:
    run.granted("x")
    run.waiting("a", mode, detail=asked(mode, max_hold_ms=40_000))
    run.pass_time(20_000)
    run.attend()
    run.release("x")
    token = run.holders()["a"]
    run.pass_time(1_500)
    run.confirm("a", token)
    assert 39_000 < run.held("a").hold_left_ms <= 40_000


@each_mode
def test_entering_again_begins_no_new_time(run: Runner, mode: str) -> None:
    again = asked(mode, reentrant=True, max_hold_ms=50_000)
    run.granted("a", mode, ttl_ms=30_000, detail=again)
    run.pass_time(25_000)
    reply = run.acquire("a", mode, ttl_ms=60_000, detail=again)
    assert 20_000 < reply.fields[1] <= 25_000
    assert run.lease_left_ms("a") <= 25_000
    assert reply.fields[5] == reply.fields[1]


@each_mode
def test_the_longest_time_outlives_a_loss(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, detail=asked(mode))
    run.lose_everything()
    permits, limit = (1, 3) if mode == "semaphore" else (0, 0)
    assert run.reattach("a", token, mode, 10_000, more=f"0 {permits} {limit} 15000").code == "ok"
    run.pass_time(QUARANTINE_MS // 10)
    assert run.held("a").hold_left_ms <= 9_000


# -- what a set of layout 1 wrote


def test_holds_of_layout_1_are_read(run: Runner) -> None:
    token = run.granted("throwaway", resource="else")
    run.redis.set(run.key("lock", "res"), f"x{token} 30000 1 a b", px=20_000)
    assert run.holders() == {"a b": token}
    assert run.acquire("c").code == "lock_held"
    assert run.renew("a b", token) == ("ok", [30_000, b"exclusive"])
    assert run.release("a b", token) == ("ok", [])


def test_shared_holds_of_layout_1_are_read(run: Runner) -> None:
    run.granted("new", "shared", ttl_ms=60_000)
    now_s, _ = run.redis.time()
    run.redis.zadd(run.key("readers", "res"), {"old": now_s * 1_000 + 20_000})
    run.redis.hset(run.key("reader_holds", "res"), "old", "17 20000")
    assert run.holders()["old"] == 17
    assert run.renew("old", 17, 30_000) == ("ok", [30_000, b"shared"])
    assert run.acquire("old", "shared", detail=detail(reentrant=True)).fields[3] == 2
    run.release("old", all=1)
    assert list(run.holders()) == ["new"]


def test_a_line_of_layout_1_is_served(run: Runner) -> None:
    run.granted("x")
    run.waiting("first")
    first = f"{SESSION} exclusive 30000 print a 7 b"
    run.redis.hset(run.key("waiter_info", "res"), waiter_of("first"), first)
    run.waiting("s", "semaphore", detail=detail(limit=2))
    assert run.line() == ["a 7 b", "s"]
    run.release("x")
    assert list(run.holders()) == ["a 7 b"]
    run.release("a 7 b")
    assert list(run.holders()) == ["s"]
