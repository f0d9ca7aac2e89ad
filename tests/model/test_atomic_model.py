"""Random groups of operations against what is promised of them: all or nothing, and the first that is refused is named.

The model knows locks, messages and values plainly, judges each operation by the state before the group, and then does
all of them or none. What a single operation does in detail is the matter of the other models.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.lua import groups
from tests.lua.groups import Operation
from tests.lua.runner import Reply
from tests.model.world import MOMENT_MS, World, explore, mark
from tests.support import RedisServer

PICKS = st.integers(0, 1_000)
TOPICS = ("in", "out")
LENGTH_MAX = {"in": 1_000_000, "out": 4}
KEYS = ("k1", "k2", "k3")
LOCKS = ("l1", "l2")
DELIVERIES_MAX = 5
KINDS = st.sampled_from(["check", "ack", "ack", "publish", "publish", "put", "put", "invalidate"])
SPECS = st.lists(
    st.tuples(KINDS, PICKS, st.sampled_from(["good", "good", "good", "bad", "any"])), min_size=1, max_size=7
)


@dataclass
class One:
    """A message that was not acknowledged yet."""

    attempt: int = 0
    receipt: str = ""
    ends: int = 0
    """Of its delivery, in moments."""


@dataclass
class Hold:
    owner: str
    token: int
    ends: int


@dataclass
class Asked:
    """An operation, as it is sent, what it is about, and what stands against it."""

    sent: Operation
    kind: str
    thing: tuple[str, ...]
    refusal: list[Any] | None = None


class AtomicMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.run.configure(topic="out", max_length=LENGTH_MAX["out"], max_deliveries=1_000)
        self.topics: dict[str, dict[str, One]] = {topic: {} for topic in TOPICS}
        self.receipts: list[tuple[str, str]] = []
        self.values: dict[str, int] = {}
        self.holds: dict[str, Hold] = {}
        self.outcomes: dict[str, tuple[str, Reply]] = {}
        self.last_version = 0

    # -- the model

    def verdict(self, topic: str, receipt: str) -> str:
        one = self.topics[topic].get(receipt.split(".", 3)[3])
        if one is None:
            return "already_acked"
        if one.receipt and one.receipt != receipt:
            return "receipt_superseded"
        return "ok" if one.receipt == receipt and one.ends > self.now else "receipt_expired"

    def check(self, pick: int, how: str) -> Asked:
        lock = LOCKS[pick % 2]
        hold = self.holds.get(lock)
        token, owner = (hold.token, hold.owner) if hold else ((3 << 36) + 9_999, "a")
        if how == "bad":
            token += 1
        if how == "any" and pick % 3:
            owner = ("x", "")[pick % 2]
        is_held = hold is not None and hold.ends > self.now and how != "bad" and owner in ("", hold.owner)
        return Asked(groups.check(token, owner, lock), "check", ("lock", lock), None if is_held else ["lock_lost"])

    def ack(self, pick: int, how: str) -> Asked | None:
        known = [one for one in self.receipts if (self.verdict(*one) == "ok") == (how == "good") or how == "any"]
        if not known:
            return None
        topic, receipt = known[pick % len(known)]
        code = self.verdict(topic, receipt)
        thing = ("message", topic, receipt.split(".", 3)[3])
        return Asked(groups.ack(receipt, topic), "ack", thing, None if code == "ok" else [code])

    def publish(self, pick: int, _: str) -> Asked:
        topic, message_id = TOPICS[pick % 2], f"m{pick % 7}"
        return Asked(groups.publish(message_id, topic), "publish", ("message", topic, message_id))

    def put(self, pick: int, how: str) -> Asked:
        key = KEYS[pick % 3]
        version = self.values.get(key, 0)
        conditions: dict[str, int | str] = {"good": version, "bad": version + 1, "any": ""}
        refusal = ["version_mismatch", str(version).encode()] if how == "bad" else None
        return Asked(groups.put(key, b"%d" % pick, if_version=conditions[how]), "put", ("key", key), refusal)

    def invalidate(self, pick: int, _: str) -> Asked:
        return Asked(groups.invalidate(KEYS[pick % 3]), "invalidate", ("key", KEYS[pick % 3]))

    def asked(self, specs: list[tuple[str, int, str]]) -> list[Asked]:
        """No thing twice, as the nodes see to."""
        found: dict[tuple[str, ...], Asked] = {}
        for kind, pick, how in specs:
            one = getattr(self, kind)(pick, how)
            if one is not None:
                found.setdefault(one.thing, one)
        return list(found.values())

    def refusal(self, asked: list[Asked]) -> Reply | None:
        for number, one in enumerate(asked):
            told = one.refusal
            if one.kind == "publish":
                topic = one.thing[1]
                about = [other for other in asked if other.thing[:2] == one.thing[:2]]
                new = [other for other in about if other.kind == "publish" and self.is_new(*other.thing[1:])]
                acked = sum(other.kind == "ack" for other in about)
                length = len(self.topics[topic])
                if new and length + len(new) - acked > LENGTH_MAX[topic]:
                    told = ["topic_full", length]
            if told:
                return Reply(told[0], [number, *told[1:]])
        return None

    def is_new(self, topic: str, message_id: str) -> bool:
        return message_id not in self.topics[topic]

    def do(self, one: Asked, result: int) -> None:
        if one.kind == "ack":
            del self.topics[one.thing[1]][one.thing[2]]
        elif one.kind == "publish":
            topic = self.topics[one.thing[1]]
            assert result == int(one.thing[2] not in topic)
            topic.setdefault(one.thing[2], One())
        elif one.kind == "put":
            assert result > self.last_version
            self.last_version = self.values[one.thing[1]] = result
        elif one.kind == "invalidate":
            assert result == int(self.values.pop(one.thing[1], None) is not None)
        else:
            assert result == 1

    # -- what may happen

    @rule(specs=SPECS, request_id=st.sampled_from(["", "", "q1", "q2"]))
    def group(self, specs: list[tuple[str, int, str]], request_id: str) -> None:
        asked = self.asked(specs)
        if not asked or request_id in self.outcomes:
            return
        sent = tuple(one.sent for one in asked)
        contents = mark(request_id, sent)
        expected = self.refusal(asked)
        before = self.run.snapshot() if expected else {}
        reply = groups.apply(self.run, *sent, request_id=request_id, fingerprint=contents)
        if expected:
            assert reply == expected
            assert self.run.snapshot() == before
            return
        assert reply.code == "ok", reply
        # Acknowledgements come first here, so that an order that nobody can tell in a group needs no model.
        for one, result in sorted(zip(asked, reply.fields, strict=True), key=lambda pair: pair[0].kind != "ack"):
            self.do(one, result)
        if request_id:
            self.outcomes[request_id] = (contents, reply)
            done = self.run.snapshot()
            assert groups.apply(self.run, *sent, request_id=request_id, fingerprint=contents) == reply
            again = groups.apply(self.run, *sent[:-1], request_id=request_id, fingerprint="another")
            assert again.code == "request_id_reused"
            assert self.run.snapshot() == done

    @rule(topic=st.sampled_from(TOPICS), ids=st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True))
    def publish_alone(self, topic: str, ids: list[int]) -> None:
        length = len(self.topics[topic])
        reply = self.run.publish(*(f"m{number}" for number in ids), topic=topic)
        new = sum(self.is_new(topic, f"m{number}") for number in ids)
        if new and length + new > LENGTH_MAX[topic]:
            assert reply == ("topic_full", [length])
            return
        for number in ids:
            self.topics[topic].setdefault(f"m{number}", One())

    @rule(topic=st.sampled_from(TOPICS), most=st.integers(1, 4), visibility=st.integers(1, 3))
    def consume(self, topic: str, most: int, visibility: int) -> None:
        delivered = self.run.consume(most, visibility * MOMENT_MS, topic=topic)
        ready = {name for name, one in self.topics[topic].items() if one.ends <= self.now and self.may_come(topic, one)}
        assert len(delivered) == min(most, len(ready))
        for one in delivered:
            assert one.id in ready
            message = self.topics[topic][one.id]
            message.attempt, message.receipt, message.ends = one.attempt, one.receipt, self.now + visibility
            self.receipts.append((topic, one.receipt))

    @staticmethod
    def may_come(topic: str, one: One) -> bool:
        return topic == "out" or one.attempt < DELIVERIES_MAX

    @rule(lock=st.sampled_from(LOCKS), owner=st.sampled_from("ab"), lease=st.integers(1, 3))
    def acquire(self, lock: str, owner: str, lease: int) -> None:
        reply = self.run.acquire(owner, resource=lock, ttl_ms=lease * MOMENT_MS)
        hold = self.holds.get(lock)
        is_held = hold is not None and hold.ends > self.now
        assert reply.code == ("lock_held" if is_held else "ok")
        if not is_held:
            self.holds[lock] = Hold(owner, int(reply.fields[0]), self.now + lease)

    @rule(moments=st.integers(1, 3))
    def pass_time(self, moments: int) -> None:
        self.pass_moments(moments, linger=False)

    @invariant()
    def everything_is_as_the_groups_left_it(self) -> None:
        for topic, messages in self.topics.items():
            dead = sum(one.ends <= self.now and not self.may_come(topic, one) for one in messages.values())
            counted = self.run.counted(topic)
            assert counted["ready"] + counted["inflight"] + counted["dead"] == len(messages)
            assert counted["dead"] <= dead
        for key in KEYS:
            found = self.run.get(key)
            assert (found[0] if found else 0) == self.values.get(key, 0)


def test_groups_are_done_whole_or_not_at_all_in_any_order_of_events(any_server: RedisServer, examples_max: int) -> None:
    explore(AtomicMachine, any_server, examples_max=examples_max // 3)
