"""The keys of a topic, made once: a name that comes again costs one look into a dictionary."""

from typing import Any

from service.keys import Keys, Partition
from service.names import RequestIdentity, encode_name
from service.store.scripts import Scripts
from service.store.signature import Call

TOPIC_KEYS = (
    "messages ready delayed inflight settings due"
    " urgent? expiring? line? busy? seen? ghosts? takers? sessions? dead? flow?"
)
"""In the order of lua/lib/topic; the scripts tell which topics need those with a question mark."""
_KNOWN_MAX = 10_000
_WANTED = b"topic_keys_wanted"


class Topic:
    """The keys of one topic."""

    __slots__ = ("all_keys", "is_special", "name", "partition", "plain_keys", "ready")

    def __init__(self, keys: Keys, topic: str) -> None:
        name = encode_name("topic", topic)
        one: Partition = keys.partition_of(name)
        self.name = topic
        self.partition = one
        self.ready = one.ready + name
        self.plain_keys = (
            one.messages + name,
            self.ready,
            one.delayed + name,
            one.inflight + name,
            one.settings + name,
            one.due,
        )
        self.all_keys = (
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
        self.is_special = False

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

    def get(self, name: str) -> Topic:
        """Raises FieldInvalid."""
        topic = self._known.get(name)
        if topic is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            topic = self._known[name] = Topic(self._keys, name)
        return topic

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

    async def call_with_all(self, call: Call, topic: Topic, identity: RequestIdentity, *args: Any) -> list[Any]:
        """A script that takes all keys of any topic."""
        keys = (topic.partition.outcome + identity.key_suffix, *topic.all_keys)
        return await self._scripts.call(call, topic.partition, keys, (identity.fingerprint, self._keep_ms, *args))
