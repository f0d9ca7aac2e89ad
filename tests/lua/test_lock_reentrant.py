"""Re-entrant holds: one owner takes a lock again and again, and gives it back as often."""

from typing import Any

import pytest

from tests.lua.runner import GENERATION, QUARANTINE_MS, Reply, Runner, detail

MODES = ("exclusive", "shared", "semaphore")
each_mode = pytest.mark.parametrize("mode", MODES)


def asked(mode: str, *, reentrant: bool = True, **more: Any) -> str:
    return detail(reentrant=reentrant, limit=3 if mode == "semaphore" else 0, **more)


def enter(run: Runner, owner: str, mode: str, **args: Any) -> Reply:
    return run.acquire(owner, mode, **{"detail": asked(mode), **args})


def holds(reply: Reply) -> int:
    """As a grant says it."""
    assert reply.code == "ok", reply
    return int(reply.fields[3])


@each_mode
def test_an_owner_that_holds_a_lock_gets_it_again_with_its_token(run: Runner, mode: str) -> None:
    first = enter(run, "a", mode)
    assert holds(first) == 1
    for number in (2, 3):
        again = enter(run, "a", mode)
        assert again.fields[0] == first.fields[0]
        assert holds(again) == number
    assert run.held("a").holds == 3
    assert list(run.holders()) == ["a"]


@each_mode
def test_a_hold_ends_when_it_was_given_back_as_often_as_it_was_taken(run: Runner, mode: str) -> None:
    token = enter(run, "a", mode).fields[0]
    enter(run, "a", mode)
    assert run.release("a", token) == ("ok", [0, 1])
    assert run.holders() == {"a": token}
    assert run.acquire("b").code == "lock_held"
    assert run.release("a", token) == ("ok", [0, 0])
    assert run.kinds() == set()
    assert run.release("a", token).code == "lock_not_held"


@each_mode
def test_all_ends_a_hold_however_often_it_was_taken(run: Runner, mode: str) -> None:
    for _ in range(3):
        enter(run, "a", mode)
    assert run.release("a", all=1) == ("ok", [0, 0])
    assert run.kinds() == set()


@each_mode
def test_a_hold_that_was_taken_plainly_becomes_reentrant_and_says_so(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, detail=asked(mode, reentrant=False) if mode == "semaphore" else "")
    again = enter(run, "a", mode)
    assert again.fields[0] == token
    assert holds(again) == 2
    is_plain = mode != "semaphore"
    assert again.fields[-1] == is_plain
    assert enter(run, "a", mode).fields[-1] == 0


@each_mode
def test_without_the_word_nobody_gets_its_own_lock_again(run: Runner, mode: str) -> None:
    enter(run, "a", mode)
    assert run.acquire("a", mode, detail=asked(mode, reentrant=False)).code == "lock_held"


@pytest.mark.parametrize("wanted", MODES)
@each_mode
def test_only_the_mode_that_is_held_is_entered(run: Runner, mode: str, wanted: str) -> None:
    enter(run, "a", mode)
    assert enter(run, "a", wanted).code == ("ok" if wanted == mode else "lock_held")


@each_mode
def test_another_owner_does_not_enter(run: Runner, mode: str) -> None:
    first = enter(run, "a", mode)
    other = enter(run, "b", mode)
    assert other.code == ("lock_held" if mode == "exclusive" else "ok")
    assert other.fields[0] != first.fields[0]


@each_mode
def test_an_owner_enters_past_those_who_wait_for_it(run: Runner, mode: str) -> None:
    enter(run, "a", mode)
    run.waiting("w")
    assert holds(enter(run, "a", mode)) == 2
    run.release("a")
    assert run.line() == ["w"]
    run.release("a")
    assert list(run.holders()) == ["w"]


@each_mode
def test_entering_never_shortens_a_lease(run: Runner, mode: str) -> None:
    enter(run, "a", mode, ttl_ms=60_000)
    shorter = enter(run, "a", mode, ttl_ms=1_000)
    assert 50_000 < shorter.fields[1] <= 60_000
    assert 50_000 < run.lease_left_ms("a") <= 60_000
    assert enter(run, "a", mode, ttl_ms=90_000).fields[1] == 90_000
    assert run.lease_left_ms("a") > 80_000


@each_mode
def test_a_hold_that_ended_is_not_entered_but_taken_anew(run: Runner, mode: str) -> None:
    first = enter(run, "a", mode, ttl_ms=1_000)
    run.pass_time(1_001)
    again = enter(run, "a", mode)
    assert again.fields[0] > first.fields[0]
    assert holds(again) == 1


@each_mode
def test_a_renewal_leaves_the_count_as_it_is(run: Runner, mode: str) -> None:
    token = enter(run, "a", mode).fields[0]
    enter(run, "a", mode)
    permits, limit = (1, 3) if mode == "semaphore" else (0, 0)
    assert run.renew("a", token, 90_000) == ("ok", [90_000, mode.encode(), 0, 2, permits, limit, 0])
    assert run.held("a").holds == 2
    run.pass_time(89_000)
    assert run.holders() == {"a": token}


@each_mode
def test_a_repeated_request_enters_once(run: Runner, mode: str) -> None:
    enter(run, "a", mode)
    first = enter(run, "a", mode, request_id="r1")
    assert enter(run, "a", mode, request_id="r1") == ("ok", [*first.fields[:2], 1, *first.fields[3:]])
    assert run.held("a").holds == 2


@each_mode
def test_a_repeated_release_gives_back_once(run: Runner, mode: str) -> None:
    for _ in range(3):
        enter(run, "a", mode)
    for _ in range(2):
        assert run.release("a", request_id="r1") == ("ok", [0, 2])
    assert run.held("a").holds == 2


@each_mode
def test_a_reentrant_request_that_waited_is_granted_once(run: Runner, mode: str) -> None:
    run.granted("x")
    run.waiting("a", mode, detail=asked(mode))
    run.release("x")
    token = run.holders()["a"]
    assert run.confirm("a", token).code == "ok"
    assert run.held("a").holds == 1
    assert holds(enter(run, "a", mode)) == 2


@each_mode
def test_nothing_is_entered_in_quarantine(run: Runner, mode: str) -> None:
    enter(run, "a", mode)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert enter(run, "a", mode).code == "lock_quarantine"


@each_mode
def test_a_hold_that_is_taken_up_again_has_its_count(run: Runner, mode: str) -> None:
    token = enter(run, "a", mode).fields[0]
    enter(run, "a", mode)
    run.lose_everything()
    permits, limit = (1, 3) if mode == "semaphore" else (0, 0)
    assert run.reattach("a", token, mode, more=f"2 {permits} {limit} 0").code == "ok"
    assert run.release("a", token) == ("ok", [0, 1])
    assert run.release("a", token) == ("ok", [0, 0])


def test_a_permit_too_many_is_not_entered(run: Runner) -> None:
    run.granted("a", "semaphore", detail=detail(reentrant=True, limit=5, permits=2))
    assert run.acquire("a", "semaphore", detail=detail(reentrant=True, limit=5, permits=1)).code == "ok"
    assert run.acquire("a", "semaphore", detail=detail(reentrant=True, limit=5, permits=3)).code == "lock_held"
    run.granted("b", "semaphore", detail=detail(limit=5, permits=3))


def test_what_an_ended_hold_left_behind_says_nothing_of_the_next(run: Runner) -> None:
    enter(run, "a", "exclusive", ttl_ms=1_000)
    enter(run, "a", "exclusive", ttl_ms=1_000)
    run.pass_time(1_000, linger=True)
    run.granted("a")
    assert run.held("a").holds == 0
    assert run.release("a") == ("ok", [])
