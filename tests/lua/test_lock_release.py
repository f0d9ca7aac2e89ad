"""lock.release: whose hold ends, and who is told."""

import pytest

from tests.lua.runner import HANDED, WAKE_CHANNEL, Runner, heard

MODES = ("exclusive", "shared")


@pytest.mark.parametrize("mode", MODES)
def test_a_release_frees_the_lock_and_leaves_nothing(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    assert run.release("a", token) == ("ok", [])
    assert run.kinds() == set()
    assert run.acquire("b").code == "ok"


@pytest.mark.parametrize("mode", MODES)
def test_the_owner_may_release_without_its_token(run: Runner, mode: str) -> None:
    run.granted("a", mode)
    assert run.release("a").code == "ok"


@pytest.mark.parametrize("mode", MODES)
def test_another_owner_cannot_release(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    before = run.snapshot()
    assert run.release("b", token) == ("lock_not_held", [])
    assert run.snapshot() == before


@pytest.mark.parametrize("mode", MODES)
def test_a_stale_token_cannot_release(run: Runner, mode: str) -> None:
    first = run.granted("a", mode)
    run.release("a")
    second = run.granted("a", mode)
    before = run.snapshot()
    assert run.release("a", first) == ("token_stale", [])
    assert run.snapshot() == before
    assert run.holders() == {"a": second}


def test_nobody_holds_a_free_lock(run: Runner) -> None:
    assert run.release("a").code == "lock_not_held"


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_ended_cannot_be_released(run: Runner, mode: str, linger: bool) -> None:
    token = run.granted("a", mode, ttl_ms=1_000)
    run.pass_time(1_001, linger=linger)
    assert run.release("a", token).code == "lock_not_held"


def test_one_reader_leaves_and_the_others_stay(run: Runner) -> None:
    tokens = {owner: run.granted(owner, "shared") for owner in ("a", "b", "c")}
    run.release("b", tokens.pop("b"))
    assert run.holders() == tokens
    assert run.release("b").code == "lock_not_held"
    assert run.acquire("w").code == "lock_held"


def test_the_last_live_reader_frees_the_lock_of_ended_ones_too(run: Runner) -> None:
    run.granted("short", "shared", ttl_ms=1_000)
    run.granted("long", "shared")
    run.pass_time(1_001)
    run.release("long")
    assert run.kinds() == set()


@pytest.mark.parametrize("mode", MODES)
def test_a_release_that_nobody_waits_for_publishes_nothing(run: Runner, mode: str) -> None:
    with heard(run, WAKE_CHANNEL) as woken, heard(run, HANDED) as handed:
        run.granted("a", mode)
        run.acquire("b")
        run.release("a")
    assert (woken, handed) == ([], [])


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_release_hands_nothing_over(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.waiting("b")
    before = run.snapshot()
    run.release("b")
    run.release("a", token + 1)
    assert run.snapshot() == before


def test_a_repeated_release_does_not_end_the_next_hold(run: Runner) -> None:
    run.granted("a")
    assert run.release("a", request_id="r1").code == "ok"
    token = run.granted("a")
    assert run.release("a", request_id="r1").code == "ok"
    assert run.holders() == {"a": token}


def test_a_refused_release_is_judged_again(run: Runner) -> None:
    assert run.release("a", request_id="r1").code == "lock_not_held"
    run.granted("a")
    assert run.release("a", request_id="r1").code == "ok"
    assert run.holders() == {}
