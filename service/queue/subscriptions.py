"""Subscriptions of a topic: each is a queue of its own that gets all that is published."""

from service.error_registry import SubscriptionUnknown
from service.names import RequestIdentity
from service.queue.calls import PURGE, SUBSCRIBE, UNSUBSCRIBE
from service.queue.consuming import NOBODY
from service.queue.refusals import refusal
from service.queue.topic_wire import Subscribed, SubscribeRequest, Unsubscribed, UnsubscribeRequest
from service.queue.topics import Topic, Topics

_PURGE_CALLS_MAX = 1_000


class Subscriptions:
    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def subscribe(self, request: SubscribeRequest) -> Subscribed:
        """Make a subscription, or find it there. Raises RequestIdReused, SubscriptionsFull, TopicInUse."""
        topic, own = self._pair(request)
        identity = RequestIdentity("queue.subscribe", request, request.request_id)
        keys = (*topic.named("settings"), *own.named("settings"))
        reply = await self._topics.call_on(SUBSCRIBE, topic.partition, keys, identity, request.subscription)
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, request_id=request.request_id)
        return Subscribed(True, reply[1] == 1)

    async def unsubscribe(self, request: UnsubscribeRequest) -> Unsubscribed:
        """Remove a subscription with what is in it; `unsubscribed` is false when that takes another call. Raises
        RequestIdReused, SubscriptionUnknown, TopicInUse while messages are in flight and it is not forced."""
        topic, own = self._pair(request)
        identity = RequestIdentity("queue.unsubscribe", request, request.request_id)
        keys = (*topic.named("settings"), *own.named("inflight", "settings"))
        forced = 1 if request.force else b""
        reply = await self._topics.call_on(UNSUBSCRIBE, topic.partition, keys, identity, request.subscription, forced)
        if reply[0] == b"subscription_unknown":
            raise SubscriptionUnknown(topic=request.topic, subscription=request.subscription)
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, request_id=request.request_id)
        return await self._empty(own)

    async def _empty(self, own: Topic) -> Unsubscribed:
        purged = 0
        for _ in range(_PURGE_CALLS_MAX):
            try:
                reply = await self._topics.call_with_all(PURGE, own, NOBODY, "topic", 1)
            except SubscriptionUnknown:
                return Unsubscribed(True, purged)  # another call has removed the rest
            if reply[0] == b"topic_in_use":
                return Unsubscribed(True, purged)  # this is a repeat, and it was made anew since
            purged += reply[1]
            if not reply[2]:
                return Unsubscribed(True, purged)
        return Unsubscribed(False, purged)

    def _pair(self, request: SubscribeRequest | UnsubscribeRequest) -> tuple[Topic, Topic]:
        return self._topics.get(request.topic), self._topics.get(request.topic, request.subscription)
