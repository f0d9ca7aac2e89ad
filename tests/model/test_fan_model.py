"""Random lives of a topic whose subscriptions each do what a topic does, and share the payloads."""

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from tests.lua.runner import Message, Reply, Runner
from tests.lua.test_queue_fan import fan, subscribe, unsubscribe
from tests.model.test_topic_model import BATCHES, TopicMachine
from tests.model.topic_oracle import One, Topic
from tests.model.world import MOMENT_MS, explore
from tests.support import RedisServer

SOURCE = "source"
NAMES = ("a", "b", "c")


class OfOne(Runner):
    """A runner whose calls are about one subscription where they name no other topic."""

    subscription = NAMES[0]

    def call(self, script_name: str, name: str, **args: Any) -> Reply:
        return super().call(script_name, self._meant(name), **args)

    def keys_of(self, name: str, request_id: str) -> dict[str, bytes]:
        return super().keys_of(self._meant(name), request_id)

    def _meant(self, name: str) -> str:
        return f"{SOURCE}\1{self.subscription}" if name == "topic" else name


class FanMachine(TopicMachine):
    """`topic` is the subscription that the rules of a topic are about; which one it is changes."""

    runner = OfOne
    run: OfOne

    def found(self) -> None:
        self.subscriptions: dict[str, Topic] = {}
        self.leaving: dict[str, Topic] = {}
        for name in NAMES[:2]:
            self.subscribe(name)

    def topics_there(self) -> list[Topic]:
        return [*self.subscriptions.values(), *self.leaving.values()]

    def turn_to(self, name: str) -> None:
        self.run.subscription, self.topic = name, self.subscriptions[name]

    @rule(pick=st.integers(0, 2))
    def turn(self, pick: int) -> None:
        names = list(self.subscriptions)
        self.turn_to(names[pick % len(names)])

    @rule(name=st.sampled_from(NAMES))
    def subscribe(self, name: str) -> None:
        (reply,) = subscribe(self.run, name, topic=SOURCE)
        if name in self.leaving:
            assert reply == ("topic_in_use", [b"leaving"])
            return
        assert reply == ("ok", [int(name not in self.subscriptions)])
        if name not in self.subscriptions:
            self.subscriptions[name] = Topic(now=self.now)
            self.turn_to(name)
            self.mark()

    def delete(self, *, is_forced: bool) -> None:
        """A subscription leaves, but the last one: then the topic itself would get the messages."""
        if len(self.subscriptions) == 1:
            return
        if not self.topic.flying():
            self.deliver(1, 2)
        name = self.run.subscription
        reply = unsubscribe(self.run, name, "1" if is_forced else "", topic=SOURCE)
        if self.topic.flying() and not is_forced:
            assert reply == ("topic_in_use", [b"inflight"])
            return
        assert reply == ("ok", [])
        self.leaving[name] = self.subscriptions.pop(name)
        self.turn(0)

    @rule()
    def sweep(self) -> None:
        """What is in a subscription that leaves goes."""
        while self.leaving:
            name, topic = self.leaving.popitem()
            self.run.subscription = name
            assert self.run.purge("topic", is_forced="1") == ("ok", [len(topic.messages), 0])
        self.turn(0)

    @rule(batch=BATCHES)
    def publish(self, batch: list[tuple[str, int, int, int, str]]) -> None:
        self.number += 1
        tick, data, held = self.tick(), b"%d" % self.number, self.held()
        messages = [
            Message(name, data, delay * MOMENT_MS, priority, life * MOMENT_MS, key)
            for name, delay, priority, life, key in batch
        ]
        reply = fan(self.run, *messages, to=tuple(self.subscriptions), topic=SOURCE)
        new = [name for name, *_ in batch if name not in held]
        for topic in self.subscriptions.values():
            if refusal := topic.refusal(new):
                assert [reply.code, *reply.fields] == refusal
                return
        for topic in self.subscriptions.values():
            topic.drop(topic.excess(new))
        stored = []
        for place, (name, delay, priority, life, key) in enumerate(batch):
            is_stored = False
            for topic in self.subscriptions.values() if name in new else ():
                one = One(name, data, priority, key, topic.now + life if life else None)
                is_stored = topic.store(one, delay, tick + place) or is_stored
            stored.append(int(is_stored))
        assert reply == ("ok", stored)

    def held(self) -> Counter[str]:
        """How many subscriptions have each message, those that leave among them."""
        return Counter(name for topic in self.topics_there() for name in topic.messages)

    # -- what holds at any time

    @invariant()
    def every_message_is_counted_in_its_state(self) -> None:
        self.for_each(super().every_message_is_counted_in_its_state)

    @invariant()
    def the_owner_is_told_of_all_that_will_be_due(self) -> None:
        self.for_each(super().the_owner_is_told_of_all_that_will_be_due)

    @invariant()
    def a_payload_is_there_once_for_those_that_have_its_message(self) -> None:
        payloads = {one.id: one.data for topic in self.topics_there() for one in topic.messages.values()}
        counts = {f"\1{name}": b"%d" % count for name, count in self.held().items()}
        stored = self.run.redis.hgetall(self.run.key("shared", SOURCE))
        assert {name.decode(): value for name, value in stored.items()} == payloads | counts

    def for_each(self, act: Any) -> None:
        before = self.run.subscription
        for name in self.subscriptions:
            self.turn_to(name)
            act()
        self.turn_to(before)

    def empty(self) -> None:
        self.sweep()
        self.for_each(super().empty)

    def end(self) -> None:
        self.for_each(super().end)
        for name in list(self.subscriptions):
            assert unsubscribe(self.run, name, topic=SOURCE).code == "ok"
            self.leaving[name] = self.subscriptions[name]
        for name in self.leaving:
            self.run.subscription = name
            assert self.run.purge("topic") == ("ok", [0, 0])
        assert self.run.purge("topic", topic=SOURCE) == ("ok", [0, 0])


def test_subscriptions_share_nothing_but_payloads_in_any_order_of_events(
    any_server: RedisServer, examples_max: int
) -> None:
    explore(FanMachine, any_server, examples_max=examples_max // 2)
