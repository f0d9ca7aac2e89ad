"""What is set for a topic and holds for every call: length, concurrency, rate, pauses, duplicates, retention."""

import pytest

from tests.lua.runner import Message, Runner


def test_a_full_topic_refuses_the_whole_batch_untouched(run: Runner) -> None:
    run.configure(max_length=3)
    run.publish("a", Message("late", delay_ms=60_000))
    before = run.snapshot()
    assert run.publish("b", "c") == ("topic_full", [2])
    assert run.snapshot() == before
    assert run.publish("b") == ("ok", [1])


def test_what_is_in_flight_or_waits_counts_for_the_length_and_dead_letters_do_not(run: Runner) -> None:
    run.configure(max_length=2)
    run.publish(Message("a", key="k"), Message("b", key="k"))
    receipt = run.receipt()
    assert run.publish("c").code == "topic_full"
    run.hand_back(receipt, reason="bad")
    assert run.publish("c").code == "ok"


def test_a_full_topic_drops_its_oldest_of_the_lowest_priority_if_that_is_set(run: Runner) -> None:
    run.configure(max_length=5, overflow="drop_oldest")
    run.publish(Message("low1", priority=1), Message("low2", priority=1), Message("high", priority=2), "a", "b")
    assert run.publish("c") == ("ok", [1])
    assert run.peek_ids("ready") == ["high", "low1", "low2", "b", "c"]
    assert run.publish(*(Message(f"new{number}", priority=3) for number in range(3))) == ("ok", [1, 1, 1])
    assert run.counted()["dropped"] == 4
    assert run.consume_ids(9) == ["new0", "new1", "new2", "high", "low2"]


def test_an_id_that_is_there_needs_no_room_in_a_full_topic(run: Runner) -> None:
    run.configure(max_length=3, dedup_ms=60_000)
    run.publish("gone", "a")
    run.ack(run.receipt())
    run.publish("b", "c")
    assert run.publish("a", "gone", "b", "a") == ("ok", [0, 0, 0, 0])
    assert run.publish("a", "new").code == "topic_full"


def test_an_id_that_is_there_makes_nothing_be_dropped_and_goes_like_any_other(run: Runner) -> None:
    run.configure(max_length=3, overflow="drop_oldest")
    run.publish("a", "b", "c")
    assert run.publish("b", "c") == ("ok", [0, 0])
    assert run.counted()["dropped"] == 0
    assert run.publish("new", "a") == ("ok", [1, 0]), "it was there, and is dropped as the oldest"
    assert run.peek_ids("ready") == ["b", "c", "new"]


def test_one_id_in_a_batch_twice_needs_room_once(run: Runner) -> None:
    run.configure(max_length=1)
    assert run.publish("a", "a") == ("ok", [1, 0])


def test_dead_letters_that_came_back_leave_no_room_and_an_id_that_is_there_needs_none(run: Runner) -> None:
    run.configure(max_length=1)
    run.publish("a")
    run.hand_back(run.receipt(), reason="bad")
    run.publish("b")
    run.kick("dead")
    assert run.publish("a") == ("ok", [0])


def test_what_is_in_flight_is_never_dropped(run: Runner) -> None:
    run.configure(max_length=2, overflow="drop_oldest")
    run.publish("a", "b")
    run.consume(2)
    assert run.publish("c") == ("topic_full", [2])


def test_no_more_are_in_flight_than_the_concurrency_allows(run: Runner) -> None:
    run.configure(concurrency=2)
    run.publish(*"abcd")
    first, _ = run.consume(9)
    assert run.consume(9) == []
    run.ack(first.receipt)
    assert run.consume_ids(9) == ["c"]


def test_a_lapsed_delivery_counts_no_longer(run: Runner) -> None:
    run.configure(concurrency=1)
    run.publish("a", "b")
    run.consume(9, visibility_ms=1_000)
    run.pass_time(1_001)
    assert run.consume_ids(9) == ["a"]


def test_the_rate_is_kept_and_a_second_s_worth_may_come_at_once(run: Runner) -> None:
    run.configure(rate_per_s=3)
    run.publish(*"abcdefgh")
    assert run.consume_ids(9) == ["a", "b", "c"]
    assert run.consume_ids(9) == []
    run.pass_time(10_000)
    assert run.consume_ids(9) == ["d", "e", "f"]


def test_a_topic_paused_in_takes_nothing_and_gives_what_it_has(run: Runner) -> None:
    run.publish("a")
    run.configure(paused_in=True)
    before = run.snapshot()
    assert run.publish("b") == ("topic_paused", [])
    assert run.snapshot() == before
    assert run.consume_ids(9) == ["a"]
    run.configure(paused_in="")
    assert run.publish("b").code == "ok"


def test_a_topic_paused_out_gives_nothing_and_takes_what_comes(run: Runner) -> None:
    run.publish("a")
    run.configure(paused_out=True)
    run.publish("b")
    assert run.consume_ids(9) == []
    run.configure(paused_out="")
    assert run.consume_ids(9) == ["a", "b"]


def test_an_id_is_remembered_for_its_time_also_after_the_ack(run: Runner) -> None:
    run.configure(dedup_ms=10_000)
    run.publish("a")
    run.ack(run.receipt())
    assert run.publish("a", "b").fields == [0, 1]
    run.pass_time(10_001)
    assert run.publish("a").fields == [1]


def test_what_is_too_old_for_the_topic_is_not_delivered(run: Runner) -> None:
    run.configure(retention_ms=5_000)
    run.publish("a", Message("shorter", ttl_ms=1_000), Message("longer", ttl_ms=60_000))
    run.pass_time(1_001)
    assert run.consume_ids(1) == ["a"]
    run.pass_time(4_000)
    assert run.consume_ids(9) == []
    assert run.counted()["expired"] == 2


def test_a_visibility_of_the_topic_holds_where_none_is_asked_for(run: Runner) -> None:
    run.configure(visibility_ms=1_000)
    run.publish("a", "b")
    run.consume(1, visibility_ms=60_000, is_default=1)
    run.consume(1, visibility_ms=60_000)
    run.pass_time(1_001)
    assert run.counts() == (1, 0, 1)


@pytest.mark.parametrize(("attempts", "delay_ms"), [(1, 1_000), (2, 2_000), (3, 4_000), (4, 5_000)])
def test_a_back_off_doubles_up_to_its_maximum(run: Runner, attempts: int, delay_ms: int) -> None:
    run.configure(backoff_ms=1_000, backoff_max_ms=5_000)
    run.publish("a")
    for _ in range(attempts - 1):
        run.nack(run.receipt())
    assert run.hand_back(run.receipt(), backs_off=1).fields == [b"delayed", delay_ms]


def test_jitter_takes_off_up_to_so_many_percent(run: Runner) -> None:
    run.configure(backoff_ms=10_000, backoff_jitter=50)
    run.publish(*(f"m{number}" for number in range(20)))
    delays = [run.hand_back(one.receipt, backs_off=1).fields[1] for one in run.consume(20)]
    assert all(5_000 <= delay_ms <= 10_000 for delay_ms in delays)
    assert len(set(delays)) > 10


def test_a_delay_that_is_asked_for_counts_and_not_the_back_off(run: Runner) -> None:
    run.configure(backoff_ms=10_000)
    run.publish("a")
    assert run.hand_back(run.receipt(), 0).fields == [b"ready", 0]
