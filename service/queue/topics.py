"""The keys of a topic, made once: a name that comes again costs one look into a dictionary."""

from typing import Any

from service.error_registry import SubscriptionUnknown
from service.keys import Keys, Partition
from service.names import RequestIdentity, encode_name
from service.store.scripts import Scripts
from service.store.signature import Call

TOPIC_KEYS = (
    "messages ready delayed inflight settings due"
    " urgent? expiring? line? busy? seen? ghosts? takers? sessions? dead? flow? shared?"
)
"""In the order of lua/lib/topic; the scripts tell which topics need those with a question mark, the last only for a
subscription."""
_PART_KEYS = "messages ready delayed inflight settings urgent expiring line busy seen ghosts takers flow"
PART_KEYS = tuple(_PART_KEYS.split())
"""Those of one of several queues that a script works on, in the order of lua/lib/group_topic."""
_KNOWN_MAX = 10_000
_WANTED = b"topic_keys_wanted"
_UNKNOWN = b"subscription_unknown"
_OF_SUBSCRIPTION = "\1"
"""Stands between topic and subscription in keys; no name has it."""


class Topic:
    """The keys of one topic, or of one subscription of it, which is a queue like any other."""

    __slots__ = (
        "all_keys",
        "is_special",
        "name",
        "partition",
        "plain_keys",
        "ready",
        "shared",
        "subscription",
        "subscriptions",
    )

    def __init__(self, keys: Keys, topic: str, subscription: str | None = None) -> None:
        name = encode_name("topic", topic)
        one: Partition = keys.partition_of(name)
        self.name = topic
        self.subscription = subscription
        self.subscriptions: tuple[str, ...] = ()
        """Those that publishes go to, as this node heard last."""
        self.partition = one
        self.shared = one.shared + name
        if subscription is not None:
            name += _OF_SUBSCRIPTION.encode() + encode_name("subscription", subscription)
        self.ready = one.ready + name
        self.plain_keys = (
            one.messages + name,
            self.ready,
            one.delayed + name,
            one.inflight + name,
            one.settings + name,
            one.due,
        )
        self.all_keys: tuple[bytes, ...] = (
            *self.plain_keys,
            one.urgent + name,
            one.expiring + name,
            one.line + name,
            one.busy + name,
            one.seen + name,
            one.ghosts + name,
            one.takers + name,
            one.sessions,
            one.dead + name,
            one.flow + name,
        )
        if subscription is not None:
            self.all_keys = (*self.all_keys, self.shared)
        self.is_special = subscription is not None

    def named(self, *kinds: str) -> tuple[bytes, ...]:
        """Keys by kind, for scripts that only read."""
        return tuple(self.all_keys[_PLACES[kind]] for kind in kinds)


_PLACES = {kind.rstrip("?"): place for place, kind in enumerate(TOPIC_KEYS.split())}


class Topics:
    """The topics this node has heard of, and how scripts are called on them."""

    def __init__(self, scripts: Scripts, keys: Keys, keep_ms: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self._keep_ms = keep_ms
        self._known: dict[str, Topic] = {}

    def get(self, name: str, subscription: str | None = None) -> Topic:
        """The topic, or a subscription of it. Raises FieldInvalid."""
        known_as = name if subscription is None else f"{name}{_OF_SUBSCRIPTION}{subscription}"
        topic = self._known.get(known_as)
        if topic is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            topic = Topic(self._keys, name, subscription)
            self._known[known_as] = topic
        return topic

    def stored_as(self, name: str) -> Topic:
        """The topic or subscription that keys name like this."""
        topic, has_subscription, subscription = name.partition(_OF_SUBSCRIPTION)
        return self.get(topic, subscription if has_subscription else None)

    async def call(self, call: Call, topic: Topic, identity: RequestIdentity, *args: Any) -> list[Any]:
        """A script that changes the topic, and seldom needs all its keys. Raises what the store raises."""
        if not topic.is_special:
            keys = (topic.partition.outcome + identity.key_suffix, *topic.plain_keys)
            given = (identity.fingerprint, self._keep_ms, *args)
            reply = await self._scripts.call(call, topic.partition, keys, given)
            if reply[0] != _WANTED:
                return reply
            # Only what is always so is remembered: any topic has something due at times.
            topic.is_special = reply[1] == 1
        return await self.call_with_all(call, topic, identity, *args)

    async def call_on(
        self, call: Call, partition: Partition, keys: tuple[bytes, ...], identity: RequestIdentity, *args: Any
    ) -> list[Any]:
        """A script with keys of its own after the outcome. Raises what the store raises."""
        keys = (partition.outcome + identity.key_suffix, *keys)
        return await self._scripts.call(call, partition, keys, (identity.fingerprint, self._keep_ms, *args))

    async def call_with_all(self, call: Call, topic: Topic, identity: RequestIdentity, *args: Any) -> list[Any]:
        """A script that takes all keys of any topic. Raises SubscriptionUnknown, and what the store raises."""
        reply = await self.call_on(call, topic.partition, topic.all_keys, identity, *args)
        if reply[0] == _UNKNOWN:
            raise SubscriptionUnknown(topic=topic.name, subscription=topic.subscription)
        return reply
