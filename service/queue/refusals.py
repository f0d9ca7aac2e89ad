"""What a script's refusal means to the caller."""

from typing import Any

from service.error_registry import BY_CODE
from service.errors import SimpulError

_OF_A_TOPIC = (b"topic_paused", b"topic_keys_wanted", b"topic_subscribed", b"topic_unknown")
_WHY_IN_USE = {
    b"key_concurrency": "key_concurrency would change the order of messages that are under way",
    b"max_length": "max_length is below the number of messages there are",
    b"inflight": "messages are in flight; force deletes them, too",
    b"subscriptions": "it has subscriptions; remove them with /queue/unsubscribe first",
    b"leaving": "a subscription of this name is being removed; finish that with /queue/unsubscribe",
}


def refusal(reply: list[Any], topic: str, message_id: str = "", request_id: str | None = None) -> SimpulError:
    code = reply[0]
    if code in _OF_A_TOPIC:
        return BY_CODE[code.decode()](topic=topic)
    more: dict[str, Any] = {"topic": topic, "id": message_id}
    if code == b"request_id_reused":
        more = {"request_id": request_id}
    elif code == b"topic_full":
        more = {"topic": topic, "length": reply[1]}
    elif code == b"topic_in_use":
        more = {"topic": topic, "reason": _WHY_IN_USE[reply[1]]}
    elif code == b"extension_too_long":
        more["most_ms"] = reply[1]
    elif code == b"subscriptions_full":
        more = {"topic": topic, "limit": reply[1]}
    return BY_CODE[code.decode()](**more)
