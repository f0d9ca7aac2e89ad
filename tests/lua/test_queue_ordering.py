"""Messages with an ordering key: one at a time, in the order in which they came, whatever happens to them."""

import pytest

from tests.lua.runner import Message, Runner


def keyed(*ids: str, key: str = "k") -> list[Message]:
    return [Message(name, key=key) for name in ids]


def test_of_one_key_one_is_delivered_at_a_time_and_others_in_parallel(run: Runner) -> None:
    run.publish(*keyed("a1", "a2", key="a"), *keyed("b1", "b2", key="b"), "free")
    first = run.consume(9)
    assert [one.id for one in first] == ["a1", "b1", "free"]
    assert run.counted()["waiting"] == 2
    assert run.ack(first[0].receipt) == ["ok"]
    assert run.consume_ids(9) == ["a2"]


def test_a_message_given_back_comes_before_the_next_of_its_key(run: Runner) -> None:
    run.publish(*keyed("a", "b", "c"))
    run.nack(run.receipt())
    (again,) = run.consume(9)
    assert (again.id, again.attempt) == ("a", 2)
    run.nack(again.receipt, 1_000)
    assert run.consume_ids(9) == [], "the next one waits for the one that waits"
    run.pass_time(1_001)
    assert run.consume_ids(9) == ["a"]


def test_a_lapsed_message_comes_before_the_next_of_its_key(run: Runner) -> None:
    run.publish(*keyed("a", "b"))
    run.consume(9, visibility_ms=1_000)
    run.pass_time(1_001)
    assert run.consume_ids(9) == ["a"]


@pytest.mark.parametrize("end", ["ack", "bury", "death", "life", "purge"])
def test_whatever_ends_a_message_lets_the_next_of_its_key_come(run: Runner, end: str) -> None:
    run.configure(max_deliveries=1)
    run.publish(Message("a", key="k", ttl_ms=10_000 if end == "life" else 0), *keyed("b", "c"))
    if end == "purge":
        assert run.purge("", "a").fields == [1, 0]
    elif end == "life":
        run.pass_time(10_001)
        run.tend()
    else:
        receipt = run.receipt()
        if end == "ack":
            run.ack(receipt)
        else:
            run.hand_back(receipt, reason="bad" if end == "bury" else "")
    assert run.consume_ids(9) == ["b"]


def test_a_message_that_is_removed_while_it_waits_is_passed_over(run: Runner) -> None:
    run.publish(*keyed("a", "b", "c"))
    assert run.purge("", "b").fields == [1, 0]
    run.ack(run.receipt())
    assert run.consume_ids(9) == ["c"]


def test_a_delayed_message_takes_its_place_in_the_line_when_it_is_due(run: Runner) -> None:
    run.publish(Message("late", key="k", delay_ms=1_000), *keyed("a", "b"))
    run.pass_time(1_001)
    seen = []
    while batch := run.consume(9):
        seen += [one.id for one in batch]
        run.ack(*(one.receipt for one in batch))
    assert seen == ["a", "b", "late"]


def test_a_key_may_have_several_under_way_if_that_is_set(run: Runner) -> None:
    run.configure(key_concurrency=2)
    run.publish(*keyed("a", "b", "c"))
    first, second = run.consume(9)
    assert (first.id, second.id) == ("a", "b")
    run.ack(second.receipt)
    assert run.consume_ids(9) == ["c"]


def test_how_many_of_a_key_are_under_way_is_not_changed_while_some_are(run: Runner) -> None:
    run.publish(*keyed("a", "b"))
    before = run.snapshot()
    assert run.configure(key_concurrency=2) == ("topic_in_use", [b"key_concurrency"])
    assert run.snapshot() == before


def test_a_redriven_message_goes_to_the_end_of_its_line(run: Runner) -> None:
    run.publish(*keyed("a", "b", "c"))
    run.hand_back(run.receipt(), reason="bad")
    run.kick("dead")
    seen = []
    while batch := run.consume(9):
        seen += [one.id for one in batch]
        run.ack(*(one.receipt for one in batch))
    assert seen == ["b", "c", "a"]


def test_keys_that_begin_alike_do_not_meet(run: Runner) -> None:
    run.publish(*keyed("a1", "a2", key="a"), *keyed("aa1", "aa2", key="aa"), *keyed("x", "y", key="a 1"))
    first = run.consume(9)
    assert [one.id for one in first] == ["a1", "aa1", "x"]
    run.ack(first[0].receipt)
    run.ack(run.consume(9)[0].receipt)
    assert run.consume_ids(9) == [], "a2 was the last of its key"
    run.ack(first[1].receipt)
    run.ack(first[2].receipt)
    assert run.consume_ids(9) == ["aa2", "y"]


def test_keys_leave_nothing_once_their_messages_are_gone(run: Runner) -> None:
    run.publish(*keyed("a", "b"), *keyed("c", key="other"))
    while batch := run.consume(9, visibility_ms=1_000):
        run.ack(*(one.receipt for one in batch))
    assert run.kinds() == {"settings", "flow"}
    run.pass_time(1_001)
    run.tend()
    assert run.kinds() == set()
