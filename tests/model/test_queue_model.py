"""Random lives of a topic against what the design promises of it.

The model knows each message as waiting, delayed or delivered, and nothing of how Redis stores it. It says which
messages may be delivered now and in which order, that a delivery is exclusive while it holds, that only a current
receipt settles it, that nothing acknowledged comes back and nothing else is ever lost.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.lua.runner import Delivered, Message, deliveries_of
from tests.model.world import MOMENT_MS, World, explore, mark
from tests.support import RedisServer

MOMENTS = st.integers(1, 3)
REQUESTS = st.sampled_from(["", "", "", "q1", "q2"])
IDS = st.sampled_from([f"m-{number}" for number in range(1, 13)])
DELIVERIES_MAX = 5
BATCHES = st.lists(IDS, min_size=1, max_size=6)


@dataclass
class Copy:
    """A message from its publication to its acknowledgement."""

    id: str
    data: bytes
    attempt: int = 0
    receipt: str = ""
    ends: int | None = None
    """Of its delivery."""
    due: int | None = None
    """Of its delay."""
    is_dead: bool = False
    since: int = 0
    """When its delivery or its delay began: of two that end in one moment, the one that began first ends first."""


@dataclass
class Asked:
    contents: tuple[Any, ...]
    outcome: Any


class QueueMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.copies: dict[str, Copy] = {}
        self.line: list[Copy] = []
        self.settled: list[str] = []
        self.asked: dict[str, Asked] = {}
        self.number = 0
        self.ticks = 0

    # -- the model

    def tick(self) -> int:
        """No two calls in one millisecond: between calls, not within them, the order is that of the clock."""
        self.run.pass_time(1)
        self.ticks += 1_000
        return self.ticks

    def is_flying(self, copy: Copy) -> bool:
        return copy.ends is not None and copy.ends > self.now

    def lapsed(self) -> list[Copy]:
        """Deliveries that are over, in the order they ended in."""
        over = [copy for copy in self.copies.values() if copy.ends is not None and copy.ends <= self.now]
        return sorted(over, key=lambda copy: (copy.ends, copy.since))

    def due(self) -> list[Copy]:
        ready = [copy for copy in self.copies.values() if copy.due is not None and copy.due <= self.now]
        return sorted(ready, key=lambda copy: (copy.due, copy.since))

    def verdict(self, receipt: str) -> str:
        """What a receipt is worth now."""
        message_id = receipt.split(".", 3)[3]
        copy = self.copies.get(message_id)
        if copy is None:
            return "already_acked"
        if copy.receipt and copy.receipt != receipt:
            return "receipt_superseded"
        return "ok" if copy.receipt == receipt and self.is_flying(copy) else "receipt_expired"

    def judge(self, request_id: str, contents: tuple[Any, ...], code: str) -> bool:
        """True when the request is to be judged by the state of now; else what it heard was checked here."""
        if request_id not in self.asked:
            return True
        asked = self.asked[request_id]
        assert code == ("request_id_reused" if asked.contents != contents else asked.outcome)
        return False

    def remember(self, request_id: str, contents: tuple[Any, ...], outcome: Any) -> None:
        if request_id:
            self.asked[request_id] = Asked(contents, outcome)

    # -- what may happen

    @rule(batch=BATCHES, delay=st.sampled_from([0, 0, 1, 2]), request_id=REQUESTS)
    def publish(self, batch: list[str], delay: int, request_id: str) -> None:
        self.number += 1
        since = self.tick()
        contents = ("publish", tuple(batch), delay)
        data = b"%d" % self.number
        reply = self.run.publish(
            *(Message(name, data, delay * MOMENT_MS) for name in batch),
            request_id=request_id,
            fingerprint=mark(request_id, contents),
        )
        if request_id in self.asked:
            asked = self.asked[request_id]
            assert reply == (("request_id_reused", []) if asked.contents != contents else ("ok", asked.outcome))
            return
        stored = []
        for position, name in enumerate(batch):
            stored.append(int(name not in self.copies))
            if name not in self.copies:
                copy = self.copies[name] = Copy(
                    name, data, due=self.now + delay if delay else None, since=since + position
                )
                if not delay:
                    self.line.append(copy)
        assert reply == ("ok", stored)
        self.remember(request_id, contents, stored)

    @rule(most=st.integers(1, 6), visibility=MOMENTS, request_id=REQUESTS)
    def consume(self, most: int, visibility: int, request_id: str) -> None:
        since = self.tick()
        contents = ("consume", most, visibility)
        args = {"request_id": request_id, "fingerprint": mark(request_id, contents)}
        if request_id in self.asked:
            asked = self.asked[request_id]
            if asked.contents != contents:
                assert self.run.consume_raw(most, visibility * MOMENT_MS, **args).code == "request_id_reused"
            else:
                current = [one for one in asked.outcome if self.verdict(one.receipt) == "ok"]
                assert self.run.consume(most, visibility * MOMENT_MS, **args) == current
            return
        delivered = self.run.consume(most, visibility * MOMENT_MS, **args)
        self.expect_deliveries(delivered, most, visibility, since)
        if delivered:
            self.remember(request_id, contents, delivered)

    def expect_deliveries(self, delivered: list[Delivered], most: int, visibility: int, since: int) -> None:
        lapsed, due = self.lapsed(), self.due()
        for copy in lapsed:
            copy.ends = None
            copy.is_dead = copy.attempt >= DELIVERIES_MAX
        for copy in due:
            copy.due = None
        self.line = [*(copy for copy in lapsed if not copy.is_dead), *self.line, *due]
        expected, self.line = self.line[:most], self.line[most:]
        assert [one.id for one in delivered] == [copy.id for copy in expected]
        for position, (one, copy) in enumerate(zip(delivered, expected, strict=True)):
            self.note_delivery(one, copy, visibility)
            copy.since = since + position

    @precondition(lambda self: any(asked.contents[0] == "consume" for asked in self.asked.values()))
    @rule(pick=st.integers(0, 9))
    def consume_again(self, pick: int) -> None:
        """A consumer that never heard the answer asks the very same thing again."""
        consumed = sorted(rid for rid, asked in self.asked.items() if asked.contents[0] == "consume")
        request_id = consumed[pick % len(consumed)]
        self.consume(*self.asked[request_id].contents[1:], request_id)

    def note_delivery(self, one: Delivered, copy: Copy, visibility: int) -> None:
        copy.attempt += 1
        copy.receipt, copy.ends = one.receipt, self.now + visibility
        assert (one.attempt, one.data) == (copy.attempt, copy.data)
        assert one.receipt not in self.settled
        self.settled.append(one.receipt)

    def some_receipt(self, pick: int) -> str | None:
        """Any that was ever given out, the latest more often."""
        if not self.settled:
            return None
        return self.settled[-1 - pick % min(len(self.settled), 8 if pick % 3 else 1_000)]

    @rule(picks=st.lists(st.integers(0, 1_000), min_size=1, max_size=4), request_id=REQUESTS)
    def ack(self, picks: list[int], request_id: str) -> None:
        receipts = [receipt for pick in picks if (receipt := self.some_receipt(pick))]
        if not receipts or request_id in self.asked:
            return
        expected = self.expect_ends(receipts)
        assert self.run.ack(*receipts) == expected

    def expect_ends(self, receipts: list[str]) -> list[str]:
        expected = []
        for receipt in receipts:
            expected.append(self.verdict(receipt))
            if expected[-1] == "ok":
                del self.copies[receipt.split(".", 3)[3]]
        return expected

    @rule(picks=st.lists(st.integers(0, 1_000), min_size=1, max_size=4), most=st.integers(1, 6), visibility=MOMENTS)
    def ack_and_consume(self, picks: list[int], most: int, visibility: int) -> None:
        receipts = [receipt for pick in picks if (receipt := self.some_receipt(pick))]
        if not receipts:
            return
        since = self.tick()
        expected = self.expect_ends(receipts)
        fields = self.run.ack_consume(*receipts, most=most, visibility_ms=visibility * MOMENT_MS).fields
        assert [code.decode() for code in fields[: len(receipts)]] == expected
        self.expect_deliveries(deliveries_of(fields[len(receipts) :]), most, visibility, since)

    @rule(message_id=IDS)
    def ack_by_id(self, message_id: str) -> None:
        copy = self.copies.get(message_id)
        expected = "already_acked" if copy is None else "ok" if self.is_flying(copy) else "receipt_expired"
        assert self.run.ack(message_id) == [expected]
        if expected == "ok":
            del self.copies[message_id]

    @rule(pick=st.integers(0, 1_000), delay=st.sampled_from([0, 0, 1, 2]), request_id=REQUESTS)
    def nack(self, pick: int, delay: int, request_id: str) -> None:
        receipt = self.some_receipt(pick)
        if receipt is None:
            return
        since = self.tick()
        contents = ("nack", receipt, delay)
        expected = self.verdict(receipt)
        args = {"request_id": request_id, "fingerprint": mark(request_id, contents)}
        code = self.run.nack(receipt, delay * MOMENT_MS, **args)
        if self.judge(request_id, contents, code):
            assert code == expected
            if code == "ok":
                copy = self.copies[receipt.split(".", 3)[3]]
                copy.ends, copy.since = None, since
                if copy.attempt >= DELIVERIES_MAX:
                    copy.is_dead = True
                elif delay:
                    copy.due = self.now + delay
                else:
                    self.line.insert(0, copy)
                self.remember(request_id, contents, "ok")

    @rule(pick=st.integers(0, 1_000), visibility=MOMENTS)
    def extend(self, pick: int, visibility: int) -> None:
        receipt = self.some_receipt(pick)
        if receipt is None:
            return
        since = self.tick()
        expected = self.verdict(receipt)
        assert self.run.extend(receipt, visibility * MOMENT_MS) == expected
        if expected == "ok":
            copy = self.copies[receipt.split(".", 3)[3]]
            copy.ends, copy.since = self.now + visibility, since

    @rule(moments=MOMENTS)
    def pass_time(self, moments: int) -> None:
        self.pass_moments(moments, linger=False)

    @invariant()
    def every_message_is_counted_in_its_state(self) -> None:
        flying = sum(map(self.is_flying, self.copies.values()))
        delayed = sum(copy.due is not None and copy.due > self.now for copy in self.copies.values())
        dead = sum(copy.is_dead for copy in self.copies.values())
        assert self.run.counts() == (len(self.copies) - flying - delayed - dead, delayed, flying)
        assert self.run.counted()["dead"] == dead

    def teardown(self) -> None:
        """Whatever happened: what was not acknowledged comes, once each, and then nothing is left."""
        if hasattr(self, "copies"):
            self.pass_moments(10, linger=False)
            self.run.tend()
            self.run.kick("dead")
            seen = []
            while batch := self.run.consume(5):
                seen += [one.id for one in batch]
                assert self.run.ack(*(one.receipt for one in batch)) == ["ok"] * len(batch)
            assert sorted(seen) == sorted(self.copies)
            assert self.run.kinds() <= {"outcome"}
        super().teardown()


def test_messages_are_neither_lost_nor_brought_back_in_any_order_of_events(
    any_server: RedisServer, examples_max: int
) -> None:
    explore(QueueMachine, any_server, examples_max=examples_max)
