"""queue.unschedule: a schedule that was taken away publishes nothing."""

from tests.lua.runner import Runner, now_ms


def test_one_that_was_taken_away_publishes_nothing(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.unschedule().fields == [1]
    assert run.fire(tick, tick + 1, "one") == ("ok", [0])
    assert run.unschedule().fields == [0]
    assert run.kinds() == set()
