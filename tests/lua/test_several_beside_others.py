"""Several locks in one request beside holds and waits of other kinds, and beside what layout 1 left."""

import pytest

from tests.lua.runner import SESSION, Runner, detail, waiter_of

OLD_WAITER = "0b5"


def test_a_semaphore_that_is_held_keeps_several_out(run: Runner) -> None:
    run.granted("s", "semaphore", resource="y", detail=detail(limit=3, permits=1))
    for mode in ("exclusive", "shared"):
        code, fields = run.acquire_all("a", "xy", mode)
        assert (code, fields[:3]) == ("lock_held", [2, b"semaphore", 1])
    assert run.holders("x") == {}


def test_several_and_a_semaphore_stand_in_one_line(run: Runner) -> None:
    run.granted("s", "semaphore", resource="y", detail=detail(limit=2, permits=2))
    run.wait_all("m", "xy")
    assert run.waiting("t", "semaphore", resource="y", detail=detail(limit=2, permits=1)) == 2
    run.release("s", resource="y")
    assert run.holders("y") == {}, "it is the turn of the one before"
    assert run.wait_all("m", "xy").code == "ok"
    run.release_all("m", "xy")
    assert list(run.holders("y")) == ["t"]


def test_re_entrant_holds_among_several_end_however_often_they_were_taken(run: Runner) -> None:
    for _ in range(3):
        run.acquire("a", resource="x", detail=detail(reentrant=True))
    run.granted("a", resource="y")
    assert run.release_all("a", "xy").fields == [0, b"ok", b"ok"]
    assert run.kinds() == set()


def test_what_is_more_than_plain_is_told_of_each_that_is_renewed_and_kept(run: Runner) -> None:
    first = run.granted("a", resource="x", detail=detail(reentrant=True))
    second = run.granted("a", "semaphore", resource="y", detail=detail(limit=5, permits=2))
    reply = run.renew_all("a", "xy", first, second, ttl_ms=9_000)
    assert reply == ("ok", [2, 9_000, b"exclusive", 1, 0, 0, 0, 9_000, b"semaphore", 0, 2, 5, 0])
    assert run.acquire("b", "semaphore", resource="y", detail=detail(limit=5, permits=4)).code == "lock_held"


def test_one_that_was_held_as_long_as_it_may_be_keeps_all_from_being_renewed(run: Runner) -> None:
    token = run.granted("a", resource="x", ttl_ms=60_000, detail=detail(max_hold_ms=60_000))
    other = run.granted("a", resource="y", ttl_ms=90_000)
    assert run.renew_all("a", "xy", token, other, ttl_ms=90_000).fields[1] <= 60_000, "as long as it may"
    run.pass_time(59_970, linger=True)
    before = run.snapshot()
    code, (left_ms, *codes) = run.renew_all("a", "xy", token, other, ttl_ms=90_000)
    assert (code, left_ms < 50, codes) == ("lock_hold_exceeded", True, [b"lock_hold_exceeded", b"ok"])
    assert run.snapshot() == before
    run.release("a", resource="y")
    assert run.renew_all("a", "xy", token, other).fields == [b"lock_hold_exceeded", b"lock_lost"]


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_what_happens_to_each_of_several_is_recorded(run: Runner, mode: str) -> None:
    run.record()
    tokens = run.granted_all("a", "xy", mode)
    run.renew_all("a", "xy", *tokens)
    run.renew_all("a", "xy", *tokens, ttl_ms=9_000)
    run.release_all("a", "xy")
    again = [int(token) for token in run.wait_all("b", "xy", mode).fields[1:]]
    run.withdraw_all("b", "xy")
    told = [(one.event, one.lock, one.owner, one.token) for one in run.events()[1:]]
    assert told == [
        (event, lock, owner, token)
        for event, owner, of in (
            ("granted", "a", tokens),
            ("renewed", "a", tokens),
            ("released", "a", tokens),
            ("granted", "b", again),
            ("released", "b", again),
        )
        for lock, token in zip("xy", of, strict=True)
    ]


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_holds_and_lines_of_layout_1_are_served(run: Runner, mode: str) -> None:
    """Written byte for byte as scripts of layout 1 did, waiters' mark in the hold included."""
    token = run.granted("seed", resource="z")
    run.release("seed", resource="z")
    redis = run.redis
    if mode == "exclusive":
        redis.set(run.key("lock", "x"), f"x{token} 30000 1 old owner", px=30_000)
    else:
        redis.set(run.key("lock", "x"), "s0 0 1 ", px=30_000)
        seconds, micros = redis.time()
        redis.zadd(run.key("readers", "x"), {"old owner": seconds * 1000 + micros // 1000 + 30_000})
        redis.hset(run.key("reader_holds", "x"), "old owner", f"{token} 30000")
    run.waiting("first", resource="x")
    redis.hdel(run.key("waiter_info", "x"), waiter_of("first"))
    redis.zrem(run.key("waiters", "x"), waiter_of("first"))
    redis.zadd(run.key("waiters", "x"), {OLD_WAITER: 1})
    redis.hset(run.key("waiter_info", "x"), OLD_WAITER, f"{SESSION} exclusive 30000  old waiter")
    code, fields = run.acquire_all("a", "xy")
    assert (code, fields[1:5]) == ("lock_held", [mode.encode(), 1, b"old owner", str(token).encode()])
    run.wait_all("m", "xy")
    assert run.line("x") == ["old waiter", "m"]
    assert run.renew_all("old owner", ["x"], token, ttl_ms=20_000).fields[1] == 20_000
    assert run.release_all("old owner", ["x"], token).fields == [0, b"ok"]
    assert list(run.holders("x")) == ["old waiter"]
    run.release("old waiter", resource="x")
    assert run.wait_all("m", "xy").code == "ok"
