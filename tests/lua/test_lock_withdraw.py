"""lock.withdraw: who leaves a line, and what becomes of a grant that nobody heard of."""

import pytest

from tests.lua.runner import Runner

MODES = ("exclusive", "shared")


def test_who_leaves_is_told_its_place_and_those_behind_move_up(run: Runner) -> None:
    run.granted("a")
    for owner in ("b", "c", "d"):
        run.waiting(owner)
    assert run.withdraw("c") == ("ok", [2, 0])
    assert run.line() == ["b", "d"]
    assert run.withdraw("c") == ("ok", [0, 0])


@pytest.mark.parametrize("mode", MODES)
def test_a_grant_whose_client_is_gone_goes_to_the_next_at_once(run: Runner, mode: str) -> None:
    run.granted("a")
    run.waiting("b", mode)
    run.waiting("c")
    run.release("a")
    assert run.withdraw("b") == ("ok", [0, 0])
    assert set(run.holders()) == {"c"}


def test_a_confirmed_hold_is_not_withdrawn(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    run.release("a")
    token = run.holders()["b"]
    run.confirm("b", token)
    before = run.snapshot()
    assert run.withdraw("b") == ("ok", [0, 0])
    assert run.snapshot() == before


@pytest.mark.parametrize("is_granted", [False, True])
def test_only_the_session_that_has_the_place_gives_it_up(run: Runner, is_granted: bool) -> None:
    run.granted("a")
    run.waiting("b")
    if is_granted:
        run.release("a")
    before = run.snapshot()
    assert run.withdraw("b", session="e15e") == ("ok", [0, 0])
    assert run.snapshot() == before


def test_a_lapsed_grant_withdrawn_late_ends_no_later_hold(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    run.release("a")
    run.pass_time(2_001)
    token = run.granted("b")
    run.withdraw("b")
    assert run.holders() == {"b": token}


def test_who_never_waited_withdraws_nothing(run: Runner) -> None:
    run.granted("a")
    before = run.snapshot()
    assert run.withdraw("b") == ("ok", [0, 0])
    assert run.snapshot() == before


def test_the_last_one_leaves_no_line_behind(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    run.withdraw("b")
    assert run.kinds() == {"lock", "sessions"}
