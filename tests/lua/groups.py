"""Groups of operations as a node sends them, on the names of the tests."""

from typing import Any, NamedTuple

from tests.lua.runner import CHANNEL, Message, Reply, Runner, delivery_named

TOPIC_PARTS = (
    *("messages", "ready", "delayed", "inflight", "settings", "urgent", "expiring"),
    *("line", "busy", "seen", "ghosts", "takers", "flow"),
)
SHARED = ("fence", "outcome", "versions", "quarantine", "due", "sessions")


class Operation(NamedTuple):
    """What an operation is about: kinds of keys and a name each. The rest is what the script is told."""

    parts: tuple[tuple[str, str], ...]
    act: str
    asked: str
    """What follows the place of its keys (lua/lib/group_operation.lua)."""
    payload: bytes = b""


def check(token: int, owner: str = "", resource: str = "res") -> Operation:
    parts = tuple((kind, resource) for kind in ("lock", "readers", "reader_holds"))
    return Operation(parts, "check", f" {token} {owner}")


def ack(receipt: str, topic: str = "topic") -> Operation:
    named = delivery_named(receipt)
    return Operation(_topic(topic), "ack", f" {named['delivery']} {named['generation']} {named['id']}")


def publish(message: Message | str, topic: str = "topic") -> Operation:
    one = Message(message) if isinstance(message, str) else message
    numbers = (one.delay_ms, one.priority, one.ttl_ms, len(one.key), len(one.headers))
    asked = f" {' '.join(map(str, numbers))} {one.key}{one.headers.decode()}{one.id}"
    return Operation(_topic(topic), "publish", asked, one.data)


def put(
    key: str, value: bytes = b"1", ttl_ms: int = 0, if_version: int | str = "", tags: tuple[str, ...] = ()
) -> Operation:
    parts = (("entry", key), ("names", ""), *(("tag", tag) for tag in tags))
    return Operation(parts, "put", f" {ttl_ms} {if_version} {len(tags)} {key}", value)


def invalidate(key: str) -> Operation:
    return Operation((("entry", key),), "invalidate", "")


def _topic(name: str) -> tuple[tuple[str, str], ...]:
    return tuple((kind, name) for kind in TOPIC_PARTS)


def apply(run: Runner, *operations: Operation, request_id: str = "", fingerprint: str | None = None) -> Reply:
    known = run.keys_of("", request_id)
    keys = [known[name] for name in SHARED]
    of_request = (f"of-{request_id}" if request_id else "") if fingerprint is None else fingerprint
    argv: list[Any] = [run.fence, of_request, run.keep_ms, CHANNEL]
    places: dict[tuple[tuple[str, str], ...], int] = {}
    for one in operations:
        if one.parts not in places:
            places[one.parts] = len(keys) + 1
            keys += [run.key(kind, name) for kind, name in one.parts]
        argv += (f"{one.act} {places[one.parts]}" + one.asked, one.payload)
    reply = run.evalsha(run.scripts["atomic.apply"], keys, argv)
    return Reply(reply[0].decode(), reply[1:])
