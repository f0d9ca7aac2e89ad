"""queue.ack_consume: as an ack and then a consume, in one step. What both do by themselves: test_queue_ack.py and
test_queue_consume.py."""

from typing import Any

import pytest

from tests.lua.runner import Message, Runner, deliveries_of, heard
from tests.lua.test_queue_takers import CHANNEL, park, woken

THROUGH = ("plain", "special")
each_way = pytest.mark.parametrize("way", THROUGH)
"""A topic that is a list of messages, and one that is more than that."""


def begin(run: Runner, way: str, *ids: str) -> list[str]:
    """The receipts of two messages in flight; the others are ready."""
    if way == "special":
        run.configure(max_deliveries=9)
    run.publish(*ids)
    return [one.receipt for one in run.consume(2)]


def then(
    run: Runner, *receipts: str, most: int = 10, if_acked: bool = False, **args: Any
) -> tuple[list[str], list[str]]:
    """The codes, and the ids that were delivered."""
    reply = run.ack_consume(*receipts, most=most, if_acked=if_acked, **args)
    assert reply.code == "ok", reply
    codes, delivered = reply.fields[: len(receipts)], deliveries_of(reply.fields[len(receipts) :])
    return [code.decode() for code in codes], [one.id for one in delivered]


@each_way
def test_what_is_named_goes_and_the_next_are_delivered(run: Runner, way: str) -> None:
    first, second = begin(run, way, "a", "b", "c", "d")
    assert then(run, first, second) == (["ok", "ok"], ["c", "d"])
    assert run.counts() == (0, 0, 2)
    assert then(run, "c", "d") == (["ok", "ok"], [])
    assert run.kinds() <= {"settings", "due"}


@each_way
def test_no_more_are_delivered_than_were_asked_for(run: Runner, way: str) -> None:
    first, _ = begin(run, way, "a", "b", "c", "d")
    assert then(run, first, most=1) == (["ok"], ["c"])
    assert run.counts() == (1, 0, 2)


@each_way
def test_what_is_delivered_has_receipts_that_hold(run: Runner, way: str) -> None:
    first, _ = begin(run, way, "a", "b", "c")
    _, message_id, receipt, attempt, record = run.ack_consume(first).fields
    assert (message_id, attempt, record.partition(b" ")[2]) == (b"c", 1, b"{}")
    assert run.ack(receipt.decode()) == ["ok"]


@each_way
def test_a_refusal_delivers_nothing_if_that_is_asked_for(run: Runner, way: str) -> None:
    first, _ = begin(run, way, "a", "b", "c")
    run.ack(first)
    before = run.snapshot()
    assert then(run, first, if_acked=True, request_id="r1") == (["already_acked"], [])
    assert run.snapshot() == before
    assert then(run, first) == (["already_acked"], ["c"])


@each_way
def test_a_repeat_gets_the_same_deliveries_and_takes_no_others(run: Runner, way: str) -> None:
    first, second = begin(run, way, "a", "b", "c", "d", "e")
    once = run.ack_consume(first, second, most=2, request_id="r1")
    assert run.ack_consume(first, second, most=2, request_id="r1") == once
    assert run.counts() == (1, 0, 2)
    run.ack("c")
    assert then(run, first, second, most=2, request_id="r1") == (["ok", "ok"], ["d"])


@each_way
def test_a_repeat_of_refusals_with_deliveries_gets_both(run: Runner, way: str) -> None:
    begin(run, way, "a", "b", "c")
    assert then(run, "none", "never", request_id="r1") == (["already_acked"] * 2, ["c"])
    assert then(run, "none", "never", request_id="r1") == (["already_acked"] * 2, ["c"])
    assert run.counts() == (0, 0, 3)


def test_a_repeat_of_an_ack_that_delivered_nothing_delivers_nothing(run: Runner) -> None:
    first, _ = begin(run, "plain", "a", "b")
    assert then(run, first, request_id="r1") == (["ok"], [])
    run.publish("c")
    assert then(run, first, request_id="r1") == (["ok"], [])
    assert run.counts() == (1, 0, 1)


@each_way
def test_nothing_acknowledged_and_nothing_delivered_is_judged_again(run: Runner, way: str) -> None:
    begin(run, way, "a", "b")
    assert then(run, "none", request_id="r1") == (["already_acked"], [])
    run.publish("none")
    assert then(run, "none", request_id="r1") == (["receipt_expired"], ["none"])


def test_what_lapsed_comes_before_newer_messages(run: Runner) -> None:
    run.publish("a", "b", "c")
    run.consume(1, 1_000)
    run.consume(1)
    run.pass_time(1_001)
    assert then(run, "b") == (["ok"], ["a", "c"])


def test_a_shorter_delivery_than_those_before_is_due_first(run: Runner) -> None:
    begin(run, "plain", "a", "b", "c")
    assert then(run, "a", visibility_ms=1_000) == (["ok"], ["c"])
    run.pass_time(1_001)
    assert run.consume_ids(10) == ["c"]


def test_the_next_of_an_ordering_key_is_delivered_at_once(run: Runner) -> None:
    run.publish(Message("a", key="k"), Message("b", key="k"))
    receipt = run.receipt()
    assert then(run, receipt) == (["ok"], ["b"])


def test_a_place_that_comes_free_is_first_offered_to_the_one_who_waits(run: Runner) -> None:
    run.configure(concurrency=1)
    run.publish("a", "b", "c")
    receipt = run.receipt()
    park(run, 1)
    with heard(run, CHANNEL) as messages:
        assert then(run, receipt) == (["ok"], [])
    assert woken(messages) == [1]
    assert [one.id for one in run.park(1)] == ["b"]


def test_who_was_woken_and_does_not_come_is_found_out_in_time(run: Runner) -> None:
    """The short delivery's end does not hide that a consumer is expected sooner."""
    run.configure(concurrency=2)
    run.publish("a", "b", "c", "d")
    receipts = [one.receipt for one in run.consume(2, 3_600_000)]
    park(run, 1)
    assert then(run, *receipts, visibility_ms=600_000) == (["ok", "ok"], ["c"])
    assert run.due().fields[0] <= 1_000
