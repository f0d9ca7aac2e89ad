"""queue.publish: what is stored, in which order, and what is not stored twice."""

import random

import pytest

from tests.lua.runner import Message, Runner

PAYLOADS = {
    "empty array": b"[]",
    "empty object": b"{}",
    "twenty digits": b"12345678901234567890",
    "small exponent": b"1.0000000000000000000001e-7",
    "NUL and other bytes": b"\x00\xff\xfe\r\n\t \x00",
    "every byte": bytes(range(256)),
    "random": random.Random(1).randbytes(4_096),
    "nothing": b"",
    "starts with digits and a space": b"1700000000000 1",
}


def test_messages_come_out_in_the_order_they_went_in(run: Runner) -> None:
    run.publish("c", "a")
    run.publish("b")
    assert run.consume_ids(10) == ["c", "a", "b"]


@pytest.mark.parametrize("data", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_payload_is_kept_byte_for_byte(run: Runner, data: bytes) -> None:
    run.publish(Message("a", data))
    (delivered,) = run.consume()
    assert delivered.data == data


def test_the_record_begins_with_the_publish_time_of_redis(run: Runner) -> None:
    before = run.redis.time()[0]
    run.publish("a")
    published_ms = int(run.consume_raw().fields[3].partition(b" ")[0])
    assert before * 1000 <= published_ms < (run.redis.time()[0] + 1) * 1000


def test_an_id_that_is_in_the_topic_is_not_stored_twice(run: Runner) -> None:
    assert run.publish(Message("a", b"1"), Message("b", b"2"), Message("a", b"3")) == ("ok", [1, 1, 0])
    assert run.publish(Message("a", b"4")).fields == [0]
    assert [(one.id, one.data) for one in run.consume(10)] == [("a", b"1"), ("b", b"2")]


def test_an_id_that_is_in_the_topic_is_not_stored_twice_by_a_batch(run: Runner) -> None:
    run.publish(Message("a", b"1"))
    batch = [Message(f"m{number}", b"%d" % number) for number in range(120)]
    again = Message("m0", b"first chunk"), Message("m119", b"last chunk"), Message("a", b"before")
    assert run.publish(*batch, *again).fields == [1] * 120 + [0, 0, 0]
    found = {one.id: one.data for one in run.consume(200)}
    assert len(found) == 121
    assert [found[name] for name in ("a", "m0", "m119")] == [b"1", b"0", b"119"]
    assert run.counts() == (0, 0, 121), "an id that is queued twice is delivered twice"


def test_an_id_in_flight_or_delayed_or_given_back_counts_as_in_the_topic(run: Runner) -> None:
    run.publish("flying", Message("late", delay_ms=60_000), "back")
    _, back = run.consume(2)
    run.nack(back.receipt)
    assert run.publish("flying", "late", "back").fields == [0, 0, 0]
    assert run.counts() == (1, 1, 1)


def test_an_acknowledged_id_may_be_published_again(run: Runner) -> None:
    run.publish("a")
    run.ack(run.consume()[0].receipt)
    assert run.publish("a").fields == [1]
    assert run.consume()[0].attempt == 1


def test_topics_do_not_see_each_other(run: Runner) -> None:
    run.publish("a", topic="t1")
    assert run.publish("a", topic="t2").fields == [1]
    assert run.consume_ids(10, topic="t1") == ["a"]
    assert run.counts("t2") == (1, 0, 0)


def test_a_delayed_message_waits_for_its_time(run: Runner) -> None:
    run.publish(Message("late", delay_ms=10_000), "now")
    assert run.counts() == (1, 1, 0)
    assert run.consume_ids(10) == ["now"]
    run.pass_time(9_000)
    assert run.consume_ids(10) == []
    run.pass_time(1_001)
    assert run.consume_ids(10) == ["late"]


def test_delayed_messages_come_in_the_order_of_their_times(run: Runner) -> None:
    run.publish(Message("second", delay_ms=2_000), Message("first", delay_ms=1_000))
    run.pass_time(2_001)
    assert run.consume_ids(10) == ["first", "second"]


def test_a_delayed_batch_keeps_its_order(run: Runner) -> None:
    ids = [f"m-{number}" for number in range(1, 101)]
    run.publish(*(Message(name, delay_ms=1_000) for name in ids))
    run.pass_time(1_002)
    assert run.consume_ids(100) == ids


def test_a_thousand_messages_are_stored_together(run: Runner) -> None:
    assert run.publish(*(f"m{number}" for number in range(1_000))) == ("ok", [1] * 1_000)
    assert run.counts() == (1_000, 0, 0)


def test_a_repeat_stores_nothing_even_after_the_message_is_gone(run: Runner) -> None:
    first = run.publish("a", "b", request_id="r1")
    run.ack(*(one.receipt for one in run.consume(2)))
    assert run.publish("a", "b", request_id="r1") == first
    assert run.counts() == (0, 0, 0)


def test_a_repeat_reports_the_duplicates_of_the_first_time(run: Runner) -> None:
    run.publish("a")
    assert run.publish("a", "b", request_id="r1").fields == [0, 1]
    assert run.publish("a", "b", request_id="r1").fields == [0, 1]
