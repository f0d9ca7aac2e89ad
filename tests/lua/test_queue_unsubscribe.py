"""queue.unsubscribe: a subscription goes, with what is in it."""

from tests.lua.runner import Message, Runner
from tests.lua.test_queue_fan import A, B, fan, payloads, subscribe, unsubscribe


def test_a_subscription_goes_with_what_is_in_it_and_the_last_leaves_the_topic_as_it_was(run: Runner) -> None:
    subscribe(run, "a", "b")
    fan(run, Message("m1", b"[1]"))
    run.consume(topic=A)
    before = run.snapshot()
    assert unsubscribe(run, "a") == ("topic_in_use", [b"inflight"])
    assert run.purge("topic", topic=B, is_forced="1") == ("topic_in_use", [b"subscription"])
    assert run.purge("topic", is_forced="1") == ("topic_in_use", [b"subscriptions"])
    assert run.snapshot() == before
    assert unsubscribe(run, "a", "1").code == "ok"
    assert subscribe(run, "a") == [("topic_in_use", [b"leaving"])]
    assert run.purge("topic", topic=A, is_forced="1").fields == [1, 0]
    assert payloads(run) == {b"m1": b"[1]", b"\1m1": b"1"}
    assert unsubscribe(run, "b").code == "ok"
    assert run.purge("topic", topic=B, is_forced="1").fields == [1, 0]
    assert payloads(run) == {}
    assert run.publish("m2").fields == [1]
    assert unsubscribe(run, "a").code == "subscription_unknown"
    assert run.kinds() == {"settings", "messages", "ready"}
