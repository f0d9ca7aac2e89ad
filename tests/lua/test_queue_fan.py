"""Fan-out: every subscription of a topic has every message once, and a payload lies there once for all of them."""

from typing import Any

import msgspec
import pytest

from service.queue.topics import PART_KEYS
from tests.lua.runner import KEEP_MS, SESSION, Message, Reply, Runner, heard, pack

A, B = "topic\1a", "topic\1b"


def subscribe(run: Runner, *names: str, topic: str = "topic", request_id: str = "") -> list[Reply]:
    return [run.call("queue.subscribe", f"{topic}\1{name}", subscription=name, request_id=request_id) for name in names]


def unsubscribe(run: Runner, name: str, is_forced: str = "", *, topic: str = "topic", request_id: str = "") -> Reply:
    given: dict[str, Any] = {"subscription": name, "is_forced": is_forced}
    return run.call("queue.unsubscribe", f"{topic}\1{name}", request_id=request_id, **given)


def fan(
    run: Runner,
    *messages: Message | str,
    to: tuple[str, ...] = ("a", "b"),
    topic: str = "topic",
    request_id: str = "",
) -> Reply:
    all_of = [Message(message) if isinstance(message, str) else message for message in messages]
    options = [message.option for message in all_of]
    known = run.keys_of(topic, request_id)
    keys = [known[kind] for kind in ("fence", "outcome", "settings", "shared", "due", "sessions")]
    keys += [run.keys_of(f"{topic}\1{name}", "")[kind] for name in to for kind in PART_KEYS]
    argv = [run.fence, f"of-{request_id}" if request_id else "", KEEP_MS, pack(options) if any(options) else b""]
    for one in all_of:
        argv += [one.id, one.delay_ms, one.data]
    code, *fields = run.evalsha(run.scripts["queue.fan"], keys, argv)
    return Reply(code.decode(), fields)


def payloads(run: Runner) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = run.redis.hgetall(run.key("shared", "topic"))
    return found


def test_every_subscription_gets_every_message_and_acknowledges_for_itself(run: Runner) -> None:
    subscribe(run, "a", "b")
    assert fan(run, Message("m1", b"[1]"), Message("m2", b"[2]", priority=3, key="k", headers=b"{}")).fields == [1, 1]
    of_a, of_b = run.consume(9, topic=A), run.consume(9, topic=B)
    assert [(one.id, one.data) for one in of_a] == [("m2", b"[2]"), ("m1", b"[1]")]
    assert [(one.id, one.data) for one in of_b] == [("m2", b"[2]"), ("m1", b"[1]")]
    assert run.ack(*(one.receipt for one in of_a), topic=A) == ["ok", "ok"]
    assert run.counts(A) == (0, 0, 0)
    assert run.counts(B) == (0, 0, 2)


def test_an_ack_that_asks_for_more_lets_go_and_brings_payloads_again_when_repeated(run: Runner) -> None:
    subscribe(run, "a", "b")
    fan(run, Message("m1", b"[1]"), Message("m2", b"[2]"))
    for topic in (A, B):
        (first,) = run.consume(topic=topic)
        once = run.ack_consume(first.receipt, topic=topic, request_id=f"r{topic}")
        assert once.fields[0] == b"ok"
        assert (once.fields[1], once.fields[4].partition(b" ")[2]) == (b"m2", b"[2]")
        assert run.ack_consume(first.receipt, topic=topic, request_id=f"r{topic}") == once
    assert payloads(run) == {b"m2": b"[2]", b"\1m2": b"2"}


def test_a_payload_lies_there_once_until_the_last_subscription_is_done(run: Runner) -> None:
    subscribe(run, "a", "b")
    fan(run, Message("m1", b"[1234]"))
    stored = b"".join(run.redis.dump(key) for key in run.redis.keys("*"))
    assert stored.count(b"[1234]") == 1
    run.ack(run.consume(topic=A)[0].receipt, topic=A)
    assert payloads(run) == {b"m1": b"[1234]", b"\1m1": b"1"}
    run.ack(run.consume(topic=B)[0].receipt, topic=B)
    assert payloads(run) == {}


@pytest.mark.parametrize("end", ["purge", "by name", "life", "dead"])
def test_however_a_message_ends_its_payload_goes_with_it(run: Runner, end: str) -> None:
    subscribe(run, "a")
    fan(run, Message("m1", b"[1]", ttl_ms=1_000 if end == "life" else 0), to=("a",))
    if end == "purge":
        run.purge("ready", topic=A)
    elif end == "by name":
        run.purge("", "m1", topic=A)
    elif end == "life":
        run.pass_time(2_000)
        run.tend(A)
    else:
        run.hand_back(run.consume(topic=A)[0].receipt, topic=A, reason="bad")
        assert payloads(run) != {}
        run.purge("dead", topic=A)
    assert payloads(run) == {}


def test_what_is_given_back_lapses_or_dies_in_one_is_untouched_in_the_other(run: Runner) -> None:
    subscribe(run, "a", "b")
    fan(run, Message("m1", b"[1]"))
    run.hand_back(run.consume(topic=A)[0].receipt, topic=A)
    assert run.consume(1, 1_000, topic=A)[0].attempt == 2
    run.pass_time(2_000)
    run.tend(A)
    (again,) = run.consume(topic=A)
    assert (again.attempt, again.data) == (3, b"[1]")
    run.hand_back(again.receipt, topic=A, reason="bad")
    assert run.peek("dead", topic=A)[0][3].endswith(b" [1]")
    assert run.consume(topic=B)[0].attempt == 1
    run.kick("dead", topic=A)
    assert [(one.attempt, one.data) for one in run.consume(topic=A)] == [(1, b"[1]")]


def test_all_subscriptions_get_a_message_or_none_does(run: Runner) -> None:
    subscribe(run, "a", "b")
    run.configure(topic=B, max_length=1)
    assert fan(run, "m1").code == "ok"
    before = run.snapshot()
    assert fan(run, "m2") == ("topic_full", [1])
    assert run.snapshot() == before
    run.configure(topic=B, paused_in=True, max_length=9)
    assert fan(run, "m2").code == "topic_paused"
    assert run.counts(A) == (1, 0, 0)


def test_what_a_subscription_still_has_needs_no_room_in_another(run: Runner) -> None:
    subscribe(run, "a", "b")
    run.configure(topic=B, max_length=1)
    fan(run, "m1")
    run.ack(run.consume(topic=B)[0].receipt, topic=B)
    run.configure(topic=B, max_length=2, overflow="drop_oldest")
    assert fan(run, "m2", "m3").fields == [1, 1]
    assert fan(run, "m1", "m2").fields == [0, 0]
    assert run.counted(B)["dropped"] == 0


def test_what_is_dropped_for_others_is_not_stored_again_in_the_same_publish(run: Runner) -> None:
    subscribe(run, "a", "b")
    run.configure(topic=A, max_length=1, overflow="drop_oldest")
    fan(run, "m1")
    run.ack(run.consume(topic=B)[0].receipt, topic=B)
    assert fan(run, Message("m2", b"[2]"), "m1").fields == [1, 0]
    assert payloads(run) == {b"m2": b"[2]", b"\1m2": b"2"}


def test_a_message_is_stored_once_by_request_and_by_id(run: Runner) -> None:
    subscribe(run, "a", "b")
    assert fan(run, "m1", request_id="r").fields == [1]
    run.ack(run.consume(topic=A)[0].receipt, topic=A)
    assert fan(run, "m1", request_id="r").fields == [1]
    assert fan(run, Message("m1", b"[other]")).fields == [0]
    assert run.counts(A) == (0, 0, 0)
    assert [one.data for one in run.consume(9, topic=B)] == [b"{}"]


def test_a_publisher_that_knows_other_subscriptions_is_told_those_there_are(run: Runner) -> None:
    assert fan(run, "m1", to=("a",)) == ("topic_subscribed", [])
    subscribe(run, "a", "b")
    before = run.snapshot()
    assert run.publish("m1") == ("topic_subscribed", [b"a", b"b"])
    assert fan(run, "m1", to=("a",)) == ("topic_subscribed", [b"a", b"b"])
    assert fan(run, "m1", to=("b", "a")) == ("topic_subscribed", [b"a", b"b"])
    assert fan(run, "m1", to=("a", "b", "c")) == ("topic_subscribed", [b"a", b"b"])
    assert run.snapshot() == before


def test_a_consumer_that_waits_is_woken_in_each_subscription(run: Runner) -> None:
    subscribe(run, "a", "b")
    run.park(1, topic=A)
    run.park(2, topic=B)
    with heard(run, f"simpul:test:wake:{SESSION}") as woken:
        fan(run, "m1")
    assert woken == [f"{SESSION}:1".encode(), f"{SESSION}:2".encode()]


def test_a_subscription_that_is_not_there_is_refused_by_every_script(run: Runner) -> None:
    before = run.snapshot()
    assert run.consume_raw(topic=A).code == "subscription_unknown"
    assert run.nack("m1", topic=A) == "subscription_unknown"
    assert run.extend("m1", 1_000, topic=A) == "subscription_unknown"
    assert run.purge("ready", topic=A).code == "subscription_unknown"
    assert run.kick("dead", topic=A).code == "subscription_unknown"
    assert run.configure(topic=A, max_deliveries=1).code == "subscription_unknown"
    assert run.snapshot() == before


def test_a_message_whose_payload_was_lost_is_passed_over_and_gone(run: Runner) -> None:
    subscribe(run, "a")
    fan(run, "m1", "m2", to=("a",))
    run.redis.hdel(run.key("shared", "topic"), "m1")
    assert run.consume_ids(9, topic=A) == ["m2"]
    assert fan(run, "m1", to=("a",)).fields == [1]


def test_a_repeated_consume_gets_the_payload_again(run: Runner) -> None:
    subscribe(run, "a")
    fan(run, Message("m1", b"[1]"), to=("a",))
    first = run.consume(topic=A, request_id="r")
    assert run.consume(topic=A, request_id="r") == first
    assert msgspec.json.decode(first[0].data) == [1]
