"""queue.inspect: what is counted as what, and that counting changes nothing."""

from tests.lua.runner import Message, Runner


def test_an_unknown_topic_is_empty_and_has_no_age(run: Runner) -> None:
    assert run.call("queue.inspect", "topic") == ("ok", [0, 0, 0, -1, 0, 0, 0, 0, 0, b""])


def test_messages_are_counted_by_state(run: Runner) -> None:
    run.publish("a", "b", "c", Message("d", delay_ms=60_000))
    run.consume(2)
    assert run.counts() == (1, 1, 2)


def test_what_would_be_delivered_now_counts_as_ready(run: Runner) -> None:
    run.publish("a", "b", Message("c", delay_ms=1_000), Message("d", delay_ms=60_000))
    run.consume(1, visibility_ms=1_000)
    run.pass_time(1_001)
    assert run.counts() == (3, 1, 0)


def test_the_age_is_that_of_the_message_next_in_line(run: Runner) -> None:
    run.publish("a")
    record = run.redis.hget(run.key("messages", "topic"), "a") or b""
    aged = str(int(record.split(b" ")[0]) - 5_000).encode() + b" {}"
    run.redis.hset(run.key("messages", "topic"), "a", aged)
    run.publish("b")
    assert 5_000 <= run.call("queue.inspect", "topic").fields[3] < 15_000


def test_inspecting_changes_nothing(run: Runner) -> None:
    run.publish("a", "b", Message("c", delay_ms=1_000))
    run.consume(1, visibility_ms=1_000)
    run.pass_time(1_001)
    before = run.snapshot()
    run.counts()
    assert run.snapshot() == before


def test_the_age_passes_over_what_was_removed(run: Runner) -> None:
    run.publish(*"abc")
    run.purge("", "a", "b")
    assert run.call("queue.inspect", "topic").fields[3] >= 0
    run.publish("a")
    run.purge("", "c")
    assert run.call("queue.inspect", "topic").fields[3] >= 0
    run.purge("", "a")
    assert run.call("queue.inspect", "topic").fields[3] == -1
