"""queue.consume: which messages are delivered, in which order, and that none is lost or delivered twice at a time."""

import pytest

from tests.lua.runner import GENERATION, Message, Runner, now_ms


def test_an_empty_topic_delivers_nothing_and_keeps_nothing(run: Runner) -> None:
    before = run.snapshot()
    assert run.consume_raw(10, request_id="r1") == ("ok", [])
    assert run.snapshot() == before


def test_a_delivery_names_message_attempt_time_and_generation(run: Runner) -> None:
    run.publish(Message("id.with.dots", b"1"))
    (delivered,) = run.consume()
    generation, attempt, delivered_ms, message_id = delivered.receipt.split(".", 3)
    assert (int(generation), int(attempt), message_id) == (GENERATION, 1, "id.with.dots")
    assert abs(int(delivered_ms) - now_ms(run)) < 10_000
    assert delivered.attempt == 1


def test_no_more_than_max_are_delivered(run: Runner) -> None:
    run.publish(*"abcde")
    assert run.consume_ids(2) == ["a", "b"]
    assert run.counts() == (3, 0, 2)
    assert run.consume_ids(10) == ["c", "d", "e"]
    assert run.counts() == (0, 0, 5)


def test_a_thousand_are_delivered_at_the_most(run: Runner) -> None:
    for batch in range(2):
        run.publish(*(f"m{batch}-{number}" for number in range(1_000)))
    assert len(run.consume(5_000)) == 1_000


def test_a_message_in_flight_is_invisible(run: Runner) -> None:
    run.publish("a")
    run.consume(visibility_ms=60_000)
    run.pass_time(50_000)
    assert run.consume() == []


def test_a_lapsed_delivery_comes_again_and_counts_up(run: Runner) -> None:
    run.publish("a")
    for attempt in (1, 2, 3):
        (delivered,) = run.consume(visibility_ms=1_000)
        assert (delivered.id, delivered.attempt) == ("a", attempt)
        run.pass_time(1_001)


def test_a_lapsed_delivery_comes_before_newer_messages(run: Runner) -> None:
    run.publish("a", "b", "c")
    run.consume(visibility_ms=1_000)
    run.pass_time(1_001)
    assert run.consume_ids(3) == ["a", "b", "c"]


def test_a_batch_that_lapses_keeps_its_order(run: Runner) -> None:
    ids = [f"m-{number}" for number in range(1, 101)]
    run.publish(*ids)
    run.consume(100, visibility_ms=1_000)
    run.pass_time(1_002)
    assert run.consume_ids(100) == ids


def test_of_many_lapsed_deliveries_a_hundred_move_at_a_time(run: Runner) -> None:
    run.publish(*(f"m{number}" for number in range(250)))
    for _ in range(3):
        run.consume(100, visibility_ms=1_000)
    run.pass_time(2_000)
    for moved in (100, 200, 250, 250):
        run.consume(1, visibility_ms=60_000)
        assert run.redis.zcount(run.key("inflight", "topic"), "-inf", now_ms(run)) == 250 - moved


def test_of_many_due_messages_a_hundred_move_at_a_time(run: Runner) -> None:
    run.publish(*(Message(f"m{number}", delay_ms=1_000) for number in range(250)))
    run.pass_time(2_000)
    for left in (150, 50, 0, 0):
        run.consume(1)
        assert run.redis.zcard(run.key("delayed", "topic")) == left


def test_a_topic_drained_after_a_mass_lapse_loses_nothing(run: Runner) -> None:
    ids = {f"m{number}" for number in range(250)}
    run.publish(*ids)
    for _ in range(3):
        run.consume(100, visibility_ms=1_000)
    run.pass_time(2_000)
    seen: list[str] = []
    while batch := run.consume(100):
        seen += [one.id for one in batch]
        run.ack(*(one.receipt for one in batch))
    assert (len(seen), set(seen)) == (250, ids)
    assert run.kinds() == set()


def test_four_mebibytes_end_a_batch(run: Runner) -> None:
    big = bytes(1_000_000)
    run.publish(*(Message(f"m{number}", big) for number in range(6)))
    assert len(run.consume(100)) == 5, "the one that crosses the bound is still delivered"
    assert run.counts() == (1, 0, 5)


def test_four_mebibytes_end_a_batch_on_the_short_way(run: Runner) -> None:
    run.publish("first", *(Message(f"m{number}", bytes(1_000_000)) for number in range(7)))
    run.consume(1)
    assert run.consume_ids(100) == [f"m{number}" for number in range(5)]
    assert run.consume_ids(100) == ["m5", "m6"]


def test_a_short_delivery_beside_a_long_one_is_due_first(run: Runner) -> None:
    run.publish("long", "short", "next")
    run.consume(1, visibility_ms=60_000)
    run.consume(1, visibility_ms=1_000)
    run.pass_time(1_001)
    assert run.consume_ids(1) == ["short"]
    assert run.consume_ids(9) == ["next"]


def test_an_id_whose_record_was_lost_is_passed_over(run: Runner) -> None:
    run.publish("a", "b")
    run.redis.hdel(run.key("messages", "topic"), "a")
    assert run.consume_ids(2) == ["b"]
    assert run.counts() == (0, 0, 1)


def test_a_repeat_gets_the_same_deliveries_and_no_others(run: Runner) -> None:
    run.publish(*"abc")
    first = run.consume_raw(2, request_id="r1")
    before = run.snapshot()
    assert run.consume_raw(2, request_id="r1") == first
    assert run.snapshot() == before


@pytest.mark.parametrize("end", ["ack", "nack", "lapse", "lapse and move"])
def test_a_repeat_leaves_out_what_is_no_longer_in_flight(run: Runner, end: str) -> None:
    run.publish(*"ab")
    first, second = run.consume(2, visibility_ms=1_000, request_id="r1")
    run.extend(second.receipt, 60_000)
    if end == "ack":
        run.ack(first.receipt)
    elif end == "nack":
        run.nack(first.receipt)
    else:
        run.pass_time(1_002)
        if end == "lapse and move":
            run.publish("other", topic="elsewhere")
            run.consume()
    assert run.consume(2, visibility_ms=1_000, request_id="r1") == [second]


def test_a_repeat_of_an_empty_delivery_is_judged_again(run: Runner) -> None:
    assert run.consume(request_id="r1") == []
    run.publish("a")
    assert len(run.consume(request_id="r1")) == 1
