"""Sends messages to a topic, or to its subscriptions when it has some."""

from collections.abc import Awaitable, Callable
from typing import Any

from service.names import RequestIdentity
from service.queue.calls import FAN, PUBLISH
from service.queue.topics import PART_KEYS, Topic, Topics

_SENT_AT_MOST = 4
"""Subscriptions come and go seldom: one that meets a change this often gives up, with nothing done."""


async def publish(
    topics: Topics, topic: Topic, identity: RequestIdentity, args: list[Any], *, takes_all: bool
) -> list[Any]:
    """`args` are those of queue.publish after the identity. Raises what the store raises."""

    async def send() -> list[Any]:
        if topic.subscriptions:
            return await _fan(topics, topic, identity, args)
        ask = topics.call_with_all if takes_all else topics.call
        return await ask(PUBLISH, topic, identity, *args)

    return await to_its_queues(topic, send)


async def to_its_queues(topic: Topic, send: Callable[[], Awaitable[list[Any]]]) -> list[Any]:
    """What `send` is answered, which publishes to the queues of the topic as this node knows them; sent again when the
    answer is that there are others."""
    for _ in range(_SENT_AT_MOST):
        reply = await send()
        if reply[0] != b"topic_subscribed":
            break
        topic.subscriptions = tuple(name.decode() for name in reply[1:])
    return reply


async def _fan(topics: Topics, topic: Topic, identity: RequestIdentity, args: list[Any]) -> list[Any]:
    keys = (*shared_keys(topic), *parts_of(topics, topic))
    return await topics.call_on(FAN, topic.partition, keys, identity, *args)


def shared_keys(topic: Topic) -> tuple[bytes, ...]:
    """What a publish to several queues of a topic needs once."""
    return (*topic.named("settings"), topic.shared, *topic.named("due", "sessions"))


def parts_of(topics: Topics, topic: Topic) -> tuple[bytes, ...]:
    """The keys of each queue that a publish goes to: of the subscriptions, or of the topic itself."""
    queues = [topics.get(topic.name, name) for name in topic.subscriptions] or [topic]
    return tuple(key for queue in queues for key in queue.named(*PART_KEYS))
