"""queue.schedule: what is to be published when is kept, and the next tick with it."""

from tests.lua.runner import Runner, now_ms


def test_the_same_times_keep_the_next_tick_and_others_do_not(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.schedule(tick + 60_000, spec="another").fields == [b"%d" % tick]
    assert run.schedule(tick + 60_000, times="T2").fields == [b"%d" % (tick + 60_000)]


def test_a_paused_schedule_is_never_due_and_goes_on_with_the_tick_it_is_given(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.schedule("").fields == [b""]
    assert [one[1] for one in run.schedules()] == [b""]
    assert run.ticks().fields[0] == -1
    assert run.fire(tick, tick + 1, "one") == ("ok", [0])
    assert run.schedule(tick + 60_000).fields == [b"%d" % (tick + 60_000)]


def test_a_topic_has_so_many_and_no_more(run: Runner) -> None:
    for name in ("a", "b"):
        run.schedule(5, name, limit=2)
        run.schedule(5, name, topic="topic2", limit=2)
    before = run.snapshot()
    assert run.schedule(5, "c", limit=2) == ("schedules_full", [])
    assert run.snapshot() == before
    assert run.schedule(5, "b", limit=2).code == "ok", "one that is there may be changed"
