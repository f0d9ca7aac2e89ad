"""What is asked of a topic as a whole: its settings, a look inside, dead letters, removal."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from service.error_registry import FieldInvalid, FieldMissing, SubscriptionUnknown
from service.keys import Partition
from service.names import RequestIdentity, encode_name
from service.queue.calls import CONFIGURE, INSPECT, INSPECTED, KICK, PEEK, PEEKED, PURGE
from service.queue.consuming import NOBODY
from service.queue.known import check_known
from service.queue.publishing import publish
from service.queue.records import last_delivery, message_of
from service.queue.refusals import refusal
from service.queue.topic_wire import (
    Configured,
    Deleted,
    DeleteRequest,
    Kicked,
    KickRequest,
    PauseRequest,
    Peeked,
    PeekedPage,
    PeekRequest,
    Purged,
    PurgeRequest,
    Redriven,
    RedriveRequest,
    SettingsRequest,
    SubscriptionCounts,
    TopicSettings,
    TopicState,
)
from service.queue.topics import Topic, Topics
from service.store.scripts import Scripts

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(TopicSettings).decode


class _Subscribed(msgspec.Struct):
    """What is kept among the settings."""

    subscription: bool = False
    subscriptions: list[str] = []


_unpack_subscribed = msgspec.msgpack.Decoder(_Subscribed).decode
_PEEKED_FIELDS = 5
_NOT_TOLD = (0, 0, 0, -1, 0, 0, 0, 0, 0, b"")
_DELETE_CALLS_MAX = 1_000
_TAKEN_BACK = ""


class Administration:
    def __init__(self, scripts: Scripts, topics: Topics, owner_of: Callable[[Partition], str | None]) -> None:
        """`owner_of` names the node that does a partition's duties."""
        self._scripts = scripts
        self._topics = topics
        self._owner_of = owner_of

    async def inspect(self, topic_name: str, subscription: str | None = None) -> TopicState:
        """The state of a topic or of a subscription. Raises SubscriptionUnknown."""
        topic = self._topics.get(topic_name, subscription)
        state, subscribed = await self._look(topic)
        if subscription is not None and not subscribed.subscription:
            raise SubscriptionUnknown(topic=topic_name, subscription=subscription)
        owns = [self._topics.get(topic_name, name) for name in subscribed.subscriptions]
        found = await asyncio.gather(*(self._look(own) for own in owns))
        state.subscriptions = {
            str(own.subscription): SubscriptionCounts(
                one.ready, one.delayed, one.inflight, one.waiting, one.dead, one.consumers
            )
            for own, (one, _) in zip(owns, found, strict=True)
        }
        return state

    async def _look(self, topic: Topic) -> tuple[TopicState, _Subscribed]:
        reply = await self._scripts.call(INSPECT, topic.partition, topic.named(*INSPECTED), ())
        # A script set of before ends with the age.
        told = (*reply[1:], *_NOT_TOLD[len(reply) - 1 :])
        ready, delayed, inflight, age_ms, dead, waiting, consumers, expired, dropped, settings = told
        state = TopicState(
            topic=topic.name,
            ready=ready,
            delayed=delayed,
            inflight=inflight,
            oldest_age_ms=age_ms if age_ms >= 0 else None,
            partition=topic.partition.number,
            owner=self._owner_of(topic.partition),
            dead=dead,
            waiting=waiting,
            consumers=consumers,
            expired=expired,
            dropped=dropped,
            settings=_settings(settings),
            subscription=topic.subscription,
        )
        return state, _subscribed(settings)

    async def configure(self, request: SettingsRequest) -> Configured:
        """Set what is named. Raises TopicInUse, RequestIdReused."""
        changes = {
            name: _TAKEN_BACK if value is None else value
            for name in SettingsRequest.__struct_fields__
            if name not in ("topic", "subscription", "request_id")
            and not isinstance(value := getattr(request, name), msgspec.UnsetType)
        }
        if request.dead_letter_topic is not None and not isinstance(request.dead_letter_topic, msgspec.UnsetType):
            encode_name("dead_letter_topic", request.dead_letter_topic)
            if request.dead_letter_topic == request.topic and request.subscription is None:
                raise FieldInvalid(field="dead_letter_topic", reason="is this topic itself")
        return await self._change(request, changes)

    async def pause(self, request: PauseRequest) -> Configured:
        """Stop or resume what goes in and what comes out. Raises RequestIdReused."""
        changes = {}
        for name, paused in (("paused_in", request.publish), ("paused_out", request.consume)):
            if isinstance(paused, bool):
                changes[name] = True if paused else _TAKEN_BACK
        return await self._change(request, changes)

    async def _change(self, request: SettingsRequest | PauseRequest, changes: dict[str, Any]) -> Configured:
        if not changes:
            raise FieldMissing(field="publish" if isinstance(request, PauseRequest) else "a setting")
        identity = RequestIdentity("queue.configure", request, request.request_id)
        reply = await self._topics.call_with_all(
            CONFIGURE, self._topics.get(request.topic, request.subscription), identity, _pack(changes)
        )
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, request_id=request.request_id)
        return Configured(request.topic, _settings(reply[1]))

    async def peek(self, request: PeekRequest) -> PeekedPage:
        """A page of the messages in one state; nothing is changed."""
        topic = self._topics.get(request.topic, request.subscription)
        page = await self._page(topic, request.state, request.offset, request.max)
        if not page.messages:
            await check_known(self._scripts, topic)
        return page

    async def _page(self, topic: Topic, state: str, offset: int, most: int) -> PeekedPage:
        shared = () if topic.subscription is None else (topic.shared,)
        keys = (*topic.named(*PEEKED), *shared)
        reply = await self._scripts.call(PEEK, topic.partition, keys, (state, offset, most))
        shown = [_peeked(*reply[at : at + _PEEKED_FIELDS]) for at in range(2, len(reply), _PEEKED_FIELDS)]
        return PeekedPage(shown, reply[1] if reply[1] >= 0 else None)

    async def redrive(self, request: RedriveRequest) -> Redriven:
        """Give dead letters another chance, here or in another topic. Raises RequestIdReused, and what a publish to the
        other topic raises."""
        if request.to is None:
            kicked, left = await self._kick(request, "dead")
            return Redriven(kicked, left)
        if request.ids is not None:
            raise FieldInvalid(field="ids", reason="cannot be combined with to; those that died first go first")
        encode_name("to", request.to)
        if request.to == request.topic and request.subscription is None:
            raise FieldInvalid(field="to", reason="is this topic itself")
        source, moved = self._topics.get(request.topic, request.subscription), 0
        await check_known(self._scripts, source)
        while moved < request.max:
            more = await self.forward(source, request.to, request.max - moved)
            if not more:
                break
            moved += more
        return Redriven(moved, (await self.inspect(request.topic, request.subscription)).dead)

    async def forward(self, source: Topic, to: str, most: int, *, explain: bool = False) -> int:
        """Move the dead letters that died first into another topic, at most 100. How many; what was stored there and
        not removed here yet is not stored again by the next call. Raises what a publish raises."""
        page = await self._page(source, "dead", 0, min(most, 100))
        if not page.messages:
            return 0
        args: list[Any] = [_pack([_options_of(one, source, explain=explain) for one in page.messages])]
        for one in page.messages:
            args += (one.id, 0, bytes(one.message.data))
        reply = await publish(self._topics, self._topics.get(to), NOBODY, args, takes_all=True)
        if reply[0] != b"ok":
            raise refusal(reply, to)
        ids = [one.id for one in page.messages]
        await self._topics.call_with_all(PURGE, source, NOBODY, "", b"", *ids)
        return len(ids)

    async def kick(self, request: KickRequest) -> Kicked:
        """Make delayed messages ready now. Raises RequestIdReused."""
        kicked, left = await self._kick(request, "delayed")
        return Kicked(kicked, left)

    async def _kick(self, request: KickRequest | RedriveRequest, state: str) -> tuple[int, int]:
        identity = RequestIdentity(f"queue.kick {state}", request, request.request_id)
        ids = _checked(request.ids)
        reply = await self._topics.call_with_all(
            KICK, self._topics.get(request.topic, request.subscription), identity, state, request.max, *ids
        )
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, request_id=request.request_id)
        return reply[1], reply[2]

    async def purge(self, request: PurgeRequest) -> Purged:
        """Remove messages for good, at most 1000. Raises RequestIdReused."""
        if (request.state is None) == (request.ids is None):
            if request.state is None:
                raise FieldMissing(field="state")
            raise FieldInvalid(field="ids", reason="cannot be combined with state")
        identity = RequestIdentity("queue.purge", request, request.request_id)
        args = (request.state or b"", b"", *_checked(request.ids))
        reply = await self._topics.call_with_all(
            PURGE, self._topics.get(request.topic, request.subscription), identity, *args
        )
        if reply[0] != b"ok":
            raise refusal(reply, request.topic, request_id=request.request_id)
        return Purged(reply[1], reply[2] == 1)

    async def delete(self, request: DeleteRequest) -> Deleted:
        """Remove a topic with all that is in it and was set for it; `deleted` is false when that takes another call.
        Raises TopicInUse while messages are in flight and it is not forced, TopicUnknown when there is nothing."""
        topic, purged = self._topics.get(request.topic), 0
        for _ in range(_DELETE_CALLS_MAX):
            reply = await self._topics.call_with_all(PURGE, topic, NOBODY, "topic", 1 if request.force else b"")
            if reply[0] == b"topic_unknown" and purged:
                return Deleted(True, purged)
            if reply[0] != b"ok":
                raise refusal(reply, request.topic)
            purged += reply[1]
            if not reply[2]:
                return Deleted(True, purged)
        return Deleted(False, purged)


def _checked(ids: list[str] | None) -> list[str]:
    for position, one in enumerate(ids or ()):
        encode_name(f"ids[{position}]", one)
    return ids or []


def _settings(packed: bytes) -> TopicSettings:
    # An empty table is an empty list to the packer of scripts.
    return TopicSettings() if packed in (b"", b"\x90") else _unpack(packed)


def _subscribed(packed: bytes) -> _Subscribed:
    return _Subscribed() if packed in (b"", b"\x90") else _unpack_subscribed(packed)


def _peeked(message_id: bytes, at_ms: bytes, delivered: bytes, record: bytes, reason: bytes) -> Peeked:
    last = last_delivery(delivered)
    return Peeked(
        id=message_id.decode(),
        message=message_of(record),
        attempts=last.attempts,
        consumer=last.consumer,
        until_ms=int(at_ms) if at_ms else None,
        reason=reason.decode(),
    )


def _options_of(one: Peeked, source: Topic, *, explain: bool) -> tuple[int, int, str, str]:
    message = one.message
    headers = bytes(message.headers) if message.headers is not None else b""
    if explain:
        why = {"dead-topic": source.name, "dead-reason": one.reason, "dead-attempts": str(one.attempts)}
        if source.subscription is not None:
            why["dead-subscription"] = source.subscription
        known = msgspec.json.decode(headers, type=dict[str, str]) if headers else {}
        headers = msgspec.json.encode({**known, **why, "dead-consumer": one.consumer})
    return message.priority, 0, message.key or "", headers.decode()
