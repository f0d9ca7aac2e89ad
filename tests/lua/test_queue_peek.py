"""queue.peek: what is seen of the messages in each state."""

import pytest

from service.queue.records import last_delivery
from tests.lua.runner import Message, Runner


def test_each_state_is_shown_in_its_order(run: Runner) -> None:
    run.publish(
        "a", "b", Message("high", priority=9), Message("late", delay_ms=60_000), Message("later", delay_ms=90_000)
    )
    run.publish(Message("k1", key="k"), Message("k2", key="k"), Message("k3", key="k"))
    assert run.peek_ids("ready") == ["high", "a", "b", "k1"]
    assert run.peek_ids("delayed") == ["late", "later"]
    assert run.peek_ids("waiting") == ["k2", "k3"]
    run.consume(2)
    assert run.peek_ids("ready") == ["b", "k1"]
    assert run.peek_ids("inflight") == ["high", "a"]


def test_a_dead_letter_shows_why_it_died_how_often_it_was_delivered_and_to_whom(run: Runner) -> None:
    run.publish(Message("a", b"[1]", key="k"), "b")
    for receipt in (run.receipt(), run.receipt()):
        run.hand_back(receipt, reason="no such customer")
    for (message_id, died_ms, delivered, record, reason), name in zip(run.peek("dead"), "ab", strict=True):
        assert message_id.decode() == name
        assert int(died_ms) > 0
        assert last_delivery(delivered) == (1, "c1")
        assert reason == b"no such customer"
        assert record


def test_pages_follow_each_other_through_both_kinds_of_ready(run: Runner) -> None:
    run.publish(*(Message(f"h{number}", priority=1) for number in range(5)), *(f"m{number}" for number in range(5)))
    seen: list[str] = []
    offset = 0
    while offset >= 0 and len(seen) < 20:
        reply = run.call("queue.peek", "topic", state="ready", offset=offset, limit=3)
        offset = reply.fields[0]
        seen += [one.decode() for one in reply.fields[1::5]]
    assert seen == [f"h{number}" for number in range(5)] + [f"m{number}" for number in range(5)]


def test_a_hundred_are_shown_at_the_most(run: Runner) -> None:
    run.publish(*(f"m{number}" for number in range(150)))
    assert len(run.peek("ready", limit=1_000)) == 100


def test_a_page_ends_with_four_mebibytes(run: Runner) -> None:
    run.publish(*(Message(f"m{number}", bytes(1_000_000)) for number in range(6)))
    reply = run.call("queue.peek", "topic", state="ready", offset=0, limit=100)
    assert reply.fields[0] == 5
    assert len(run.peek("ready", offset=5)) == 1


@pytest.mark.parametrize("state", ["ready", "delayed", "inflight", "waiting", "dead"])
def test_a_topic_without_messages_shows_none(run: Runner, state: str) -> None:
    assert run.call("queue.peek", "topic", state=state, offset=0, limit=10) == ("ok", [-1])


def test_what_was_removed_and_published_again_is_shown_once_in_its_place(run: Runner) -> None:
    run.publish(*"abcd")
    run.purge("", "a", "b")
    run.publish("a", "e")
    run.purge("", "a")
    run.publish("a")
    assert run.peek_ids("ready") == ["c", "d", "e", "a"]
    pages = [run.peek_ids("ready", offset=offset, limit=2) for offset in range(0, 10, 2)]
    assert [one for page in pages for one in page] == run.consume_ids(9)
