"""What a message may have beside its payload: priority, a life that ends, headers."""

import pytest

from service.queue.records import message_of
from tests.lua.runner import Message, Runner


def test_higher_priorities_come_first_and_one_priority_in_order(run: Runner) -> None:
    run.publish("p0-1", Message("p1-1", priority=1), Message("p9-1", priority=9), Message("p1-2", priority=1))
    run.publish(Message("p9-2", priority=9), "p0-2")
    assert run.consume_ids(4) == ["p9-1", "p9-2", "p1-1", "p1-2"]
    assert run.consume_ids(4) == ["p0-1", "p0-2"]


@pytest.mark.parametrize("way", ["nack", "lapse"])
def test_a_message_that_comes_back_is_the_first_of_its_priority(run: Runner, way: str) -> None:
    run.publish(Message("a", priority=3), Message("b", priority=3), Message("high", priority=4), "low")
    run.consume(1, visibility_ms=60_000)
    (first,) = run.consume(1, visibility_ms=1_000)
    assert first.id == "a"
    if way == "nack":
        run.nack(first.receipt)
    else:
        run.pass_time(1_001)
    run.publish(Message("c", priority=3))
    assert run.consume_ids(9) == ["a", "b", "c", "low"]


def test_a_delayed_message_keeps_its_priority(run: Runner) -> None:
    run.publish("low", Message("high", priority=7, delay_ms=1_000))
    run.pass_time(1_001)
    assert run.consume_ids(9) == ["high", "low"]


def test_a_message_whose_life_ended_is_never_delivered(run: Runner) -> None:
    run.publish(Message("short", ttl_ms=1_000), Message("long", ttl_ms=9_000), "for ever")
    run.pass_time(1_001)
    assert run.consume_ids(9) == ["long", "for ever"]
    assert run.counted()["expired"] == 1
    assert run.peek_ids("ready") == []


def test_of_many_lives_that_ended_none_is_delivered_before_its_end_was_tended(run: Runner) -> None:
    run.publish(*(Message(f"m{number}", ttl_ms=1_000) for number in range(250)), "for ever")
    run.pass_time(1_001)
    assert run.consume_ids(9) == ["for ever"]
    assert run.counted()["expired"] == 250


def test_a_life_that_ends_in_flight_lets_the_delivery_finish(run: Runner) -> None:
    run.publish(Message("a", ttl_ms=1_000), Message("b", ttl_ms=1_000))
    first, second = run.consume(2, visibility_ms=5_000)
    run.pass_time(2_000)
    run.tend()
    assert run.ack(first.receipt) == ["ok"]
    assert run.hand_back(second.receipt).fields == [b"expired", 0]
    assert run.counts() == (0, 0, 0)
    run.tend()
    assert run.kinds() == set()


def test_a_life_that_ended_in_flight_is_over_when_the_delivery_lapses(run: Runner) -> None:
    run.publish(Message("a", ttl_ms=1_000), "b")
    run.consume(1, visibility_ms=5_000)
    run.pass_time(2_000)
    run.tend()
    run.pass_time(3_001)
    run.tend()
    assert run.peek_ids("ready") == ["b"]
    assert run.counted()["expired"] == 1


@pytest.mark.parametrize("message", [Message("a", ttl_ms=1_000), Message("a", ttl_ms=1_000, priority=2)], ids=repr)
def test_an_id_whose_life_ended_may_be_published_again(run: Runner, message: Message) -> None:
    run.publish(message, "b")
    run.pass_time(1_001)
    run.tend()
    assert run.publish(Message("a", b"new")).fields == [1]
    assert run.counts() == (2, 0, 0)
    assert [(one.id, one.data) for one in run.consume(9)] == [("b", b"{}"), ("a", b"new")]
    assert run.consume() == []


def test_attributes_are_given_to_the_consumer_and_the_payload_is_untouched(run: Runner) -> None:
    payload = b"12 34\t5 0 0 0 \x00\xff"
    run.publish(Message("a", payload, priority=5, ttl_ms=60_000, key="k 1", headers=b'{"h":"v v"}'))
    message = message_of(run.consume_raw().fields[3])
    assert (bytes(message.data), message.priority, message.key) == (payload, 5, "k 1")
    assert message.headers is not None
    assert bytes(message.headers) == b'{"h":"v v"}'


@pytest.mark.parametrize("payload", [b"", b" ", b"\t", b"1\t2 3 4 5 6", bytes(range(256))], ids=repr)
def test_a_payload_beside_headers_is_kept_byte_for_byte(run: Runner, payload: bytes) -> None:
    run.publish(Message("a", payload, headers=b"{}"))
    assert run.consume()[0].data == payload
