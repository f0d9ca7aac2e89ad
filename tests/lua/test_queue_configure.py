"""queue.configure: what is kept of settings, and which changes messages under way forbid. What they do: limits."""

import msgspec

from tests.lua.runner import Message, Runner


def settings(run: Runner) -> dict[str, object]:
    packed = run.call("queue.inspect", "topic").fields[-1]
    found: dict[str, object] = msgspec.msgpack.decode(packed)
    return found


def test_what_is_not_named_stays_and_an_empty_value_takes_back(run: Runner) -> None:
    run.configure(max_deliveries=3, backoff_ms=100)
    reply = run.configure(backoff_ms="", concurrency=7)
    assert msgspec.msgpack.decode(reply.fields[0]) == settings(run) == {"max_deliveries": 3, "concurrency": 7}


def test_a_length_below_what_is_there_is_refused_untouched(run: Runner) -> None:
    run.publish(*"abc")
    before = run.snapshot()
    assert run.configure(max_length=2) == ("topic_in_use", [b"max_length"])
    assert run.snapshot() == before
    assert run.configure(max_length=3).code == "ok"


def test_settings_outlast_the_messages(run: Runner) -> None:
    run.configure(max_deliveries=2)
    run.publish("a")
    run.ack(run.receipt(1_000))
    run.pass_time(1_001)
    run.tend()
    assert settings(run) == {"max_deliveries": 2}


def test_messages_of_before_are_held_to_what_is_set_since(run: Runner) -> None:
    run.publish("a")
    run.nack(run.receipt())
    run.configure(max_deliveries=2)
    assert run.hand_back(run.receipt()).fields == [b"dead", 0]


def test_another_key_concurrency_is_refused_while_messages_of_a_key_are_under_way(run: Runner) -> None:
    run.publish(Message("a", key="k"))
    before = run.snapshot()
    assert run.configure(key_concurrency=2) == ("topic_in_use", [b"key_concurrency"])
    assert run.snapshot() == before
    run.ack(run.receipt())
    assert run.configure(key_concurrency=2).code == "ok"


def test_a_key_concurrency_that_holds_already_may_be_set_at_any_time(run: Runner) -> None:
    run.publish(Message("a", key="k"))
    for same in ("", 1, ""):
        assert run.configure(key_concurrency=same, max_deliveries=3).code == "ok"
