"""What is asked of a topic as a whole, and what is answered. Field meanings are in docs/reference/api.md."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.limits import (
    BACKOFF_MAX_MS_DEFAULT,
    CONCURRENCY_MAX,
    DEAD_RETENTION_MS_DEFAULT,
    DEDUP_MS_MAX,
    DELAY_MS_MAX,
    KEY_CONCURRENCY_MAX,
    MAX_DELIVERIES_DEFAULT,
    MAX_DELIVERIES_MAX,
    PEEK_MAX,
    QUEUE_MOVE_MAX,
    RATE_PER_S_MAX,
    RETENTION_MS_MAX,
    TOPIC_LENGTH_MAX,
    VISIBILITY_MS_DEFAULT,
)
from service.names import Name
from service.queue.wire import TOPIC_DEFAULT, Message, VisibilityMs

MaxDeliveries = Annotated[int, Meta(ge=1, le=MAX_DELIVERIES_MAX)]
MaxLength = Annotated[int, Meta(ge=1, le=TOPIC_LENGTH_MAX)]
Overflow = Literal["reject", "drop_oldest"]
BackoffMs = Annotated[int, Meta(ge=1, le=DELAY_MS_MAX)]
Percent = Annotated[int, Meta(ge=0, le=100)]
RetentionMs = Annotated[int, Meta(ge=1_000, le=RETENTION_MS_MAX)]
DedupMs = Annotated[int, Meta(ge=1, le=DEDUP_MS_MAX)]
Concurrency = Annotated[int, Meta(ge=1, le=CONCURRENCY_MAX)]
KeyConcurrency = Annotated[int, Meta(ge=1, le=KEY_CONCURRENCY_MAX)]
RatePerS = Annotated[int, Meta(ge=1, le=RATE_PER_S_MAX)]


class SettingsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is not named stays as it is; null takes a setting back to its default."""

    topic: Name = TOPIC_DEFAULT
    max_deliveries: MaxDeliveries | UnsetType | None = UNSET
    visibility_ms: VisibilityMs | UnsetType | None = UNSET
    max_length: MaxLength | UnsetType | None = UNSET
    overflow: Overflow | UnsetType | None = UNSET
    backoff_ms: BackoffMs | UnsetType | None = UNSET
    backoff_max_ms: BackoffMs | UnsetType | None = UNSET
    backoff_jitter: Percent | UnsetType | None = UNSET
    dead_letter_topic: Name | UnsetType | None = UNSET
    retention_ms: RetentionMs | UnsetType | None = UNSET
    dead_retention_ms: RetentionMs | UnsetType | None = UNSET
    dedup_ms: DedupMs | UnsetType | None = UNSET
    concurrency: Concurrency | UnsetType | None = UNSET
    key_concurrency: KeyConcurrency | UnsetType | None = UNSET
    rate_per_s: RatePerS | UnsetType | None = UNSET
    request_id: Name | None = None


class TopicSettings(msgspec.Struct):
    """What holds for a topic now; null: no limit, none."""

    max_deliveries: int = MAX_DELIVERIES_DEFAULT
    visibility_ms: int = VISIBILITY_MS_DEFAULT
    max_length: int | None = None
    overflow: Overflow = "reject"
    backoff_ms: int | None = None
    backoff_max_ms: int = BACKOFF_MAX_MS_DEFAULT
    backoff_jitter: int = 0
    dead_letter_topic: str | None = None
    retention_ms: int | None = None
    dead_retention_ms: int = DEAD_RETENTION_MS_DEFAULT
    dedup_ms: int | None = None
    concurrency: int | None = None
    key_concurrency: int = 1
    rate_per_s: int | None = None
    paused_in: bool = False
    paused_out: bool = False


class Configured(msgspec.Struct):
    topic: str
    settings: TopicSettings


class PauseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """true pauses, false resumes, absent leaves it."""

    topic: Name = TOPIC_DEFAULT
    publish: bool | UnsetType = UNSET
    consume: bool | UnsetType = UNSET
    request_id: Name | None = None


State = Literal["ready", "delayed", "inflight", "waiting", "dead"]
Ids = Annotated[list[Name], Meta(min_length=1, max_length=QUEUE_MOVE_MAX)]
MoveMax = Annotated[int, Meta(ge=1, le=QUEUE_MOVE_MAX, description="Messages at the most.")]


class PeekRequest(msgspec.Struct, forbid_unknown_fields=True):
    topic: Name = TOPIC_DEFAULT
    state: State = "ready"
    offset: Annotated[int, Meta(ge=0, le=TOPIC_LENGTH_MAX)] = 0
    max: Annotated[int, Meta(ge=1, le=PEEK_MAX)] = 20


class Peeked(msgspec.Struct, omit_defaults=True):
    """`until_ms`: end of the delay or of the visibility, or time of death, ms since 1970."""

    id: str
    message: Message
    attempts: int = 0
    consumer: str = ""
    until_ms: int | None = None
    reason: str = ""


class PeekedPage(msgspec.Struct):
    """`next` is the `offset` of the following page, null at the end."""

    messages: list[Peeked]
    next: int | None


class RedriveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Those in `ids`, or the first `max`."""

    topic: Name = TOPIC_DEFAULT
    ids: Ids | None = None
    max: MoveMax = QUEUE_MOVE_MAX
    to: Name | None = None
    request_id: Name | None = None


class Redriven(msgspec.Struct):
    redriven: int
    left: int


class KickRequest(msgspec.Struct, forbid_unknown_fields=True):
    topic: Name = TOPIC_DEFAULT
    ids: Ids | None = None
    max: MoveMax = QUEUE_MOVE_MAX
    request_id: Name | None = None


class Kicked(msgspec.Struct):
    kicked: int
    left: int


class PurgeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Those in `ids`, or those in `state`."""

    topic: Name = TOPIC_DEFAULT
    state: Literal["ready", "delayed", "waiting", "dead"] | None = None
    ids: Ids | None = None
    request_id: Name | None = None


class Purged(msgspec.Struct):
    purged: int
    more: bool


class DeleteRequest(msgspec.Struct, forbid_unknown_fields=True):
    topic: Name
    force: bool = False


class Deleted(msgspec.Struct):
    deleted: bool
    purged: int


class TopicState(msgspec.Struct):
    topic: str
    ready: int
    delayed: int
    inflight: int
    oldest_age_ms: int | None
    partition: int
    owner: str | None
    """Name of the node that does the partition's duties."""
    dead: int
    waiting: int
    consumers: int
    expired: int
    dropped: int
    settings: TopicSettings
