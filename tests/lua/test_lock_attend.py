"""lock.attend: a node keeps its places, and hears what it missed."""

import pytest

from tests.lua.runner import SESSION_MS, Runner, waiter_of

OTHER = "07e4"


def test_attending_keeps_a_session_alive(run: Runner) -> None:
    run.granted("a", ttl_ms=60_000)
    run.waiting("b")
    for _ in range(3):
        run.pass_time(SESSION_MS - 1_000)
        assert run.attend().fields == [0, b"0"]
    run.release("a")
    assert set(run.holders()) == {"b"}


@pytest.mark.parametrize("linger", [False, True])
def test_a_session_that_had_ended_is_told_so(run: Runner, linger: bool) -> None:
    run.granted("a", ttl_ms=60_000)
    run.waiting("b")
    run.pass_time(SESSION_MS, linger=linger)
    assert run.attend().fields[0] == 1
    assert run.attend().fields[0] == 0


def test_a_grant_is_named_until_it_is_confirmed(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    run.release("a")
    token = run.holders()["b"]
    named = [waiter_of("b").encode(), str(token).encode()]
    for _ in range(2):
        assert run.attend().fields == [0, b"0", *named]
    run.confirm("b", token)
    assert run.attend().fields == [0, b"0"]


def test_a_lapsed_grant_of_another_session_is_named_by_its_lock(run: Runner) -> None:
    run.granted("a")
    run.waiting("b", session=OTHER)
    run.release("a")
    assert run.attend().fields[2:] == [], "it may still be confirmed"
    run.pass_time(2_001)
    assert run.attend().fields[2:] == [b"", run.key("lock", "res")]


def test_a_lapsed_grant_is_forgotten_once_its_session_must_have_heard_of_it(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    run.release("a")
    run.pass_time(2_001 + SESSION_MS)
    assert run.attend().fields[2::2] == [waiter_of("b").encode()]
    assert run.attend().fields[2:] == []
    assert run.kinds() == {"sessions"}


def test_more_grants_than_fit_one_reply_are_told_in_parts(run: Runner) -> None:
    for number in range(1_500):
        run.wait(f"w{number}", resource=f"r{number}")
    heard: set[bytes] = set()
    cursor, calls = "0", 0
    while not calls or cursor != "0":
        _, told, *named = run.attend(cursor=cursor).fields
        cursor, calls = told.decode(), calls + 1
        heard |= set(named[::2])
    assert heard == {waiter_of(f"w{number}").encode() for number in range(1_500)}
    assert calls > 1
