"""lock.withdraw_all: a request for several locks is taken back, as if it had never been made."""

from tests.lua.runner import QUARANTINE_MS, Runner, waiter_of

OTHER_CALLER = "07e4"


def test_a_request_taken_back_leaves_nothing(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xyz")
    assert run.withdraw_all("m", "xyz") == ("ok", [1, 0, 1, 1, 1])
    run.release("a", resource="x")
    assert run.withdraw_all("m", "xyz") == ("ok", [0, 0, 0, 0, 0])
    assert run.kinds() == {"sessions"}


def test_a_grant_taken_back_frees_all_and_its_outcome_is_forgotten(run: Runner) -> None:
    run.granted_all("a", "xy")
    run.waiting("s", resource="y")
    assert run.withdraw_all("a", "xy") == ("ok", [1, 0, 0, 0])
    assert (run.holders("x"), set(run.holders("y"))) == ({}, {"s"})
    run.withdraw("s", resource="y")
    assert run.acquire_all("a", "xy").fields[0] == 0, "a retry begins anew"


def test_who_is_told_of_its_turn_and_leaves_passes_it_on(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy")
    run.waiting("s", resource="x")
    run.release("a", resource="x")
    run.withdraw_all("m", "xy")
    assert set(run.holders("x")) == {"s"}
    assert run.attend().fields[2:] == [waiter_of("s").encode(), str(run.holders("x")["s"]).encode()]


def test_a_grant_that_came_through_a_later_caller_is_not_taken_back(run: Runner) -> None:
    tokens = run.granted_all("a", "xy")
    assert run.acquire_all("a", "xy", caller=OTHER_CALLER) == ("ok", [1, *tokens])
    before = run.snapshot()
    assert run.withdraw_all("a", "xy") == ("ok", [0, 0, 0, 0])
    assert run.snapshot() == before
    assert run.withdraw_all("a", "xy", caller=OTHER_CALLER).fields[0] == 1
    assert run.holders("x") == {}


def test_places_that_another_session_took_up_are_not_given_up(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy", session="e15e")
    before = run.snapshot()
    assert run.withdraw_all("m", "xy") == ("ok", [0, 0, 0, 0])
    assert run.snapshot() == before


def test_a_grant_taken_back_late_ends_no_later_hold(run: Runner) -> None:
    run.granted_all("a", "xy", ttl_ms=1_000)
    run.pass_time(1_001)
    token = run.granted("a", resource="x")
    run.withdraw_all("a", "xy")
    assert run.holders("x") == {"a": token}


def test_in_quarantine_nothing_is_handed_on(run: Runner) -> None:
    run.lose_everything(QUARANTINE_MS)
    run.wait_all("m", "xy")
    run.waiting("s", resource="x")
    assert run.withdraw_all("m", "xy").fields == [1, 0, 1, 1]
    assert (run.holders("x"), run.line("x"), run.line("y")) == ({}, ["s"], [])
