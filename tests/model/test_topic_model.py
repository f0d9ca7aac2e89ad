"""Random lives of a topic that uses everything: priorities, ordering keys, lives that end, dead letters, limits."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.lua.runner import Delivered, Message, now_ms
from tests.model.topic_oracle import One, Settings, Topic
from tests.model.world import MOMENT_MS, World, explore
from tests.support import RedisServer

MOMENTS = st.integers(1, 3)
IDS = st.sampled_from([f"m-{number}" for number in range(1, 7)])
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
TOTAL_MOST = 12 * 60 * 60 * 1000 // MOMENT_MS
"""How long a delivery may be extended; the time of a delivery does not travel, as it is part of its receipt."""
OTHER = "other"
NOTHING_SET: dict[str, Any] = dict.fromkeys(
    (
        "max_deliveries",
        "concurrency",
        "max_length",
        "overflow",
        "backoff_ms",
        "retention_ms",
        "dead_retention_ms",
        "dedup_ms",
        "rate_per_s",
        "dead_letter_topic",
        "paused_in",
        "paused_out",
    ),
    "",
)
VALUES: dict[str, list[Any]] = {
    "max_deliveries": [1, 2, 5],
    "concurrency": [None, 1, 3],
    "max_length": [None, None, 3, 5],
    "overflow": [None, "drop_oldest"],
    "backoff": [None, 1, 3],
    "retention": [None, None, 3],
    "dead_retention": [None, None, 2],
    "dedup": [None, None, 2],
    "key_concurrency": [None, 2],
    "is_rated": [False, False, True],
    "sends_dead_to": [None, None, OTHER],
    "paused_in": [False, False, True],
    "paused_out": [False, True],
}
PROFILES: list[dict[str, Any]] = [
    {},
    {"max_length": 4},
    {"max_length": 3, "overflow": "drop_oldest"},
    {"dedup": 2},
    {"backoff": 1},
    {"retention": 2},
    {"dead_retention": 2, "max_deliveries": 1},
    {"sends_dead_to": OTHER, "max_deliveries": 1},
    {"key_concurrency": 2},
    {"is_rated": True},
    {"concurrency": 2},
]
"""What a life begins with: each is about something."""
CHANGES = st.sampled_from([(name, value) for name, values in VALUES.items() for value in values])
SENT_AS = {name: f"{name}_ms" for name in ("backoff", "retention", "dead_retention", "dedup")} | {
    "is_rated": "rate_per_s",
    "sends_dead_to": "dead_letter_topic",
}


def as_sent(name: str, value: Any) -> dict[str, Any]:
    if name == "is_rated":
        # Slower than the API allows, so that the real time of a life adds nothing.
        return {"rate_per_s": 1000 / MOMENT_MS if value else ""}
    if value is None or value is False:
        return {SENT_AS.get(name, name): ""}
    return {SENT_AS.get(name, name): value * MOMENT_MS if SENT_AS.get(name, "").endswith("_ms") else value}


class TopicMachine(World):
    @initialize(batch=BATCHES, profile=st.sampled_from(PROFILES))
    def begin(self, batch: list[tuple[str, int, int, int, str]], profile: dict[str, Any]) -> None:
        self.open()
        self.receipts: list[str] = []
        self.others: dict[str, bytes] = {}
        self.number = 0
        self.ticks = 0
        self.profile = {"max_deliveries": 5, **profile}
        self.found()
        self.publish(batch)

    def found(self) -> None:
        self.topic = Topic()
        self.mark()

    def topics_there(self) -> list[Topic]:
        return [self.topic]

    def mark(self) -> None:
        """So that the topic is more than a list from the first call on."""
        for name, value in self.profile.items():
            assert self.run.configure(**as_sent(name, value)).code == "ok"
            setattr(self.topic.settings, name, value)

    def tick(self) -> int:
        """No two calls in one millisecond: between calls, not within them, the order is that of the clock."""
        self.run.pass_time(1)
        self.ticks += 1_000
        return self.ticks

    # -- messages

    @rule(batch=BATCHES)
    def publish(self, batch: list[tuple[str, int, int, int, str]]) -> None:
        self.number += 1
        topic, tick, data = self.topic, self.tick(), b"%d" % self.number
        reply = self.run.publish(
            *(
                Message(name, data, delay * MOMENT_MS, priority, life * MOMENT_MS, key)
                for name, delay, priority, life, key in batch
            )
        )
        ids = [name for name, *_ in batch]
        if refusal := topic.refusal(ids):
            assert [reply.code, *reply.fields] == refusal
            return
        present = set(topic.messages)  # also those that are dropped for the others
        topic.drop(topic.excess(ids))
        stored = []
        for place, (name, delay, priority, life, key) in enumerate(batch):
            one = One(name, data, priority, key, topic.now + life if life else None)
            stored.append(int(name not in present and topic.store(one, delay, tick + place)))
        assert reply == ("ok", stored)

    @rule(name=IDS, key=st.sampled_from(["", "k"]))
    def publish_one(self, name: str, key: str) -> None:
        """A second rule for what must happen often enough, whatever else a life is about."""
        self.publish([(name, 0, 0, 0, key)])

    @rule(most=st.integers(1, 3))
    def work(self, most: int) -> None:
        """As most consumers do."""
        for one in self.deliver(most, 1):
            assert self.run.ack(one.receipt) == ["ok"]
            self.topic.remove(one)

    @rule(most=st.integers(1, 6), visibility=MOMENTS)
    def consume(self, most: int, visibility: int) -> None:
        self.deliver(most, visibility)

    def deliver(self, most: int, visibility: int) -> list[One]:
        tick = self.tick()
        delivered = self.run.consume(most, visibility * MOMENT_MS)
        self.topic.tend(tick)
        expected = self.topic.take(most)
        assert [one.id for one in delivered] == [one.id for one in expected]
        for place, (got, one) in enumerate(zip(delivered, expected, strict=True)):
            self.note(got, one)
            one.ends, one.since = self.topic.now + visibility, tick + place
        return expected

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
        """One that counts half of the time, else any that was ever given out, the latest more often."""
        if pick % 2:
            current = self.topic.of("inflight") or self.deliver(2, 2)
            if current:
                return current[pick // 2 % len(current)].receipt
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

    @rule(pick=PICKS, delay=st.sampled_from([0, 0, 1, 2, None]), reason=st.sampled_from(["", "", "bad"]))
    def nack(self, pick: int, delay: int | None, reason: str) -> None:
        """None leaves the delay to the back-off of the topic."""
        receipt = self.some_receipt(pick)
        if receipt is None:
            return
        tick = self.tick()
        expected, one = self.verdict(receipt)
        backs_off = "1" if delay is None else ""
        reply = self.run.hand_back(receipt, (delay or 0) * MOMENT_MS, reason=reason, backs_off=backs_off)
        assert reply.code == expected
        if expected != "ok" or one is None:
            return
        delay = self.topic.back_off(one) if delay is None else delay
        if reason:
            self.topic.bury(one, tick, reason)
        else:
            self.topic.give_back(one, delay, tick)
        state = one.state if one.id in self.topic.messages else "expired"
        assert reply.fields == [state.encode(), delay * MOMENT_MS if state == "delayed" else 0]

    @rule(pick=PICKS, visibility=st.sampled_from([1, 2, 3, TOTAL_MOST - 1, TOTAL_MOST]))
    def extend(self, pick: int, visibility: int) -> None:
        receipt = self.some_receipt(pick)
        if receipt is None:
            return
        tick = self.tick()
        expected, one = self.verdict(receipt)
        if expected == "ok" and visibility == TOTAL_MOST:
            expected = "extension_too_long"
        # The millisecond is one that a delivery of just now has not had yet.
        assert self.run.extend(receipt, visibility * MOMENT_MS + visibility // TOTAL_MOST) == expected
        if expected == "ok" and one is not None:
            one.ends, one.since = self.topic.now + visibility, tick

    # -- the topic as a whole

    @rule(what=st.sampled_from(["redrive", "redrive elsewhere", "kick"]), most=st.integers(1, 3))
    def move(self, what: str, most: int) -> None:
        self.tick()
        {"redrive": self.redrive, "redrive elsewhere": self.redrive_elsewhere, "kick": self.kick}[what](most)

    def redrive(self, most: int) -> None:
        chosen = self.topic.dead()[:most]
        reply = self.run.kick("dead", most=most)
        for one in chosen:
            self.topic.redrive(one)
        assert reply == ("ok", [len(chosen), len(self.topic.dead())])

    def redrive_elsewhere(self, most: int) -> None:
        """As the owner does it, too: stored there, then removed here."""
        chosen = self.topic.dead()[:most]
        page = self.run.peek("dead", limit=most)
        assert [one[0].decode() for one in page] == [one.id for one in chosen]
        if not chosen:
            return
        reply = self.run.publish(*(Message(one.id, one.data) for one in chosen), topic=OTHER)
        assert reply == ("ok", [int(one.id not in self.others) for one in chosen])
        self.others = {one.id: one.data for one in chosen} | self.others
        assert self.run.purge("", *(one.id for one in chosen)).fields == [len(chosen), 0]
        self.topic.remove_all(chosen)

    def kick(self, most: int) -> None:
        chosen = self.topic.of("delayed")[:most]
        reply = self.run.kick("delayed", most=most)
        for one in chosen:
            self.topic.end_delay(one)
        assert reply == ("ok", [len(chosen), len(self.topic.of("delayed"))])

    @rule(
        names=st.lists(IDS, min_size=1, max_size=4, unique=True),
        what=st.sampled_from(["ids", "ids", "ready", "delayed", "waiting", "dead", "topic", "topic, forced"]),
    )
    def purge(self, names: list[str], what: str) -> None:
        if what == "ids":
            found = [self.topic.messages[name] for name in names if name in self.topic.messages]
            removed = [one for one in found if one.state != "inflight"]
            assert self.run.purge("", *names).fields == [len(removed), 0]
            self.topic.remove_all(removed)
        elif what.startswith("topic"):
            self.delete(is_forced=what != "topic")
        else:
            self.purge_a_state(what)

    def purge_a_state(self, state: str) -> None:
        topic = self.topic
        reply = self.run.purge(state)
        if state == "ready":
            assert reply == ("ok", [topic.purge_ready(), int(bool(topic.line()))])
        else:
            chosen = topic.in_line() if state == "waiting" else topic.of(state)
            assert reply == ("ok", [topic.remove_all(chosen), 0])

    def delete(self, *, is_forced: bool) -> None:
        topic = self.topic
        if not topic.flying():
            self.deliver(1, 2)
        reply = self.run.purge("topic", is_forced="1" if is_forced else "")
        if topic.flying() and not is_forced:
            assert reply == ("topic_in_use", [b"inflight"])
            return
        assert reply == ("ok", [len(topic.messages), 0])
        self.topic = Topic(now=topic.now)
        assert self.run.kinds() <= {"messages", "ready"}, "of the other topic"
        self.mark()

    @rule(state=st.sampled_from(["ready", "ready", "delayed", "inflight", "waiting", "dead"]))
    def peek(self, state: str) -> None:
        topic = self.topic
        lists = {"ready": topic.line, "waiting": topic.in_line, "dead": topic.dead}
        expected = lists[state]() if state in lists else topic.of(state)
        page = self.run.peek(state)
        assert [one[0].decode() for one in page] == [one.id for one in expected]
        assert [one[4].decode() for one in page] == [one.reason for one in expected]

    @rule(change=CHANGES)
    def configure(self, change: tuple[str, Any]) -> None:
        topic, (name, value) = self.topic, change
        reply = self.run.configure(**as_sent(name, value))
        if name == "key_concurrency" and (value or 1) != (topic.settings.key_concurrency or 1) and topic.under_way:
            assert reply == ("topic_in_use", [b"key_concurrency"])
        elif name == "max_length" and value is not None and value < topic.length():
            assert reply == ("topic_in_use", [b"max_length"])
        else:
            assert reply.code == "ok"
            setattr(topic.settings, name, value)

    @rule()
    def tend(self) -> None:
        tick = self.tick()
        reply = self.run.tend()
        self.topic.tend(tick)
        forward = self.topic.settings.sends_dead_to if self.topic.dead() else None
        assert (reply.code, reply.fields[2].decode()) == ("ok", forward or "")

    @rule(moments=MOMENTS)
    def pass_time(self, moments: int) -> None:
        self.move_on(moments)

    def move_on(self, moments: int) -> None:
        self.pass_moments(moments, linger=False)
        for topic in self.topics_there():
            topic.now += moments

    # -- what holds at any time

    @invariant()
    def every_message_is_counted_in_its_state(self) -> None:
        topic, counted = self.topic, self.run.counted()
        states = [one.state for one in topic.messages.values()]
        flying = topic.flying()
        delayed = sum(one.ends > topic.now for one in topic.of("delayed"))
        lapsed, due = states.count("inflight") - flying, states.count("delayed") - delayed
        assert counted["ready"] == states.count("ready") + lapsed + due
        assert (counted["delayed"], counted["inflight"]) == (delayed, flying)
        assert (counted["dead"], counted["waiting"]) == (states.count("dead"), states.count("waiting"))
        assert (counted["expired"], counted["dropped"]) == (topic.expired, topic.dropped)

    @invariant()
    def the_owner_is_told_of_all_that_will_be_due(self) -> None:
        due_at = self.topic.next_due()
        if due_at is None:
            return
        told = self.run.redis.zscore(self.run.key("due"), self.run.key("ready", "topic"))
        assert told is not None, "nobody will tend it"
        left_ms = (due_at - self.topic.now) * MOMENT_MS
        assert told - now_ms(self.run) <= max(left_ms, 0) + MOMENT_MS / 10

    def teardown(self) -> None:
        """Whatever happened: what is left comes, each once, those of one key in order, and then nothing is left."""
        if hasattr(self, "topic"):
            self.empty()
            rest = self.run.consume(50, topic=OTHER)
            assert {one.id: one.data for one in rest} == self.others
            self.run.ack(*(one.receipt for one in rest), topic=OTHER) if rest else None
            self.move_on(TOTAL_MOST)
            self.end()
            self.run.tend(topic=OTHER)
            assert self.run.kinds() == set()
        super().teardown()

    def empty(self) -> None:
        self.come_to_rest()
        while self.take_the_rest(self.topic.now):
            pass
        assert self.topic.messages == {}

    def end(self) -> None:
        assert self.run.configure(key_concurrency="").code == "ok", "no key has anything under way"
        self.run.tend()

    def come_to_rest(self) -> None:
        """Nothing is limited any more, and nothing is under way."""
        self.run.configure(**NOTHING_SET)
        self.topic.settings = Settings(key_concurrency=self.topic.settings.key_concurrency)
        self.move_on(TOTAL_MOST)
        self.topic.tend(self.tick())
        self.run.tend()
        self.run.kick("dead")
        for one in self.topic.dead():
            self.topic.redrive(one)

    def take_the_rest(self, tick: int) -> bool:
        batch = self.run.consume(50)
        self.topic.tend(tick)
        expected = self.topic.take(50)
        assert [(one.id, one.data) for one in batch] == [(one.id, one.data) for one in expected]
        if batch:
            assert self.run.ack(*(one.receipt for one in batch)) == ["ok"] * len(batch)
        self.topic.remove_all(expected)
        return bool(batch)


def test_a_topic_keeps_order_turns_and_limits_in_any_order_of_events(
    any_server: RedisServer, examples_max: int
) -> None:
    explore(TopicMachine, any_server, examples_max=examples_max)
