"""queue.withdraw: a consumer whose client is gone. That its message is offered on: test_queue_takers.py."""

from tests.lua.runner import Runner


def test_one_that_is_not_in_line_changes_nothing(run: Runner) -> None:
    run.park(1)
    before = run.snapshot()
    assert run.withdraw_taker(2) == 0
    assert run.snapshot() == before


def test_one_that_withdraws_is_not_counted_any_more(run: Runner) -> None:
    run.park(1)
    run.park(2)
    assert run.withdraw_taker(1) == 1
    assert run.counted()["takers"] == 1
