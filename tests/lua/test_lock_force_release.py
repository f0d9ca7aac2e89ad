"""lock.force_release: the holds that are named end, and no others."""

import pytest

from tests.lua.runner import HANDED, KEEP_MS, Runner, heard

MODES = ("exclusive", "shared")


@pytest.mark.parametrize("mode", MODES)
def test_a_forced_release_is_recorded_with_its_reason(run: Runner, mode: str) -> None:
    run.record(KEEP_MS)
    token = run.granted("a", mode)
    assert run.force_release(("a", token), reason="host is gone").fields == [1, 0]
    assert run.events()[-1][1:] == ("released", "res", "a", token, mode, {"reason": "host is gone"})
    assert run.holders() == {}


def test_only_the_holds_that_are_named_end(run: Runner) -> None:
    tokens = {owner: run.granted(owner, "shared") for owner in "abc"}
    assert run.force_release(("a", tokens["a"]), ("b", tokens["b"] + 1), ("x", tokens["c"])).fields == [1, 0]
    assert run.holders() == {owner: tokens[owner] for owner in "bc"}


def test_a_forced_release_hands_over_and_a_repeat_does_nothing(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    with heard(run, HANDED) as handed:
        assert run.force_release(("a", token)).fields == [1, 0]
    assert len(handed) == 1
    assert list(run.holders()) == ["b"]
    before = run.snapshot()
    assert run.force_release(("a", token)).fields == [0, 0]
    assert run.snapshot() == before
    assert run.release("a", token).code == "lock_not_held"
    assert run.renew("a", token).code == "lock_lost"


def test_a_forced_release_hands_nothing_over_in_a_quarantine(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    run.install(run.generation + 1, quarantine_ms=10_000)
    assert run.force_release(("a", token)).fields == [1, 0]
    assert run.holders() == {}
    assert run.line() == ["b"]


def test_a_hundred_holds_end_in_one_call(run: Runner) -> None:
    holds = [(f"r{number}", run.granted(f"r{number}", "shared")) for number in range(101)]
    assert run.force_release(*holds).fields == [100, 0]
    assert run.holders() == dict(holds[100:])
