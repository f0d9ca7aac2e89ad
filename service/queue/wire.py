"""What is asked of a queue and what is answered. Field meanings are the public API's (docs/reference/api.md)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.limits import (
    ACK_BATCH_MAX,
    CONSUME_BATCH_MAX,
    CONSUME_WAIT_MS_MAX,
    DELAY_MS_MAX,
    HEADERS_MAX,
    MESSAGE_TTL_MS_MAX,
    PRIORITY_MAX,
    PUBLISH_BATCH_MAX,
    VISIBILITY_MS_MAX,
    VISIBILITY_MS_MIN,
)
from service.names import Name

TOPIC_DEFAULT = "default"
CONSUMER_DEFAULT = "anonymous"
REASON_DEFAULT = "buried"

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


Priority = Annotated[int, Meta(ge=0, le=PRIORITY_MAX, description="9 is delivered first.")]
TtlMs = Annotated[
    int,
    Meta(ge=1, le=MESSAGE_TTL_MS_MAX, description="Milliseconds after which the message is not delivered any more."),
]
Headers = Annotated[dict[str, str], Meta(max_length=HEADERS_MAX, description="Texts for the consumer.")]
ConsumeMax = Annotated[int, Meta(ge=1, le=CONSUME_BATCH_MAX, description="Messages at the most.")]
WaitMs = Annotated[
    int, Meta(ge=0, le=CONSUME_WAIT_MS_MAX, description="Milliseconds to wait for a message when there is none.")
]


class OutgoingMessage(msgspec.Struct, forbid_unknown_fields=True):
    data: msgspec.Raw
    id: Name | None = None
    delay_ms: DelayMs = 0
    priority: Priority = 0
    ttl_ms: TtlMs | None = None
    key: Name | None = None
    headers: Headers | None = None


class PublishRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One message in `data`, or several in `messages`."""

    topic: Name = TOPIC_DEFAULT
    data: msgspec.Raw | UnsetType = UNSET
    id: Name | None = None
    delay_ms: DelayMs = 0
    priority: Priority = 0
    ttl_ms: TtlMs | None = None
    key: Name | None = None
    headers: Headers | None = None
    messages: Annotated[list[OutgoingMessage], Meta(min_length=1, max_length=PUBLISH_BATCH_MAX)] | UnsetType = UNSET
    request_id: Name | None = None


class ConsumeRequest(msgspec.Struct, forbid_unknown_fields=True):
    topic: Name = TOPIC_DEFAULT
    consumer: Name = CONSUMER_DEFAULT
    max: ConsumeMax = 1
    visibility_ms: VisibilityMs | UnsetType = UNSET
    wait_ms: WaitMs = 0
    request_id: Name | None = None


class AckRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of `id` (whatever its current delivery is), `receipt` and `receipts`; what follows is for `then`."""

    topic: Name = TOPIC_DEFAULT
    id: Name | None = None
    receipt: Receipt | None = None
    receipts: Annotated[list[Receipt], Meta(min_length=1, max_length=ACK_BATCH_MAX)] | None = None
    then: Literal["consume"] | None = None
    consumer: Name = CONSUMER_DEFAULT
    max: ConsumeMax = 1
    visibility_ms: VisibilityMs | UnsetType = UNSET
    wait_ms: WaitMs = 0
    request_id: Name | None = None


class NackRequest(msgspec.Struct, forbid_unknown_fields=True):
    receipt: Receipt
    topic: Name = TOPIC_DEFAULT
    delay_ms: DelayMs | UnsetType = UNSET
    request_id: Name | None = None


class BuryRequest(msgspec.Struct, forbid_unknown_fields=True):
    receipt: Receipt
    topic: Name = TOPIC_DEFAULT
    reason: Name = REASON_DEFAULT
    request_id: Name | None = None


class LeftRequest(msgspec.Struct, forbid_unknown_fields=True):
    receipt: Receipt
    topic: Name = TOPIC_DEFAULT


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


class Message(msgspec.Struct, omit_defaults=True):
    """What was published with the message beside its data is there if it was given."""

    ts: float
    data: msgspec.Raw
    priority: int = 0
    key: str | None = None
    headers: msgspec.Raw | None = None


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
    """`next` is what was asked for with `then`."""

    ack: Literal[True] = True
    next: Deliveries | UnsetType = UNSET


class Refused(msgspec.Struct):
    receipt: str
    code: str
    detail: str


class BatchAcked(msgspec.Struct):
    """`ack` is true when every receipt was good; the good ones of a mixed batch are acknowledged all the same."""

    ack: bool
    acked: int
    refused: list[Refused]
    next: Deliveries | UnsetType = UNSET


class Nacked(msgspec.Struct):
    """`state` is there when the message was not simply given back: dead, expired, or delayed by a back-off."""

    nack: Literal[True] = True
    state: str | UnsetType = UNSET
    delay_ms: int | UnsetType = UNSET


class Buried(msgspec.Struct):
    buried: Literal[True] = True


class Left(msgspec.Struct, kw_only=True):
    """`extendable_ms` is the largest `visibility_ms` that /queue/extend takes now."""

    left_ms: int
    extendable_ms: int


class Extended(msgspec.Struct, kw_only=True):
    extended: Literal[True] = True
    visibility_ms: int
