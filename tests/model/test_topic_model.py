"""Random lives of a topic that uses everything: priorities, ordering keys, lives that end, dead letters, limits.

The model keeps each message in one state, and for each priority the order of those that are ready. It knows nothing of
how Redis stores them, nor that a message which was removed leaves its id behind in a list.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.lua.runner import Delivered, Message
from tests.model.world import MOMENT_MS, World, explore
from tests.support import RedisServer

MOMENTS = st.integers(1, 3)
IDS = st.sampled_from([f"m-{number}" for number in range(1, 13)])
PICKS = st.integers(0, 1_000)
BATCHES = st.lists(
    st.tuples(
        IDS,
        st.sampled_from([0, 0, 0, 1, 2]),  # delay
        st.sampled_from([0, 0, 1, 9]),  # priority
        st.sampled_from([0, 0, 0, 2, 4]),  # life
        st.sampled_from(["", "", "k", "k 2"]),
    ),
    min_size=1,
    max_size=5,
)


@dataclass
class One:
    """A message from its publication until it is gone."""

    id: str
    data: bytes
    priority: int
    key: str
    expires: int | None
    state: str = "new"
    attempt: int = 0
    receipt: str = ""
    ends: int = 0
    """Of its delay or its delivery, in moments."""
    since: int = 0
    """When that began: of two that end in one moment, the one that began first ends first."""


@dataclass
class Topic:
    """What is promised, as plainly as it can be said."""

    now: int = 0
    max_deliveries: int = 5
    concurrency: int = 1_000
    paused: bool = False
    messages: dict[str, One] = field(default_factory=dict)
    ready: dict[int, list[One]] = field(default_factory=lambda: {priority: [] for priority in range(9, -1, -1)})
    waiting: dict[str, list[One]] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)

    def of(self, state: str) -> list[One]:
        """Those in a state whose time counts, in the order in which it ends."""
        found = [one for one in self.messages.values() if one.state == state]
        return sorted(found, key=lambda one: (one.ends, one.since))

    def is_over(self, one: One) -> bool:
        return one.expires is not None and one.expires <= self.now

    def is_flying(self, one: One) -> bool:
        return one.state == "inflight" and one.ends > self.now

    def enter(self, one: One) -> None:
        """Ready, or in line behind another of its key."""
        if one.key and one.key in self.under_way:
            one.state = "waiting"
            self.waiting.setdefault(one.key, []).append(one)
            return
        if one.key:
            self.under_way.add(one.key)
        self.queue(one)

    def queue(self, one: One, *, first: bool = False) -> None:
        one.state = "ready"
        self.ready[one.priority].insert(0 if first else len(self.ready[one.priority]), one)

    def pass_turn(self, key: str) -> None:
        if not key:
            return
        if self.waiting.get(key):
            self.queue(self.waiting[key].pop(0))
        else:
            self.under_way.discard(key)

    def remove(self, one: One) -> None:
        has_turn = one.state in ("ready", "inflight") or (one.state == "delayed" and one.attempt > 0)
        if one.state == "ready":
            self.ready[one.priority].remove(one)
        elif one.state == "waiting":
            self.waiting[one.key].remove(one)
        del self.messages[one.id]
        if has_turn:
            self.pass_turn(one.key)

    def bury(self, one: One, tick: int) -> None:
        one.state, one.since = "dead", tick
        self.pass_turn(one.key)

    def come_back(self, one: One, tick: int) -> None:
        if self.is_over(one):
            self.remove(one)
        elif one.attempt >= self.max_deliveries:
            self.bury(one, tick)
        else:
            self.queue(one, first=True)

    def tend(self, tick: int) -> None:
        for one in reversed([one for one in self.of("inflight") if one.ends <= self.now]):
            self.come_back(one, tick)
        for one in [one for one in self.of("delayed") if one.ends <= self.now]:
            if one.attempt:
                self.queue(one)
            else:
                self.enter(one)
        ended = [one for one in self.messages.values() if self.is_over(one) and one.state not in ("inflight", "dead")]
        for one in sorted(ended, key=lambda one: one.expires or 0):
            self.remove(one)

    def take(self, most: int) -> list[One]:
        flying = sum(map(self.is_flying, self.messages.values()))
        most = 0 if self.paused else min(most, max(self.concurrency - flying, 0))
        line = [one for priority in self.ready.values() for one in priority]
        for one in line[:most]:
            self.ready[one.priority].remove(one)
            one.state = "inflight"
        return line[:most]

    def dead(self) -> list[One]:
        found = [one for one in self.messages.values() if one.state == "dead"]
        return sorted(found, key=lambda one: (one.since, one.id))


class TopicMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.topic = Topic()
        self.receipts: list[str] = []
        self.number = 0
        self.ticks = 0
        # Marks the topic from the first call on.
        self.run.configure(max_deliveries=5)

    def tick(self) -> int:
        """No two calls in one millisecond: between calls, not within them, the order is that of the clock."""
        self.run.pass_time(1)
        self.ticks += 1_000
        return self.ticks

    @rule(batch=BATCHES)
    def publish(self, batch: list[tuple[str, int, int, int, str]]) -> None:
        self.number += 1
        tick, data, stored = self.tick(), b"%d" % self.number, []
        reply = self.run.publish(
            *(
                Message(name, data, delay * MOMENT_MS, priority, life * MOMENT_MS, key)
                for name, delay, priority, life, key in batch
            )
        )
        for place, (name, delay, priority, life, key) in enumerate(batch):
            stored.append(int(name not in self.topic.messages))
            if not stored[-1]:
                continue
            one = One(name, data, priority, key, self.topic.now + life if life else None)
            self.topic.messages[name] = one
            if delay:
                one.state, one.ends, one.since = "delayed", self.topic.now + delay, tick + place
            else:
                self.topic.enter(one)
        assert reply == ("ok", stored)

    @rule(most=st.integers(1, 6), visibility=MOMENTS)
    def consume(self, most: int, visibility: int) -> None:
        tick = self.tick()
        delivered = self.run.consume(most, visibility * MOMENT_MS)
        self.topic.tend(tick)
        expected = self.topic.take(most)
        assert [one.id for one in delivered] == [one.id for one in expected]
        for place, (got, one) in enumerate(zip(delivered, expected, strict=True)):
            self.note(got, one)
            one.ends, one.since = self.topic.now + visibility, tick + place

    def note(self, got: Delivered, one: One) -> None:
        one.attempt += 1
        one.receipt = got.receipt
        assert (got.attempt, got.data) == (one.attempt, one.data)
        assert got.receipt not in self.receipts
        self.receipts.append(got.receipt)

    def verdict(self, receipt: str) -> tuple[str, One | None]:
        one = self.topic.messages.get(receipt.split(".", 3)[3])
        if one is None:
            return "already_acked", None
        if one.receipt and one.receipt != receipt:
            return "receipt_superseded", one
        return ("ok" if one.receipt == receipt and self.topic.is_flying(one) else "receipt_expired"), one

    def some_receipt(self, pick: int) -> str | None:
        """Any that was ever given out, the latest more often."""
        if not self.receipts:
            return None
        return self.receipts[-1 - pick % min(len(self.receipts), 6 if pick % 3 else 1_000)]

    @rule(pick=PICKS)
    def ack(self, pick: int) -> None:
        receipt = self.some_receipt(pick)
        if receipt is None:
            return
        expected, one = self.verdict(receipt)
        assert self.run.ack(receipt) == [expected]
        if expected == "ok" and one is not None:
            self.topic.remove(one)

    @rule(pick=PICKS, delay=st.sampled_from([0, 0, 1, 2]), reason=st.sampled_from(["", "", "bad"]))
    def nack(self, pick: int, delay: int, reason: str) -> None:
        receipt = self.some_receipt(pick)
        if receipt is None:
            return
        tick = self.tick()
        expected, one = self.verdict(receipt)
        reply = self.run.hand_back(receipt, delay * MOMENT_MS, reason=reason)
        assert reply.code == expected
        if expected != "ok" or one is None:
            return
        if reason:
            self.topic.bury(one, tick)
        elif delay and not self.topic.is_over(one) and one.attempt < self.topic.max_deliveries:
            one.state, one.ends, one.since = "delayed", self.topic.now + delay, tick
        else:
            self.topic.come_back(one, tick)
        state = one.state if one.id in self.topic.messages else "expired"
        assert reply.fields[0].decode() == state

    @rule(pick=PICKS, visibility=MOMENTS)
    def extend(self, pick: int, visibility: int) -> None:
        receipt = self.some_receipt(pick)
        if receipt is None:
            return
        tick = self.tick()
        expected, one = self.verdict(receipt)
        assert self.run.extend(receipt, visibility * MOMENT_MS) == expected
        if expected == "ok" and one is not None:
            one.ends, one.since = self.topic.now + visibility, tick

    @rule(most=st.integers(1, 3))
    def redrive(self, most: int) -> None:
        self.tick()
        chosen = self.topic.dead()[:most]
        reply = self.run.kick("dead", most=most)
        for one in chosen:
            one.attempt, one.receipt, one.expires = 0, "", None
            self.topic.enter(one)
        assert reply == ("ok", [len(chosen), len(self.topic.dead())])

    @rule(most=st.integers(1, 3))
    def kick(self, most: int) -> None:
        self.tick()
        chosen = self.topic.of("delayed")[:most]
        reply = self.run.kick("delayed", most=most)
        for one in chosen:
            if one.attempt:
                self.topic.queue(one)
            else:
                self.topic.enter(one)
        assert reply == ("ok", [len(chosen), len(self.topic.of("delayed"))])

    @rule(names=st.lists(IDS, min_size=1, max_size=4, unique=True))
    def purge(self, names: list[str]) -> None:
        found = [self.topic.messages[name] for name in names if name in self.topic.messages]
        removed = [one for one in found if one.state != "inflight"]
        assert self.run.purge("", *names).fields == [len(removed), 0]
        for one in removed:
            self.topic.remove(one)

    @rule(max_deliveries=st.integers(1, 5), concurrency=st.sampled_from([1, 3, 1_000]), paused=st.booleans())
    def configure(self, max_deliveries: int, concurrency: int, paused: bool) -> None:
        self.topic.max_deliveries, self.topic.concurrency = max_deliveries, concurrency
        self.topic.paused = paused and self.number % 2 == 0
        changes: dict[str, Any] = {"max_deliveries": max_deliveries, "concurrency": concurrency}
        changes["paused_out"] = True if self.topic.paused else ""
        assert self.run.configure(**changes).code == "ok"

    @rule()
    def tend(self) -> None:
        tick = self.tick()
        assert self.run.tend().code == "ok"
        self.topic.tend(tick)

    @rule(moments=MOMENTS)
    def pass_time(self, moments: int) -> None:
        self.pass_moments(moments, linger=False)
        self.topic.now += moments

    @invariant()
    def every_message_is_counted_in_its_state(self) -> None:
        topic, counted = self.topic, self.run.counted()
        states = [one.state for one in topic.messages.values()]
        flying = sum(map(topic.is_flying, topic.messages.values()))
        delayed = sum(one.ends > topic.now for one in topic.of("delayed"))
        lapsed, due = states.count("inflight") - flying, states.count("delayed") - delayed
        assert counted["ready"] == states.count("ready") + lapsed + due
        assert (counted["delayed"], counted["inflight"]) == (delayed, flying)
        assert (counted["dead"], counted["waiting"]) == (states.count("dead"), states.count("waiting"))

    def teardown(self) -> None:
        """Whatever happened: what is left comes, each once, those of one key in order, and then nothing is left."""
        if hasattr(self, "topic"):
            self.run.configure(paused_out="", concurrency="", max_deliveries="")
            self.pass_moments(10, linger=False)
            self.topic.now += 10
            self.topic.paused, self.topic.concurrency, self.topic.max_deliveries = False, 1_000, 5
            self.run.kick("dead")
            for one in self.topic.dead():
                one.attempt, one.expires = 0, None
                self.topic.enter(one)
            while True:
                batch = self.run.consume(50)
                got = [one.id for one in batch]
                self.topic.tend(0)
                expected = self.topic.take(50)
                assert got == [one.id for one in expected]
                if not batch:
                    break
                assert self.run.ack(*(one.receipt for one in batch)) == ["ok"] * len(batch)
                for one in expected:
                    self.topic.remove(one)
            assert self.topic.messages == {}
            self.pass_moments(10, linger=False)
            self.run.tend()
            assert self.run.kinds() == set()
        super().teardown()


def test_a_topic_keeps_order_turns_and_limits_in_any_order_of_events(
    any_server: RedisServer, examples_max: int
) -> None:
    explore(TopicMachine, any_server, examples_max=examples_max)
