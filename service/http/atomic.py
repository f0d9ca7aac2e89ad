"""Groups of operations of the API."""

from service.atomic import AtomicDone, AtomicRequest
from service.error_registry import OperationRefused, PayloadTooLarge, TagNotShared
from service.http.operation import Operation

_RECEIPT = "1.1.1763890000123.order-17"

OPERATIONS = (
    Operation(
        path="/atomic",
        summary="Check locks, acknowledge and publish messages, put and remove values: all together, or nothing.",
        request=AtomicRequest,
        replies=(AtomicDone,),
        errors=(OperationRefused, TagNotShared, PayloadTooLarge),
        bind=lambda context: lambda request, _: context.groups.apply(request),
        refusal={"ok": False},
        payload_field="operations",
        examples=(
            {
                "operations": [
                    {"op": "lock.check", "resource": "{order42}", "token": 68719476737, "owner": "alice"},
                    {"op": "queue.ack", "topic": "{order42}:in", "receipt": _RECEIPT},
                    {"op": "queue.publish", "topic": "{order42}:out", "data": {"x": 1}},
                    {"op": "cache.put", "key": "{order42}:state", "value": "paid"},
                    {"op": "cache.invalidate", "key": "{order42}:draft"},
                ]
            },
        ),
    ),
)
