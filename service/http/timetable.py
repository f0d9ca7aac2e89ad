"""Queue operations of the API: on schedules."""

from service.error_registry import PayloadTooLarge, SchedulesFull
from service.http.operation import Operation
from service.queue.schedule_wire import Scheduled, ScheduleRequest, Unscheduled, UnscheduleRequest

OPERATIONS = (
    Operation(
        path="/queue/schedule",
        summary="Publish a message again and again, by a cron expression or an interval.",
        request=ScheduleRequest,
        replies=(Scheduled,),
        errors=(PayloadTooLarge, SchedulesFull),
        bind=lambda context: lambda request, _: context.timetable.schedule(request),
        payload_field="data",
        examples=({"topic": "t", "name": "nightly", "cron": "0 3 * * *", "data": {"job": "report"}},),
    ),
    Operation(
        path="/queue/unschedule",
        summary="Take a schedule away.",
        request=UnscheduleRequest,
        replies=(Unscheduled,),
        errors=(),
        bind=lambda context: lambda request, _: context.timetable.unschedule(request),
        examples=({"topic": "t", "name": "nightly"},),
    ),
)
