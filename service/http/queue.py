"""Queue operations of the API."""

from service.error_registry import AlreadyAcked, PayloadTooLarge, ReceiptExpired, ReceiptSuperseded
from service.http.operation import Operation
from service.queue import (
    Acked,
    AckRequest,
    BatchAcked,
    ConsumeRequest,
    Deliveries,
    Delivery,
    Extended,
    ExtendRequest,
    Nacked,
    NackRequest,
    NoMessage,
    Published,
    PublishedBatch,
    PublishRequest,
)

_DELIVERY_ERRORS = (ReceiptExpired, ReceiptSuperseded, AlreadyAcked)

OPERATIONS = (
    Operation(
        path="/queue/publish",
        summary="Publish one message in `data`, or a batch in `messages`.",
        request=PublishRequest,
        replies=(Published, PublishedBatch),
        errors=(PayloadTooLarge,),
        bind=lambda context: lambda request, _: context.queues.publish(request),
        payload_field="data",
        examples=({"topic": "t", "data": {"x": 1}}, {"topic": "t", "messages": [{"data": 1}, {"data": 2}]}),
    ),
    Operation(
        path="/queue/consume",
        summary="Take the next messages; each stays invisible for `visibility_ms`.",
        request=ConsumeRequest,
        replies=(Delivery, Deliveries, NoMessage),
        errors=(),
        bind=lambda context: lambda request, _: context.queues.consume(request),
        examples=({"topic": "t", "consumer": "c1"},),
    ),
    Operation(
        path="/queue/ack",
        summary="Acknowledge deliveries: by receipt (fenced), or by id (whatever its current delivery is).",
        request=AckRequest,
        replies=(Acked, BatchAcked),
        errors=_DELIVERY_ERRORS,
        bind=lambda context: lambda request, _: context.queues.ack(request),
        refusal={"ack": False},
        examples=({"topic": "t", "id": "order-17"}, {"topic": "t", "receipt": "1.1.1763890000123.order-17"}),
    ),
    Operation(
        path="/queue/nack",
        summary="Give a delivery back, to be delivered again now or after `delay_ms`.",
        request=NackRequest,
        replies=(Nacked,),
        errors=_DELIVERY_ERRORS,
        bind=lambda context: lambda request, _: context.queues.nack(request),
        refusal={"nack": False},
        examples=({"topic": "t", "receipt": "1.1.1763890000123.order-17", "delay_ms": 1000},),
    ),
    Operation(
        path="/queue/extend",
        summary="Set the time that is left of a delivery's visibility timeout.",
        request=ExtendRequest,
        replies=(Extended,),
        errors=_DELIVERY_ERRORS,
        bind=lambda context: lambda request, _: context.queues.extend(request),
        refusal={"extended": False},
        examples=({"topic": "t", "receipt": "1.1.1763890000123.order-17", "visibility_ms": 60000},),
    ),
)
