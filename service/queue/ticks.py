"""When a schedule publishes: pure, so that whoever does it comes to the same ticks.

A tick is a time in ms since 1970. Which ticks there are depends on what the schedule says alone, never on when it was
said or when the last one was published: a schedule that is said again, or done by another node, keeps its beat.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from service.limits import MISSED_AFTER_MS, MISSED_TICKS_MAX

Missed = Literal["once", "skip", "all"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Times(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that the ticks of a schedule depend on: a cron expression in a time zone, or an interval.

    The ticks of an interval are the multiples of it since `starts_at_ms`, or since 1970 began.
    """

    cron: str = ""
    every_ms: int = 0
    time_zone: str = "UTC"
    starts_at_ms: int = 0
    ends_at_ms: int = 0

    def check(self) -> None:
        """Raises CronSimError for an expression that names no time, KeyError for a zone that is not known."""
        zone_of(self.time_zone)
        if self.cron:
            if len(self.cron.split()) != 5:
                raise CronSimError("an expression has five fields: minute, hour, day of month, month, day of week")
            # One that never comes, like the 30th of February, ends at once.
            if next(CronSim(self.cron, _EPOCH), None) is None:
                raise CronSimError("it never comes")

    def after(self, at_ms: int) -> int | None:
        """The first tick later than this; None when there is none any more."""
        at_ms = max(at_ms, self.starts_at_ms - 1)
        if self.every_ms:
            found = self._multiple(at_ms) + self.every_ms
        else:
            # It starts from the wall time, which in the hour that comes twice is that of the first: what it finds then
            # may have been already.
            found = next(tick for tick in map(_ms, CronSim(self.cron, self._local(at_ms))) if tick > at_ms)
        return None if self.ends_at_ms and found > self.ends_at_ms else found

    def latest(self, at_ms: int, least_ms: int) -> int:
        """The last tick that is not later than this; `least_ms` is one."""
        if self.ends_at_ms:
            at_ms = min(at_ms, self.ends_at_ms)
        if self.every_ms:
            return max(self._multiple(at_ms), least_ms)
        # The iterator goes back from what is later than the time, to the second.
        found = _ms(next(CronSim(self.cron, self._local(at_ms - at_ms % 1000 + 1000), reverse=True)))
        return max(found, least_ms)

    def following(self, at_ms: int) -> Iterator[int]:
        tick = self.after(at_ms)
        while tick is not None:
            yield tick
            tick = self.after(tick)

    def _multiple(self, at_ms: int) -> int:
        """The last one of an interval that is not later than this."""
        return at_ms - (at_ms - self.starts_at_ms) % self.every_ms

    def _local(self, at_ms: int) -> datetime:
        return (_EPOCH + at_ms * _MS).astimezone(zone_of(self.time_zone))


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS


def zone_of(name: str) -> ZoneInfo:
    """Raises KeyError when there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as error:
        # Names that look like paths, and folders of zones.
        raise KeyError(name) from error


class Turn(NamedTuple):
    """What becomes of a tick that is due."""

    fired: list[int]
    """Ticks to be published now, at most MISSED_TICKS_MAX."""
    next_at: int | None


def turn(times: Times, missed: Missed, tick: int, now_ms: int) -> Turn:
    """`tick` is the next one and not later than `now_ms`. Of several, all are published, or the last one for all of
    them; with `skip` only if it is not MISSED_AFTER_MS late."""
    if missed == "all":
        fired = [tick]
        for at in times.following(tick):
            if at > now_ms or len(fired) == MISSED_TICKS_MAX:
                return Turn(fired, at)
            fired.append(at)
        return Turn(fired, None)
    last = times.latest(now_ms, tick)
    is_fired = missed == "once" or last > now_ms - MISSED_AFTER_MS
    return Turn([last] if is_fired else [], times.after(last))
