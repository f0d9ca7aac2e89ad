"""What a script's refusal means to the caller."""

from typing import Any

from service.error_registry import (
    BY_CODE,
    ExtensionTooLong,
    RequestIdReused,
    TopicFull,
    TopicInUse,
    TopicKeysWanted,
    TopicPaused,
    TopicUnknown,
)
from service.errors import SimpulError

_WHY_IN_USE = {
    b"key_concurrency": "key_concurrency would change the order of messages that are under way",
    b"max_length": "max_length is below the number of messages there are",
    b"inflight": "messages are in flight; force deletes them, too",
}
_OF_A_TOPIC = {one.code.encode(): one for one in (TopicPaused, TopicKeysWanted, TopicUnknown)}


def refusal(reply: list[Any], topic: str, message_id: str = "", request_id: str | None = None) -> SimpulError:
    code = reply[0]
    if code == b"request_id_reused":
        return RequestIdReused(request_id=request_id)
    if code == b"topic_full":
        return TopicFull(topic=topic, length=reply[1])
    if code == b"topic_in_use":
        return TopicInUse(topic=topic, reason=_WHY_IN_USE[reply[1]])
    if code == b"extension_too_long":
        return ExtensionTooLong(topic=topic, id=message_id, most_ms=reply[1])
    if code in _OF_A_TOPIC:
        return _OF_A_TOPIC[code](topic=topic)
    return BY_CODE[code.decode()](topic=topic, id=message_id)
