"""When schedules publish: the first time that fits, also where clocks are put forward and back."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSimError
from hypothesis import given
from hypothesis import strategies as st

from service.limits import MISSED_AFTER_MS, MISSED_TICKS_MAX
from service.queue.ticks import Times, Turn, turn

BERLIN = "Europe/Berlin"
HOUR_MS = 3_600_000


def ms(text: str, zone: str = "UTC") -> int:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(zone))
    return int(at.timestamp() * 1000)


def local(tick: int, zone: str) -> str:
    return datetime.fromtimestamp(tick / 1000, ZoneInfo(zone)).isoformat(timespec="minutes")


def first(times: Times, after: str, count: int) -> list[str]:
    return [local(tick, times.time_zone) for tick in islice(times.following(ms(after, times.time_zone)), count)]


MINUTES = st.sampled_from(["*", "0", "7", "*/15", "5,50", "10-12", "59"])
HOURS = st.sampled_from(["*", "0", "23", "*/6", "2,14", "8-10"])
DAYS = st.sampled_from(["*", "1", "31", "15", "28-30"])
WEEKDAYS = st.sampled_from(["*", "0", "1-5", "SUN", "3"])


def fits(field: str, value: int, most: int) -> bool:
    """By the book, for the kinds of fields above."""
    if field == "*":
        return True
    if field.startswith("*/"):
        return value % int(field[2:]) == 0
    names = {"SUN": "0"}
    parts = [names.get(part, part) for part in field.split(",")]
    return any(
        int(part.split("-")[0]) <= value <= int(part.split("-")[-1]) <= most if "-" in part else int(part) == value
        for part in parts
    )


@given(MINUTES, HOURS, DAYS, WEEKDAYS, st.datetimes(datetime(2026, 1, 1), datetime(2032, 1, 1)))
def test_the_next_tick_is_the_first_minute_that_fits(
    minute: str, hour: str, day: str, weekday: str, after: datetime
) -> None:
    found = Times(f"{minute} {hour} {day} * {weekday}").after(int(after.replace(tzinfo=UTC).timestamp() * 1000))
    assert found is not None
    at = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while True:
        by_day, by_weekday = fits(day, at.day, 31), fits(weekday, (at.weekday() + 1) % 7, 6)
        # As cron does: where both are given, either is enough.
        day_fits = by_day and by_weekday if "*" in (day, weekday) else by_day or by_weekday
        if not day_fits:
            at = at.replace(hour=0, minute=0) + timedelta(days=1)
        elif not fits(hour, at.hour, 23):
            at = at.replace(minute=0) + timedelta(hours=1)
        elif not fits(minute, at.minute, 59):
            at += timedelta(minutes=1)
        else:
            break
    assert datetime.fromtimestamp(found / 1000, UTC).replace(tzinfo=None) == at


@given(
    st.sampled_from(["0 3 * * *", "*/20 * * * *", "30 2 * * *", "15 1-3 * * *", "0 */5 * * 1"]),
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"]),
    st.integers(ms("2027-01-01"), ms("2028-01-01")),
    st.integers(0, 72 * HOUR_MS),
)
def test_the_latest_tick_is_the_last_of_those_that_follow(cron: str, zone: str, since: int, more: int) -> None:
    times = Times(cron, time_zone=zone)
    tick = times.after(since)
    assert tick is not None
    until = tick + more
    last = tick
    for at in times.following(tick):
        if at > until:
            break
        last = at
    assert times.latest(until, tick) == last


@given(st.integers(1_000, 10**10), st.integers(0, 10**12), st.integers(0, 10**13))
def test_an_interval_keeps_its_beat_whenever_it_is_asked(every_ms: int, starts_at_ms: int, at: int) -> None:
    times = Times(every_ms=every_ms, starts_at_ms=starts_at_ms)
    tick = times.after(at)
    assert tick is not None
    assert tick > at
    assert tick >= starts_at_ms
    assert (tick - starts_at_ms) % every_ms == 0
    assert tick - every_ms <= max(at, starts_at_ms - 1)


def test_a_time_that_a_day_does_not_have_comes_when_the_clock_was_put_forward() -> None:
    times = Times("30 2 * * *", time_zone=BERLIN)
    assert first(times, "2027-03-27T12:00", 3) == [
        "2027-03-28T03:00+02:00",
        "2027-03-29T02:30+02:00",
        "2027-03-30T02:30+02:00",
    ]


def test_a_time_that_a_day_has_twice_comes_once() -> None:
    times = Times("30 2 * * *", time_zone=BERLIN)
    assert first(times, "2027-10-30T12:00", 2) == ["2027-10-31T02:30+02:00", "2027-11-01T02:30+01:00"]


@pytest.mark.parametrize("cron", ["30 2 * * *", "*/20 * * * *", "0 1,2,3 * * *", "15 1 * * *"])
@pytest.mark.parametrize("zone", [BERLIN, "Australia/Lord_Howe", "America/New_York"])
@pytest.mark.parametrize("day", ["2026-03-28T20:00", "2026-10-24T20:00", "2026-04-04T10:00", "2026-11-01T00:00"])
def test_the_next_tick_does_not_depend_on_when_it_is_asked_for(cron: str, zone: str, day: str) -> None:
    """In the hour that comes twice, too: what was said then must not publish a tick of the first time again."""
    times, since = Times(cron, time_zone=zone), ms(day)
    until = since + 12 * HOUR_MS
    ticks = list(islice(times.following(since), 40))
    for at in range(since, until, HOUR_MS // 6):
        assert times.after(at) == next(tick for tick in ticks if tick > at)


def test_what_comes_every_half_hour_comes_so_through_both() -> None:
    times = Times("*/30 * * * *", time_zone=BERLIN)
    for day in ("2027-03-28T00:00", "2027-10-31T00:00"):
        ticks = list(islice(times.following(ms(day, BERLIN)), 12))
        assert {after - before for before, after in pairwise(ticks)} == {HOUR_MS // 2}


def test_the_29th_of_february_comes_in_leap_years() -> None:
    assert first(Times("0 0 29 2 *"), "2026-11-25T00:00", 2) == ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]


def test_nothing_comes_before_the_start_nor_after_the_end() -> None:
    times = Times("0 * * * *", starts_at_ms=ms("2027-01-01T10:00"), ends_at_ms=ms("2027-01-01T11:00"))
    assert first(times, "2026-01-01T00:00", 9) == ["2027-01-01T10:00+00:00", "2027-01-01T11:00+00:00"]


@pytest.mark.parametrize("cron", ["", "* * * *", "* * * * * *", "60 * * * *", "a * * * *", "0 0 30 2 *", "0 0 * * 8"])
def test_an_expression_that_names_no_time_is_refused(cron: str) -> None:
    with pytest.raises(CronSimError):
        Times(cron or " ").check()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "/etc", "Europe", "a\0b"])
def test_a_zone_that_is_not_known_is_refused(zone: str) -> None:
    with pytest.raises(KeyError):
        Times("0 0 * * *", time_zone=zone).check()


EVERY = Times(every_ms=60_000)


def test_a_tick_in_time_is_published_whatever_is_said_of_missed_ones() -> None:
    for missed in ("once", "skip", "all"):
        assert turn(EVERY, missed, 60_000, 60_000 + MISSED_AFTER_MS - 1) == Turn([60_000], 120_000)


def test_of_missed_ticks_the_last_all_or_none_are_published() -> None:
    late = 300_000 + MISSED_AFTER_MS
    assert turn(EVERY, "once", 60_000, late) == Turn([300_000], 360_000)
    assert turn(EVERY, "skip", 60_000, late) == Turn([], 360_000)
    assert turn(EVERY, "skip", 60_000, late - 1) == Turn([300_000], 360_000)
    assert turn(EVERY, "all", 60_000, late) == Turn([60_000, 120_000, 180_000, 240_000, 300_000], 360_000)


def test_many_missed_ticks_are_published_a_bounded_number_at_a_time() -> None:
    fired, next_at = turn(EVERY, "all", 60_000, 10**9)
    assert len(fired) == MISSED_TICKS_MAX
    assert next_at == 60_000 * (MISSED_TICKS_MAX + 1)


def test_the_last_tick_has_none_after_it() -> None:
    times = Times(every_ms=60_000, ends_at_ms=130_000)
    for missed in ("once", "all"):
        assert turn(times, missed, 120_000, 500_000) == Turn([120_000], None)
