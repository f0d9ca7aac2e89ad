"""queue.tend: what is due is done, a bounded piece at a time; queue.consume does the same when it comes first."""

import pytest

from tests.lua.runner import GENERATION, Delivered, Message, Runner


def due_again(run: Runner) -> int:
    return int(run.tend().fields[1])


def test_lapsed_deliveries_and_delays_that_are_over_become_ready(run: Runner) -> None:
    run.publish("a", "b", Message("late", delay_ms=1_000))
    run.consume(1, visibility_ms=1_000)
    run.pass_time(1_001)
    assert run.tend().fields == [2, -1, b""]
    assert run.peek_ids("ready") == ["a", "b", "late"]


def test_a_message_is_a_dead_letter_after_its_last_delivery_lapsed(run: Runner) -> None:
    run.publish("a")
    for _ in range(5):
        assert len(run.consume(visibility_ms=1_000)) == 1
        run.pass_time(1_001)
    assert run.consume() == []
    ((_, _, _, _, reason),) = run.peek("dead")
    assert reason == b"max_deliveries"
    assert run.counts() == (0, 0, 0)


@pytest.mark.parametrize("who", ["tend", "consume"])
def test_a_hundred_of_a_kind_are_tended_at_a_time_and_the_rest_is_due_at_once(run: Runner, who: str) -> None:
    run.publish(*(Message(f"m{number}", delay_ms=1_000) for number in range(250)))
    run.pass_time(1_002)
    for left in (150, 50, 0):
        if who == "tend":
            assert (due_again(run) == 0) == (left > 0)
        else:
            run.consume(1, visibility_ms=60_000)
        assert len(run.peek("delayed", limit=100)) == min(left, 100)


def test_dead_letters_go_when_they_are_too_old(run: Runner) -> None:
    run.configure(dead_retention_ms=10_000)
    run.publish("a")
    run.hand_back(run.receipt(), reason="bad")
    assert 0 < due_again(run) <= 10_000
    run.pass_time(10_001)
    run.tend()
    assert run.peek("dead") == []
    assert run.publish("a").fields == [1]


def test_dead_letters_are_to_be_sent_where_it_is_set(run: Runner) -> None:
    run.configure(dead_letter_topic="graveyard")
    assert run.tend().fields[2] == b""
    run.publish("a")
    run.hand_back(run.receipt(), reason="bad")
    assert run.due().fields == [0, run.key("ready", "topic")]
    assert run.tend().fields[2] == b"graveyard"
    assert 0 < run.due().fields[0] <= 1_000, "until they are gone it is tried again"


def test_ids_are_forgotten_after_their_time(run: Runner) -> None:
    run.configure(dedup_ms=5_000)
    run.publish("a")
    run.ack(run.receipt(1_000))
    run.pass_time(5_001)
    assert due_again(run) == -1
    assert run.kinds() == {"settings"}


def test_what_layout_1_stored_is_served(run: Runner) -> None:
    """Ready, delayed, in flight and lapsed as releases before stored them; they knew no due times."""
    topic = {kind: run.key(kind, "topic") for kind in ("messages", "ready", "delayed", "inflight")}
    now = int(run.redis.time()[0]) * 1000
    for name in ("waits", "late", "flies", "lapsed", "again"):
        run.redis.hset(topic["messages"], name, b"%d [1]" % now)
    run.redis.hset(topic["messages"], "\1flies", f"1.{now}")
    run.redis.hset(topic["messages"], "\1lapsed", f"2.{now}")
    run.redis.hset(topic["messages"], "\1again", f"1.{now}")
    run.redis.rpush(topic["ready"], "again", "waits")
    run.redis.zadd(topic["delayed"], {"late": now + 60_000 + 4 / 4096})
    run.redis.zadd(topic["inflight"], {"flies": now + 60_000 + 1 / 4096, "lapsed": now - 1_000})
    assert run.counts() == (3, 1, 1)
    assert run.ack(f"{GENERATION}.1.{now}.flies") == ["ok"]
    got = run.consume(9)
    assert [(one.id, one.attempt, one.data) for one in got] == [
        ("lapsed", 3, b"[1]"),
        ("again", 2, b"[1]"),
        ("waits", 1, b"[1]"),
    ]
    assert settle(run, got) == ["ok"] * 3
    run.pass_time(60_001)
    assert run.due().fields == [0, topic["ready"]]
    run.tend()
    assert settle(run, run.consume(9)) == ["ok"]
    assert run.redis.hlen(topic["messages"]) == 0


def settle(run: Runner, deliveries: list[Delivered]) -> list[str]:
    return run.ack(*(one.receipt for one in deliveries))
