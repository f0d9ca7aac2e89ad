"""What a group may ask for and what is answered. Field meanings are the public API's (docs/reference/api.md)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.cache.wire import Lifetime, Version
from service.limits import ATOMIC_OPERATIONS_MAX, TAGS_MAX
from service.lock.wire import Token
from service.names import Name
from service.queue.wire import OutgoingMessage, Receipt


class CheckLock(msgspec.Struct, tag_field="op", tag="lock.check", forbid_unknown_fields=True):
    """Without an owner the hold must be exclusive."""

    resource: Name
    token: Token
    owner: Name | None = None


class AckMessage(msgspec.Struct, tag_field="op", tag="queue.ack", forbid_unknown_fields=True):
    topic: Name
    receipt: Receipt


class PublishMessage(OutgoingMessage, tag_field="op", tag="queue.publish", kw_only=True):
    topic: Name


class PutValue(msgspec.Struct, tag_field="op", tag="cache.put", forbid_unknown_fields=True):
    key: Name
    value: msgspec.Raw
    ttl_ms: Lifetime | None = None
    if_version: Version | None = None
    tags: Annotated[list[Name], Meta(min_length=1, max_length=TAGS_MAX)] | UnsetType = UNSET


class InvalidateKey(msgspec.Struct, tag_field="op", tag="cache.invalidate", forbid_unknown_fields=True):
    key: Name


GroupOperation = CheckLock | AckMessage | PublishMessage | PutValue | InvalidateKey


class AtomicRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The names of all operations have one `{tag}`."""

    operations: Annotated[list[GroupOperation], Meta(min_length=1, max_length=ATOMIC_OPERATIONS_MAX)]
    request_id: Name | None = None


class LockChecked(msgspec.Struct, tag_field="op", tag="lock.check"):
    held: Literal[True] = True


class MessageAcked(msgspec.Struct, tag_field="op", tag="queue.ack"):
    ack: Literal[True] = True


class MessagePublished(msgspec.Struct, tag_field="op", tag="queue.publish", omit_defaults=True):
    id: str
    duplicate: bool = False


class ValuePut(msgspec.Struct, tag_field="op", tag="cache.put"):
    version: int


class KeyInvalidated(msgspec.Struct, tag_field="op", tag="cache.invalidate"):
    invalidated: int


GroupResult = LockChecked | MessageAcked | MessagePublished | ValuePut | KeyInvalidated


class AtomicDone(msgspec.Struct):
    """One result for each operation, in the order of the request."""

    results: list[GroupResult]
    ok: Literal[True] = True
