"""Schedules of topics: said, listed, taken away, and, by the owner of their partition, published from."""

from __future__ import annotations

from itertools import islice

import msgspec
from cronsim import CronSimError

from service.error_registry import FieldInvalid, FieldMissing, RequestIdReused, SchedulesFull
from service.keys import Partition
from service.limits import SCHEDULE_DATA_BYTES_MAX, SCHEDULE_NAME_BYTES_MAX, SCHEDULES_MAX, TICKS_SHOWN
from service.names import RequestIdentity, encode_name
from service.payload import check_payload
from service.queue.calls import SCHEDULE, SCHEDULES, UNSCHEDULE
from service.queue.outgoing import option_of
from service.queue.schedule_wire import (
    Schedule,
    Scheduled,
    SchedulePage,
    ScheduleRequest,
    Unscheduled,
    UnscheduleRequest,
)
from service.queue.ticks import Missed, Times
from service.queue.topics import Topics
from service.queue.wire import OutgoingMessage
from service.store.scripts import Scripts


class Spec(msgspec.Struct, frozen=True):
    """What a schedule is, as it is kept: its times in one line, and this."""

    missed: Missed
    priority: int
    ttl_ms: int
    key: str
    headers: str
    data: str


_times_of = msgspec.json.Decoder(Times).decode
_spec_of = msgspec.json.Decoder(Spec).decode
_encode = msgspec.json.Encoder().encode


def parse(kept: bytes) -> tuple[Times, Spec]:
    """Raises ValueError when another release wrote it."""
    times, _, spec = kept.partition(b"\n")
    return _times_of(times), _spec_of(spec)


class Timetable:
    def __init__(self, scripts: Scripts, topics: Topics, keep_ms: int) -> None:
        self._scripts = scripts
        self._topics = topics
        self._keep_ms = keep_ms

    async def schedule(self, request: ScheduleRequest) -> Scheduled:
        """Say what is to be published when, or change it. Raises FieldInvalid, FieldMissing, PayloadTooLarge,
        SchedulesFull, RequestIdReused."""
        partition = self._topics.get(request.topic).partition
        member = _member(request.topic, request.name)
        times, spec = _times(request), _spec(request)
        now_ms = await self._now_ms(partition)
        first = times.after(now_ms)
        if first is None:
            raise FieldInvalid(field="ends_at_ms", reason="is over before the first tick")
        identity = RequestIdentity("queue.schedule", request, request.request_id)
        at = b"" if request.paused else first
        reply = await self._scripts.call(
            SCHEDULE,
            partition,
            (partition.outcome + identity.key_suffix, *_keys_of(partition)),
            (identity.fingerprint, self._keep_ms, member, _encode(times), _encode(spec), at, SCHEDULES_MAX),
        )
        if reply[0] == b"schedules_full":
            raise SchedulesFull(topic=request.topic, limit=SCHEDULES_MAX)
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=request.request_id)
        coming = [int(reply[1])] if reply[1] else []
        if coming:
            coming += islice(times.following(coming[0]), TICKS_SHOWN - 1)
        return Scheduled(request.topic, request.name, coming)

    async def unschedule(self, request: UnscheduleRequest) -> Unscheduled:
        """Take a schedule away. Raises RequestIdReused."""
        partition = self._topics.get(request.topic).partition
        identity = RequestIdentity("queue.unschedule", request, request.request_id)
        reply = await self._scripts.call(
            UNSCHEDULE,
            partition,
            (partition.outcome + identity.key_suffix, *_keys_of(partition)),
            (identity.fingerprint, self._keep_ms, _member(request.topic, request.name)),
        )
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=request.request_id)
        return Unscheduled(bool(reply[1]))

    async def page(self, topic: str, after: str, limit: int) -> SchedulePage:
        """Schedules of a topic in the order of their names, from the one after `after`."""
        partition = self._topics.get(topic).partition
        args = (topic, after, limit)
        reply = await self._scripts.call(SCHEDULES, partition, _keys_of(partition), args)
        shown = [_shown(*reply[at : at + 3]) for at in range(2, len(reply), 3)]
        return SchedulePage(topic, shown, shown[-1].name if len(shown) == limit else None)

    async def _now_ms(self, partition: Partition) -> int:
        """Of Redis, whose clock decides when a tick is due."""
        reply = await self._scripts.call(SCHEDULES, partition, _keys_of(partition), ("", "", 1))
        return int(reply[1])


def _keys_of(partition: Partition) -> tuple[bytes, ...]:
    return partition.timetable, partition.schedules, partition.schedule_names


def _member(topic: str, name: str) -> bytes:
    """Names hold no control characters."""
    encoded = encode_name("name", name)
    if len(encoded) > SCHEDULE_NAME_BYTES_MAX:
        raise FieldInvalid(
            field="name", reason=f"has {len(encoded)} bytes, of a schedule {SCHEDULE_NAME_BYTES_MAX} at most"
        )
    return topic.encode() + b"\0" + encoded


def _times(request: ScheduleRequest) -> Times:
    if request.cron is None and request.every_ms is None:
        raise FieldMissing(field="cron")
    if request.cron is not None and request.every_ms is not None:
        raise FieldInvalid(field="every_ms", reason="cannot be combined with cron")
    if request.ends_at_ms and request.ends_at_ms < request.starts_at_ms:
        raise FieldInvalid(field="ends_at_ms", reason="is before starts_at_ms")
    # Written in one way, so that the same times are the same text.
    cron = " ".join((request.cron or "").upper().split())
    times = Times(cron, request.every_ms or 0, request.time_zone, request.starts_at_ms, request.ends_at_ms)
    try:
        times.check()
    except CronSimError as error:
        raise FieldInvalid(field="cron", reason=f"cannot be read: {error}") from None
    except KeyError:
        raise FieldInvalid(field="time_zone", reason="is no name of the IANA time zone database") from None
    return times


def _spec(request: ScheduleRequest) -> Spec:
    data = check_payload("data", request.data, SCHEDULE_DATA_BYTES_MAX)
    message = OutgoingMessage(
        request.data, priority=request.priority, ttl_ms=request.ttl_ms, key=request.key, headers=request.headers
    )
    priority, ttl_ms, key, headers = option_of("", message) or (0, 0, "", "")
    return Spec(request.missed, priority, ttl_ms, key, headers, data.decode())


def _shown(name: bytes, next_at: bytes, kept: bytes) -> Schedule:
    times, spec = parse(kept)
    return Schedule(
        name=name.decode(),
        next_ms=int(next_at) if next_at else None,
        missed=spec.missed,
        data=msgspec.Raw(spec.data.encode()),
        **msgspec.structs.asdict(times),
        priority=spec.priority,
        ttl_ms=spec.ttl_ms,
        key=spec.key,
        headers=msgspec.Raw(spec.headers.encode()) if spec.headers else None,
    )
