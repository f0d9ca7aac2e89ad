"""queue.purge: what is removed for good, and what stays."""

import pytest

from tests.lua.runner import Message, Runner


def fill(run: Runner) -> str:
    """Two messages in each state; a receipt of one in flight."""
    run.publish("dead1", "dead2", "fly1", "fly2")
    dead = run.consume(2)
    for one in dead:
        run.hand_back(one.receipt, reason="bad")
    receipt = run.consume(2)[0].receipt
    run.publish("ready1", Message("ready2", priority=4))
    run.publish(Message("late1", delay_ms=60_000), Message("late2", delay_ms=60_000))
    run.publish(Message("k1", key="k"), Message("wait1", key="k"), Message("wait2", key="k"))
    return receipt


def states(run: Runner) -> dict[str, int]:
    counted = run.counted()
    return {name: counted[name] for name in ("ready", "delayed", "inflight", "waiting", "dead")}


@pytest.mark.parametrize("state", ["ready", "delayed", "waiting", "dead"])
def test_only_what_is_in_the_state_is_removed(run: Runner, state: str) -> None:
    receipt = fill(run)
    before = states(run)
    # The next of the key that was ready is ready then.
    is_followed = state == "ready"
    assert run.purge(state).fields == [before[state], int(is_followed)]
    after = {**before, state: 0}
    if is_followed:
        after |= {"ready": 1, "waiting": before["waiting"] - 1}
    assert states(run) == after
    assert run.ack(receipt) == ["ok"]


def test_some_are_removed_by_name_in_whatever_state_but_in_flight(run: Runner) -> None:
    receipt = fill(run)
    assert run.purge("", "dead1", "fly1", "ready1", "ready2", "late1", "wait1", "none").fields == [5, 0]
    assert states(run) == {"ready": 1, "delayed": 1, "inflight": 2, "waiting": 1, "dead": 1}
    assert run.ack(receipt) == ["ok"]
    assert run.consume_ids(9) == ["k1"]


def test_a_message_removed_by_name_is_not_counted_delivered_or_in_the_way(run: Runner) -> None:
    run.publish(*"abc")
    run.purge("", "b")
    assert run.counts() == (2, 0, 0)
    run.publish("b")
    assert run.consume_ids(9) == ["a", "c", "b"]
    assert run.redis.exists(run.key("ghosts", "topic")) == 0


def test_a_topic_goes_with_all_it_has(run: Runner) -> None:
    fill(run)
    run.configure(max_deliveries=3, dedup_ms=60_000)
    before = run.snapshot()
    assert run.purge("topic") == ("topic_in_use", [b"inflight"])
    assert run.snapshot() == before
    assert run.purge("topic", is_forced="1").fields == [11, 0]
    assert run.kinds() == set()


def test_a_large_topic_goes_in_several_calls_and_nothing_comes_back_meanwhile(run: Runner) -> None:
    for batch in range(3):
        run.publish(*(f"m{batch}-{number}" for number in range(1_000)))
    calls = 0
    more = 1
    while more:
        _, more = run.purge("topic").fields
        calls += 1
    assert calls == 3
    assert run.kinds() == set()


def test_a_thousand_are_removed_at_the_most(run: Runner) -> None:
    for batch in range(2):
        run.publish(*(f"m{batch}-{number}" for number in range(1_000)))
    assert run.purge("ready").fields == [1_000, 1]
    assert run.counts() == (1_000, 0, 0)


def test_a_topic_of_which_there_is_nothing_cannot_be_deleted(run: Runner) -> None:
    assert run.purge("topic").code == "topic_unknown"
    run.configure(max_deliveries=3)
    assert run.purge("topic") == ("ok", [0, 0])
    run.publish("a")
    assert run.purge("topic") == ("ok", [1, 0])
    assert run.purge("topic", is_forced="1").code == "topic_unknown"
    assert run.kinds() == set()
