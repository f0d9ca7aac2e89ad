"""lock.lift: the owner of a partition ends its quarantine, at its time and not for an owner of before."""

import pytest

from tests.lua.runner import COUNTER_BITS, WAKE_CHANNEL, Runner, heard
from tests.lua.test_fence_shorten import beginning


def test_a_quarantine_does_not_end_before_its_time(run: Runner) -> None:
    run.lose_everything(60_000)
    run.pass_time(30_000)
    code, (left_ms,) = run.lift()
    assert code == "ok"
    assert 10_000 < left_ms <= 30_000
    assert run.acquire("a").code == "lock_quarantine"


def test_a_quarantine_ends_at_its_time_and_nothing_is_granted_by_that(run: Runner) -> None:
    run.lose_everything(60_000)
    run.pass_time(60_000)
    assert run.lift() == ("ok", [0])
    assert run.kinds() == set()
    assert run.redis.get(run.key("tokens")) == str(run.generation << COUNTER_BITS).encode()
    assert run.check() == ("ok", [-1])


def test_without_a_quarantine_the_counter_is_let_alone(run: Runner) -> None:
    token = run.granted("a")
    assert run.lift() == ("ok", [-1])
    assert run.granted("a", resource="other") == token + 1


def test_a_second_lift_does_not_bring_the_old_counter_back(run: Runner) -> None:
    run.lose_everything(1_000)
    run.pass_time(1_000)
    run.lift()
    token = run.granted("a")
    assert run.lift() == ("ok", [-1])
    assert run.granted("a", resource="other") == token + 1


def test_those_who_wait_are_woken_when_it_ends_and_only_then(run: Runner) -> None:
    with heard(run, WAKE_CHANNEL) as messages:
        run.lift()
        run.lose_everything(1_000)
        run.lift()
        run.pass_time(1_000)
        assert run.lift() == ("ok", [0])
        run.lift()
    assert messages == [beginning(run)]


@pytest.mark.parametrize(
    ("assignment", "node"),
    [(6, "n1"), (6, "n2"), (7, "n2"), (7, "n"), (7, "n10"), (0, "")],
    ids=["earlier", "earlier, of another", "another node's", "beginning of a name", "longer name", "none"],
)
def test_who_is_not_the_owner_any_more_is_refused_untouched(run: Runner, assignment: int, node: str) -> None:
    run.lift(7, "n1")
    run.lose_everything(1_000)
    run.lift(7, "n1")
    run.pass_time(1_000)
    before = run.snapshot()
    with heard(run, WAKE_CHANNEL) as messages:
        assert run.lift(assignment, node) == ("duty_stale", [b"7 n1"])
    assert messages == []
    assert run.snapshot() == before
    assert run.lift(7, "n1") == ("ok", [0])


def test_a_newer_assignment_takes_over_for_good(run: Runner) -> None:
    run.lift(7, "n1")
    assert run.lift(8, "n2") == ("ok", [-1])
    assert run.lift(7, "n1") == ("duty_stale", [b"8 n2"])
    assert run.lift(8, "n2").code == "ok"


def test_assignments_are_compared_as_numbers(run: Runner) -> None:
    run.lift(9, "n1")
    assert run.lift(10, "n2").code == "ok"
    assert run.lift(9, "n1") == ("duty_stale", [b"10 n2"])


def test_the_same_node_with_a_newer_assignment_goes_on(run: Runner) -> None:
    run.lift(7, "n1")
    assert run.lift(8, "n1").code == "ok"
    assert run.lift(7, "n1").code == "duty_stale"


def test_a_node_name_with_spaces_is_one_name(run: Runner) -> None:
    run.lift(7, "a b")
    assert run.lift(7, "a").code == "duty_stale"
    assert run.lift(7, "a b").code == "ok"
