"""lock.confirm: a grant becomes a lease only for the one it was given to, once and in time."""

import pytest

from tests.lua.runner import Runner

MODES = ("exclusive", "shared")


def handed(run: Runner, mode: str = "exclusive", **args: str) -> int:
    """The token of "b", who waited."""
    run.granted("a")
    run.waiting("b", mode, **args)
    run.release("a")
    return run.holders()["b"]


@pytest.mark.parametrize("mode", MODES)
def test_a_confirmed_grant_runs_for_its_whole_lease_from_then_on(run: Runner, mode: str) -> None:
    token = handed(run, mode)
    run.pass_time(1_000)
    assert run.confirm("b", token, 20_000) == ("ok", [token, 20_000])
    assert 15_000 < run.lease_left_ms("b") <= 20_000
    assert 15_000 < run.redis.pttl(run.key("lock", "res")) <= 20_000
    assert run.renew("b", token).fields[0] == 20_000, "its length is known"
    assert run.kinds() - {"readers", "reader_holds"} == {"lock", "sessions"}


@pytest.mark.parametrize("mode", MODES)
def test_a_grant_that_was_not_confirmed_in_time_is_lost(run: Runner, mode: str) -> None:
    token = handed(run, mode)
    run.pass_time(2_001)
    before = run.snapshot()
    assert run.confirm("b", token, request_id="r1") == ("lock_lost", [])
    assert run.snapshot() == before


@pytest.mark.parametrize("mode", MODES)
def test_only_owner_and_token_together_confirm(run: Runner, mode: str) -> None:
    token = handed(run, mode)
    before = run.snapshot()
    assert run.confirm("b", token - 1).code == "lock_lost"
    assert run.confirm("c", token).code == "lock_lost"
    assert run.snapshot() == before


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_prolongs_nothing(run: Runner, mode: str) -> None:
    token = handed(run, mode)
    run.confirm("b", token, 20_000)
    run.pass_time(5_000)
    before = run.snapshot()
    assert run.confirm("b", token, 20_000) == ("ok", [token, 20_000, 1])
    assert run.snapshot() == before


@pytest.mark.parametrize("mode", MODES)
def test_what_was_confirmed_is_the_outcome_of_its_request(run: Runner, mode: str) -> None:
    token = handed(run, mode, request_id="r1")
    run.confirm("b", token, request_id="r1")
    assert run.acquire("b", mode, request_id="r1").fields == [token, 30_000, 1]
    run.release("b")
    assert run.acquire("b", mode, request_id="r1").code == "lock_released"
    assert run.confirm("b", token, request_id="r1") == ("lock_released", [str(token).encode()])
