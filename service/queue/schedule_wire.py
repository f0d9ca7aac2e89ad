"""What is asked of a timetable and what is answered. Field meanings are in docs/reference/api.md."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.limits import CRON_CHARS_MAX, EVERY_MS_MAX, EVERY_MS_MIN, INTEGER_MAX, SCHEDULE_HEADERS_MAX
from service.names import Name
from service.queue.ticks import Missed
from service.queue.wire import TOPIC_DEFAULT, Priority, TtlMs

TimeMs = Annotated[int, Meta(ge=0, le=INTEGER_MAX // 1000, description="Milliseconds since 1970.")]
Cron = Annotated[str, Meta(min_length=1, max_length=CRON_CHARS_MAX)]
ScheduleHeaders = Annotated[dict[str, str], Meta(max_length=SCHEDULE_HEADERS_MAX)]


class ScheduleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of `cron` and `every_ms`."""

    name: Name
    data: msgspec.Raw
    topic: Name = TOPIC_DEFAULT
    cron: Cron | None = None
    every_ms: Annotated[int, Meta(ge=EVERY_MS_MIN, le=EVERY_MS_MAX)] | None = None
    time_zone: Name = "UTC"
    starts_at_ms: TimeMs = 0
    ends_at_ms: TimeMs = 0
    missed: Missed = "once"
    paused: bool = False
    priority: Priority = 0
    ttl_ms: TtlMs | None = None
    key: Name | None = None
    headers: ScheduleHeaders | None = None
    request_id: Name | None = None


class Scheduled(msgspec.Struct):
    """`next_ms`: the first ticks that will come, ms since 1970."""

    topic: str
    name: str
    next_ms: list[int]
    scheduled: Literal[True] = True


class UnscheduleRequest(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    topic: Name = TOPIC_DEFAULT
    request_id: Name | None = None


class Unscheduled(msgspec.Struct):
    """`unscheduled` is false when there was no such schedule."""

    unscheduled: bool


class Schedule(msgspec.Struct, omit_defaults=True):
    """One of a list; what was not given is not there."""

    name: str
    next_ms: int | None
    missed: Missed
    data: msgspec.Raw
    cron: str = ""
    every_ms: int = 0
    time_zone: str = "UTC"
    starts_at_ms: int = 0
    ends_at_ms: int = 0
    priority: int = 0
    ttl_ms: int = 0
    key: str = ""
    headers: msgspec.Raw | None = None


class SchedulePage(msgspec.Struct):
    """`next` is the `after` of the following page, null at the end."""

    topic: str
    schedules: list[Schedule]
    next: str | None
