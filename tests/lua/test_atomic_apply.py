"""atomic.apply: every check of every operation before the first write, and then all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.lua.groups import Operation, ack, apply, check, invalidate, publish, put
from tests.lua.runner import (
    CHANNEL,
    COUNTER_BITS,
    GENERATION,
    QUARANTINE_MS,
    SESSION,
    Message,
    Runner,
    detail,
    heard,
)

OWNER = "simpul:test:wake"
WOKEN = f"{OWNER}:{SESSION}"
OLD_TOKEN = ((GENERATION - 1) << COUNTER_BITS) + 1


def received(run: Runner, message: Message | str = "m", topic: str = "in") -> str:
    """The receipt of a message that is delivered now."""
    run.publish(message, topic=topic)
    return run.consume(topic=topic)[0].receipt


def whole(run: Runner) -> tuple[Operation, ...]:
    """One operation of each kind against which nothing stands."""
    return (
        check(run.granted("a"), "a"),
        ack(received(run), "in"),
        publish("next", "out"),
        put("k", b"new", 60_000, tags=("t",)),
        invalidate("old"),
    )


def test_all_operations_are_done_together(run: Runner) -> None:
    run.put("old")
    operations = whole(run)
    last = run.redis.get(run.key("versions"))
    assert apply(run, *operations) == ("ok", [1, 1, 1, int(last) + 1, 1])
    assert run.holders() == {"a": int(operations[0].asked.split()[0])}
    assert run.counts("in") == (0, 0, 0)
    assert run.consume_ids(9, topic="out") == ["next"]
    assert run.get("k") == (int(last) + 1, b"new")
    assert run.redis.pttl(run.key("entry", "k")) > 50_000
    assert run.tagged("t") == [b"1", b"k"]
    assert run.get("old") is None


Refusing = Callable[[Runner], Operation]


def superseded(run: Runner) -> Operation:
    run.publish("again", topic="in")
    (first,) = run.consume(topic="in")
    run.nack(first.receipt, topic="in")
    run.consume(topic="in")
    return ack(first.receipt, "in")


def expired(run: Runner) -> Operation:
    run.publish("m", topic="late")
    (first,) = run.consume(topic="late", visibility_ms=1_000)
    run.pass_time(1_001)
    return ack(first.receipt, "late")


def full(run: Runner) -> Operation:
    run.configure(topic="full", max_length=1)
    run.publish("there", topic="full")
    return publish("more", "full")


def paused(run: Runner) -> Operation:
    run.configure(topic="paused", paused_in=True)
    return publish("more", "paused")


def changed(run: Runner) -> Operation:
    run.put("changed", if_version="")
    return put("changed", if_version=1)


def shared(run: Runner) -> Operation:
    return check(run.granted("r", "shared", resource="shared"), resource="shared")


def in_quarantine(run: Runner) -> Operation:
    run.redis.set(run.key("quarantine"), f"{int(run.redis.time()[0]) * 1000 + QUARANTINE_MS} 0")
    return check(OLD_TOKEN, "a", resource="before")


REFUSALS: dict[str, tuple[Refusing, str]] = {
    "no hold": (lambda run: check(1 << 40, "a", resource="free"), "lock_lost"),
    "another token": (lambda run: check(run.granted("b", resource="r2") + 1, "b", resource="r2"), "lock_lost"),
    "another owner": (lambda run: check(run.granted("b", resource="r2"), "c", resource="r2"), "lock_lost"),
    "shared without an owner": (shared, "lock_is_shared"),
    "from before a loss": (in_quarantine, "lock_quarantine"),
    "superseded": (superseded, "receipt_superseded"),
    "expired": (expired, "receipt_expired"),
    "never there": (lambda run: ack(f"{GENERATION}.1.5.none", "in"), "already_acked"),
    "full": (full, "topic_full"),
    "paused": (paused, "topic_paused"),
    "another version": (changed, "version_mismatch"),
    "is there": (lambda run: put("there", if_version=0) if run.put("there") else put(""), "version_mismatch"),
}
each_refusal = pytest.mark.parametrize(("refusing", "code"), REFUSALS.values(), ids=REFUSALS.keys())


@each_refusal
@pytest.mark.parametrize("index", [0, 3, 5])
def test_one_refusal_leaves_everything_as_it_was(run: Runner, refusing: Refusing, code: str, index: int) -> None:
    refused = refusing(run)
    operations = list(whole(run))
    operations.insert(index, refused)
    before = run.snapshot()
    with heard(run, CHANNEL) as invalidations, heard(run, OWNER) as told:
        reply = apply(run, *operations, request_id="r1")
    assert (reply.code, reply.fields[0]) == (code, index)
    assert run.snapshot() == before
    assert (invalidations, told) == ([], [])
    del operations[index]
    assert apply(run, *operations, request_id="r1").code == "ok"


def test_the_first_refusal_in_the_list_is_named_with_what_it_says(run: Runner) -> None:
    version = run.put("k").fields[0]
    operations = [put("other"), put("k", if_version=version - 1), full(run)]
    assert apply(run, *operations) == ("version_mismatch", [1, str(version).encode()])
    assert apply(run, operations[0], *operations[:0:-1]) == ("topic_full", [1, 1])


@pytest.mark.parametrize("mode", ["exclusive", "shared", "semaphore"])
def test_a_hold_of_any_mode_is_found_by_owner_and_token(run: Runner, mode: str) -> None:
    args = {"detail": detail(limit=2)} if mode == "semaphore" else {}
    tokens = [run.granted("a", mode, **args)]
    if mode != "exclusive":
        tokens.append(run.granted("b", mode, **args))
    for owner, token in zip("ab", tokens, strict=False):
        assert apply(run, check(token, owner)) == ("ok", [1])
        assert apply(run, check(token + 5, owner)) == ("lock_lost", [0])


def test_an_exclusive_hold_is_found_by_its_token_alone(run: Runner) -> None:
    token = run.granted("a", detail=detail(reentrant=True))
    assert apply(run, check(token)) == ("ok", [1])
    assert apply(run, check(token - 1)) == ("lock_lost", [0])
    run.release("a")
    assert apply(run, check(token)) == ("lock_lost", [0])


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_a_lease_that_ended_is_no_hold(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=1_000)
    run.granted("b", "shared" if mode == "shared" else "exclusive", resource="res" if mode == "shared" else "other")
    run.pass_time(1_001)
    assert apply(run, check(token, "a")) == ("lock_lost", [0])


def test_a_token_from_before_a_loss_counts_again_after_the_quarantine(run: Runner) -> None:
    token = run.granted("a", ttl_ms=120_000)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    code, (index, left_ms) = apply(run, check(token, "a"))
    assert (code, index) == ("lock_quarantine", 0)
    assert 0 < left_ms <= QUARANTINE_MS
    run.pass_time(QUARANTINE_MS)
    assert apply(run, check(token, "a")) == ("ok", [1])


def test_a_parked_consumer_is_woken_for_each_message(run: Runner) -> None:
    for number in (1, 2, 3):
        run.park(number, topic="out")
    with heard(run, WOKEN) as woken:
        assert apply(run, publish("a", "out"), put("k"), publish("b", "out")).code == "ok"
    assert woken == [f"{SESSION}:{number}".encode() for number in (1, 2)]
    assert [run.park(number, topic="out")[0].id for number in (1, 2)] == ["a", "b"]


def test_a_refused_group_wakes_nobody(run: Runner) -> None:
    run.park(topic="out")
    with heard(run, WOKEN) as woken:
        assert apply(run, publish("a", "out"), check(1 << 40)).code == "lock_lost"
    assert woken == []


def test_messages_keep_the_order_of_the_list_and_their_attributes(run: Runner) -> None:
    messages = [
        Message("low"),
        Message("high", b"[]", priority=9, headers=b'{"h":"1"}'),
        Message("late", delay_ms=1_000),
        Message("short", ttl_ms=1_000),
        Message("k1", key="k"),
        Message("k2", key="k"),
        Message("last"),
    ]
    assert apply(run, *(publish(one) for one in messages)) == ("ok", [1] * 7)
    assert run.counted()["waiting"] == 1
    assert run.consume_ids(9) == ["high", "low", "short", "k1", "last"]
    run.pass_time(1_002)
    assert run.consume_ids(9) == ["late"]


def test_an_id_that_is_there_or_was_published_of_late_is_not_stored_twice(run: Runner) -> None:
    run.publish("there")
    run.configure(topic="seen", dedup_ms=60_000)
    run.publish("gone", topic="seen")
    run.ack(run.consume(topic="seen")[0].receipt, topic="seen")
    assert apply(run, publish("there"), publish("gone", "seen"), publish("new", "seen")) == ("ok", [0, 0, 1])
    assert apply(run, publish("new", "seen")) == ("ok", [0])
    assert (run.counts()[0], run.counts("seen")[0]) == (1, 1)


def test_what_a_group_acknowledges_makes_room_for_what_it_publishes(run: Runner) -> None:
    run.configure(topic="in", max_length=2)
    first, second = received(run, "a"), received(run, "b")
    assert apply(run, publish("c", "in")) == ("topic_full", [0, 2])
    assert apply(run, publish("c", "in"), publish("d", "in"), ack(first, "in")) == ("topic_full", [0, 2])
    assert apply(run, publish("c", "in"), ack(first, "in"), ack(second, "in"), publish("d", "in")).code == "ok"
    assert run.counts("in") == (2, 0, 0)


def test_an_id_that_is_there_needs_no_room(run: Runner) -> None:
    run.configure(topic="in", max_length=2)
    first, _ = received(run, "a"), run.publish("b", topic="in")
    assert apply(run, publish("b", "in"), publish("a", "in")) == ("ok", [0, 0])
    assert apply(run, publish("b", "in"), publish("c", "in")) == ("topic_full", [0, 2])
    assert apply(run, publish("b", "in"), publish("c", "in"), ack(first, "in")) == ("ok", [0, 1, 1])


def test_a_topic_that_drops_its_oldest_drops_as_many_as_it_must(run: Runner) -> None:
    run.configure(max_length=2, overflow="drop_oldest")
    run.publish("a", "b")
    assert apply(run, publish("c"), put("k"), publish("d")).code == "ok"
    assert run.consume_ids(9) == ["c", "d"]
    assert run.counted()["dropped"] == 2


def test_what_is_dropped_for_others_is_not_stored_again_by_the_same_group(run: Runner) -> None:
    run.configure(max_length=1, overflow="drop_oldest")
    run.publish("a")
    assert apply(run, publish("b"), publish("a")) == ("ok", [1, 0])
    assert run.consume_ids(9) == ["b"]


def test_an_acknowledged_message_passes_the_turn_of_its_key_on(run: Runner) -> None:
    run.publish(Message("k1", key="k"), Message("k2", key="k", ttl_ms=60_000))
    receipt = run.receipt()
    run.park()
    with heard(run, WOKEN) as woken:
        assert apply(run, ack(receipt), publish(Message("k3", key="k"))).code == "ok"
    assert woken == [f"{SESSION}:1".encode()]
    assert [one.id for one in run.park()] == ["k2"]
    assert run.counted()["waiting"] == 1


def test_the_owner_is_told_of_what_is_due_sooner(run: Runner) -> None:
    apply(run, publish(Message("late", delay_ms=5_000)))
    run.due()
    with heard(run, OWNER) as told:
        apply(run, publish(Message("later", delay_ms=9_000)))
    assert told == []
    with heard(run, OWNER) as told:
        apply(run, publish(Message("sooner", delay_ms=1_000)))
    assert told == [b"@" + run.key("due")]


def test_near_caches_hear_of_each_version_in_order(run: Runner) -> None:
    run.put("old")
    with heard(run, CHANNEL) as invalidations:
        _, results = apply(run, put("k"), invalidate("old"), invalidate("none"), put("k2"))
    first = results[0]
    assert results == [first, 1, 0, first + 3]
    keys = [run.key("entry", name) for name in ("k", "old", "none", "k2")]
    assert invalidations == [b"%d " % (first + place) + key for place, key in enumerate(keys)]


def test_a_put_ends_the_lease_of_whoever_fills_the_key(run: Runner) -> None:
    token = run.granted_fill("k")
    assert apply(run, put("k", b"9")).code == "ok"
    assert run.store("k", b"old", fill_token=token).code == "fill_superseded"


def test_a_tag_removes_what_a_group_stored_with_it(run: Runner) -> None:
    apply(run, put("k", tags=("t", "u")), put("k2", ttl_ms=5_000, tags=("t",)))
    assert run.redis.pttl(run.key("tag", "t")) == -1
    assert run.untag("t", "k", "k2").fields == [2]
    assert (run.get("k"), run.get("k2")) == (None, None)


def test_a_lost_version_counter_stops_groups_that_count_and_no_others(run: Runner) -> None:
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    assert apply(run, publish("a"), put("k")) == ("fence_missing", [])
    assert apply(run, publish("a"), invalidate("k")) == ("fence_missing", [])
    assert run.snapshot() == before
    assert apply(run, publish("a")) == ("ok", [1])


def test_a_repeat_gets_the_first_outcome_of_the_whole_group(run: Runner) -> None:
    operations = whole(run)
    first = apply(run, *operations, request_id="r1")
    run.release("a")
    run.put("k", b"newer")
    run.ack(run.consume(topic="out")[0].receipt, topic="out")
    before = run.snapshot()
    assert apply(run, *operations, request_id="r1") == first
    assert run.snapshot() == before


@contextmanager
def out_of_memory(run: Runner) -> Iterator[None]:
    run.redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        run.redis.config_set("maxmemory", "0")


def test_a_server_out_of_memory_refuses_a_group_untouched(run: Runner) -> None:
    before = run.snapshot()
    with out_of_memory(run), pytest.raises(AssertionError, match="maxmemory"):
        apply(run, publish("next", "out"), put("k"))
    assert run.snapshot() == before


def test_a_group_that_has_begun_to_write_is_done_whole_without_memory(run: Runner) -> None:
    """Redis refuses no command of a script once one has written, and an acknowledgement needs no memory."""
    receipt = received(run)
    with out_of_memory(run):
        assert apply(run, ack(receipt, "in"), publish("next", "out"), put("k")).code == "ok"
    assert (run.counts("in"), run.counts("out")) == ((0, 0, 0), (1, 0, 0))
    assert run.get("k")


def test_a_group_leaves_no_more_behind_than_its_operations_alone(run: Runner) -> None:
    receipt = received(run, "m")
    apply(run, ack(receipt, "in"), publish("next", "out"), put("k", ttl_ms=1_000))
    run.ack(run.consume(topic="out")[0].receipt, topic="out")
    run.pass_time(1_001)
    assert run.kinds() == set()
