"""lock.release_all: the holds of one owner on several locks end together."""

import pytest

from tests.lua.runner import HANDED, WAKE_CHANNEL, Runner, heard, waiter_of

MODES = ("exclusive", "shared")


@pytest.mark.parametrize("mode", MODES)
def test_all_holds_end_together(run: Runner, mode: str) -> None:
    tokens = run.granted_all("a", "xyz", mode)
    assert run.release_all("a", "xyz", *tokens) == ("ok", [0, b"ok", b"ok", b"ok"])
    assert [run.holders(name) for name in "xyz"] == [{}, {}, {}]


def test_what_became_of_each_is_said_and_what_is_held_ends(run: Runner) -> None:
    token_x, _, token_z = run.granted_all("a", "xyz")
    run.release("a", resource="y")
    assert run.release_all("a", "xyz", token_x, 1, token_z - 1) == ("ok", [0, b"ok", b"lock_not_held", b"token_stale"])
    assert (run.holders("x"), run.holders("z")) == ({}, {"a": token_z})


def test_the_first_with_an_old_token_stays_held(run: Runner) -> None:
    first, second = run.granted_all("a", "xy")
    assert run.release_all("a", "xy", first - 1, second).fields == [0, b"token_stale", b"ok"]
    assert run.holders("x") == {"a": first}


def test_by_owner_alone_whatever_it_holds_ends(run: Runner) -> None:
    run.granted("a", resource="x")
    run.granted("a", "shared", resource="y")
    run.granted("b", "shared", resource="y")
    run.granted("b", resource="z")
    assert run.release_all("a", "xyz") == ("ok", [0, b"ok", b"ok", b"lock_not_held"])
    assert (set(run.holders("y")), set(run.holders("z"))) == ({"b"}, {"b"})


def test_each_goes_to_the_next_in_its_line(run: Runner) -> None:
    run.granted_all("a", "xyz")
    run.waiting("s", resource="x")
    run.wait_all("m", "yz")
    with heard(run, HANDED) as messages:
        run.release_all("a", "xyz")
    token = run.holders("x").get("s")
    assert messages == [f"{waiter_of('s')} {token}".encode(), f"{waiter_of('m')} 0".encode()]


def test_a_reader_that_leaves_several_tells_when_the_rest_ends_sooner(run: Runner) -> None:
    run.granted("b", "shared", resource="x", ttl_ms=5_000)
    run.granted_all("a", "xy", "shared", ttl_ms=50_000)
    run.waiting("w", resource="x")
    with heard(run, WAKE_CHANNEL) as messages:
        run.release_all("a", "xy")
    assert messages == [run.key("lock", "x")]


def test_when_nothing_was_held_no_outcome_is_kept(run: Runner) -> None:
    assert run.release_all("a", "xy", request_id="r1").fields == [0, b"lock_not_held", b"lock_not_held"]
    assert run.kinds() == set()
