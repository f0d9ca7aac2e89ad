"""lock.give_back: what becomes of a grant whose client was gone when it was confirmed, and of its repeats."""

import pytest

from tests.lua.runner import Runner, detail

MODES = ("exclusive", "shared")


def confirmed(run: Runner, owner: str, mode: str = "exclusive", request_id: str = "r1") -> int:
    """The token of a hold that was waited for."""
    run.granted("first")
    run.waiting(owner, mode, request_id=request_id)
    run.release("first")
    token = run.holders()[owner]
    assert run.confirm(owner, token, request_id=request_id).code == "ok"
    return token


@pytest.mark.parametrize("mode", MODES)
def test_a_grant_that_nobody_heard_of_goes_to_the_next_at_once(run: Runner, mode: str) -> None:
    token = confirmed(run, "b", mode)
    run.waiting("c")
    assert run.give_back("b", token, request_id="r1") == ("ok", [1, 0, 0])
    assert set(run.holders()) == {"c"}


def test_a_repeat_of_what_was_given_back_asks_anew(run: Runner) -> None:
    token = confirmed(run, "b")
    run.give_back("b", token, request_id="r1")
    assert run.granted("b", request_id="r1") > token


@pytest.mark.parametrize("how", ["acquire", "wait", "confirm"])
def test_what_a_repeat_was_told_of_is_not_given_back(run: Runner, how: str) -> None:
    token = confirmed(run, "b")
    if how == "acquire":
        assert run.granted("b", request_id="r1") == token
    elif how == "wait":
        assert run.wait("b", request_id="r1").fields[0] == 0
    else:
        assert run.confirm("b", token, request_id="r1").code == "ok"
    before = run.snapshot()
    assert run.give_back("b", token, request_id="r1") == ("ok", [0, 0, 0])
    assert run.snapshot() == before
    assert run.granted("b", request_id="r1") == token, "and a later repeat hears the same"


def test_what_a_repeat_has_yet_to_confirm_is_not_given_back(run: Runner) -> None:
    run.granted("a")
    run.waiting("b", request_id="r1")
    run.release("a")
    token = run.holders()["b"]
    assert run.give_back("b", token, request_id="r1") == ("ok", [0, 0, 0])
    assert run.confirm("b", token, request_id="r1").code == "ok"


def test_only_the_grant_that_is_named_ends(run: Runner) -> None:
    token = confirmed(run, "b")
    run.release("b")
    later = run.granted("b")
    assert run.give_back("b", token) == ("ok", [0, 0, 0])
    assert run.holders() == {"b": later}


def test_the_outcome_of_another_request_stays(run: Runner) -> None:
    token = run.granted("b", request_id="r1")
    before = run.snapshot()
    assert run.give_back("b", token, request_id="r1", fingerprint="of-another") == ("ok", [0, 0, 0])
    assert run.snapshot() == before


def test_a_hold_that_was_entered_again_loses_one_of_its_entries(run: Runner) -> None:
    asked = detail(reentrant=True)
    token = run.granted("b", detail=asked)
    assert run.granted("b", request_id="r2", detail=asked) == token
    assert run.give_back("b", token, request_id="r2") == ("ok", [1, 0, 1])
    assert run.holders() == {"b": token}
    assert run.give_back("b", token) == ("ok", [1, 0, 0])
    assert run.holders() == {}
