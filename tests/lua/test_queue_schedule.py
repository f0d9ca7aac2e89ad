"""queue.schedule, queue.ticks and queue.fire: a tick is published once, at its time, by the owner of the partition."""

import pytest

from tests.lua.runner import Runner, heard, now_ms

WAKE = "simpul:test:wake"


def test_a_tick_that_has_come_is_told_with_what_the_schedule_is(run: Runner) -> None:
    now = now_ms(run)
    assert run.ticks().fields[0] == -1
    run.schedule(now + 60_000)
    code, (left_ms, at, *due) = run.ticks()
    assert (code, due) == ("ok", [])
    assert 30_000 < left_ms <= 60_000
    assert int(at) >= now
    run.schedule(now - 5, "other")
    assert run.ticks().fields[2:] == [b"topic\0other", b"%d" % (now - 5), b"T\nS"]


def test_a_tick_is_published_once_and_the_next_one_waits(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.fire(tick, tick + 60_000, "one") == ("ok", [1])
    assert run.fire(tick, tick + 60_000, "two") == ("ok", [0])
    assert run.consume_ids(10) == ["one"]
    assert [one[1] for one in run.schedules()] == [b"%d" % (tick + 60_000)]


def test_nothing_is_published_before_its_time(run: Runner) -> None:
    tick = now_ms(run) + 60_000
    run.schedule(tick)
    before = run.snapshot()
    assert run.fire(tick, tick + 60_000, "one") == ("ok", [0])
    assert run.snapshot() == before


def test_a_schedule_that_was_said_anew_publishes_no_more_what_it_was(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    run.schedule(tick, spec="another")
    assert run.fire(tick, tick + 60_000, "old") == ("ok", [0])
    assert run.fire(tick, tick + 60_000, "new", kept="T\nanother") == ("ok", [1])
    assert run.consume_ids(10) == ["new"]


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


def test_a_schedule_without_a_next_tick_is_gone(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.fire(tick, "", "last") == ("ok", [1])
    assert run.schedules() == []
    assert run.kinds() == {"messages", "ready", "settings", "timetable"}
    assert run.ticks().fields[0] == -1


def test_one_that_was_taken_away_publishes_nothing(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.unschedule().fields == [1]
    assert run.fire(tick, tick + 1, "one") == ("ok", [0])
    assert run.unschedule().fields == [0]
    assert run.kinds() == set()


def test_those_of_a_topic_are_listed_in_order_and_in_pages(run: Runner) -> None:
    for name in ("c", "a", "b"):
        run.schedule(5, name)
        run.schedule(5, name, topic="topic2")
    assert [one[0] for one in run.schedules(limit=2)] == [b"a", b"b"]
    assert [one[0] for one in run.schedules("b", limit=2)] == [b"c"]


def test_a_topic_has_so_many_and_no_more(run: Runner) -> None:
    for name in ("a", "b"):
        run.schedule(5, name, limit=2)
        run.schedule(5, name, topic="topic2", limit=2)
    before = run.snapshot()
    assert run.schedule(5, "c", limit=2) == ("schedules_full", [])
    assert run.snapshot() == before
    assert run.schedule(5, "b", limit=2).code == "ok", "one that is there may be changed"


@pytest.mark.parametrize(
    ("settings", "refusal"), [({"max_length": 1}, ("topic_full", [1])), ({"paused_in": True}, ("topic_paused", []))]
)
def test_a_topic_that_takes_nothing_keeps_the_tick_due(
    run: Runner, settings: dict[str, object], refusal: tuple[str, list[int]]
) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    run.publish("first")
    run.configure(**settings)
    before = run.snapshot()
    assert run.fire(tick, tick + 60_000, "one") == refusal
    assert run.snapshot() == before


def test_a_consumer_that_waits_is_woken_by_a_tick(run: Runner) -> None:
    run.park(1)
    tick = now_ms(run) - 5
    run.schedule(tick)
    with heard(run, f"{WAKE}:5e55") as messages:
        run.fire(tick, tick + 60_000, "one")
    assert len(messages) == 1


def test_the_owner_is_told_of_what_comes_sooner_and_of_nothing_else(run: Runner) -> None:
    run.ticks()
    now = now_ms(run)
    with heard(run, WAKE) as messages:
        run.schedule(now + 60_000)
    assert messages == [b"@" + run.key("timetable")]
    run.ticks()
    with heard(run, WAKE) as messages:
        run.schedule(now + 70_000, "later")
        run.schedule("", "paused")
    assert messages == []
    with heard(run, WAKE) as messages:
        run.schedule(now + 50_000, "sooner")
    assert len(messages) == 1


def test_an_owner_that_was_replaced_publishes_nothing(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.ticks(assignment=2, node="n2").code == "ok"
    before = run.snapshot()
    assert run.ticks(assignment=1, node="n1") == ("duty_stale", [b"2 n2"])
    assert run.fire(tick, tick + 60_000, "one", assignment=1, node="n1") == ("duty_stale", [b"2 n2"])
    assert run.snapshot() == before
