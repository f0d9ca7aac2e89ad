"""queue.ticks: what is due is told to the owner of the partition, and what comes sooner than it thinks."""

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
