"""What is asked of a queue and what is answered. Field meanings are the public API's (docs/reference/api.md)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.limits import (
    ACK_BATCH_MAX,
    CONSUME_BATCH_MAX,
    DELAY_MS_MAX,
    PUBLISH_BATCH_MAX,
    VISIBILITY_MS_DEFAULT,
    VISIBILITY_MS_MAX,
    VISIBILITY_MS_MIN,
)
from service.names import Name

TOPIC_DEFAULT = "default"
CONSUMER_DEFAULT = "anonymous"

DelayMs = Annotated[int, Meta(ge=0, le=DELAY_MS_MAX, description="Milliseconds before the message can be delivered.")]
VisibilityMs = Annotated[
    int,
    Meta(
        ge=VISIBILITY_MS_MIN,
        le=VISIBILITY_MS_MAX,
        description="Milliseconds until an unacknowledged message is delivered again.",
    ),
]
Receipt = Annotated[str, Meta(min_length=1, max_length=600, description="Proof of one delivery.")]


class OutgoingMessage(msgspec.Struct, forbid_unknown_fields=True):
    data: msgspec.Raw
    id: Name | None = None
    delay_ms: DelayMs = 0


class PublishRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One message in `data`, or several in `messages`."""

    topic: Name = TOPIC_DEFAULT
    data: msgspec.Raw | UnsetType = UNSET
    id: Name | None = None
    delay_ms: DelayMs = 0
    messages: Annotated[list[OutgoingMessage], Meta(min_length=1, max_length=PUBLISH_BATCH_MAX)] | UnsetType = UNSET
    request_id: Name | None = None


class ConsumeRequest(msgspec.Struct, forbid_unknown_fields=True):
    topic: Name = TOPIC_DEFAULT
    consumer: Name = CONSUMER_DEFAULT
    max: Annotated[int, Meta(ge=1, le=CONSUME_BATCH_MAX, description="Messages at the most.")] = 1
    visibility_ms: VisibilityMs = VISIBILITY_MS_DEFAULT
    request_id: Name | None = None


class AckRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of `id` (whatever its current delivery is), `receipt` and `receipts`."""

    topic: Name = TOPIC_DEFAULT
    id: Name | None = None
    receipt: Receipt | None = None
    receipts: Annotated[list[Receipt], Meta(min_length=1, max_length=ACK_BATCH_MAX)] | None = None
    request_id: Name | None = None


class NackRequest(msgspec.Struct, forbid_unknown_fields=True):
    receipt: Receipt
    topic: Name = TOPIC_DEFAULT
    delay_ms: DelayMs = 0
    request_id: Name | None = None


class ExtendRequest(msgspec.Struct, forbid_unknown_fields=True):
    receipt: Receipt
    visibility_ms: VisibilityMs
    topic: Name = TOPIC_DEFAULT
    request_id: Name | None = None


class Published(msgspec.Struct, kw_only=True, omit_defaults=True):
    ok: Literal[True]
    id: str
    duplicate: bool = False


class PublishedBatch(msgspec.Struct, kw_only=True):
    ok: Literal[True]
    ids: list[str]
    duplicates: list[str]


class Message(msgspec.Struct):
    ts: float
    data: msgspec.Raw


class Delivery(msgspec.Struct):
    id: str
    receipt: str
    attempt: int
    message: Message


class NoMessage(msgspec.Struct):
    message: None = None


class Deliveries(msgspec.Struct):
    messages: list[Delivery]


class Acked(msgspec.Struct):
    ack: Literal[True] = True


class Refused(msgspec.Struct):
    receipt: str
    code: str
    detail: str


class BatchAcked(msgspec.Struct):
    """`ack` is true when every receipt was good; the good ones of a mixed batch are acknowledged all the same."""

    ack: bool
    acked: int
    refused: list[Refused]


class Nacked(msgspec.Struct):
    nack: Literal[True] = True


class Extended(msgspec.Struct, kw_only=True):
    extended: Literal[True] = True
    visibility_ms: int


class TopicState(msgspec.Struct):
    topic: str
    ready: int
    delayed: int
    inflight: int
    oldest_age_ms: int | None
    partition: int
    owner: str | None
    """Name of the node that does the partition's duties."""
