"""Consumers that wait: whom a message wakes, and that each is kept for the one it woke."""

from collections.abc import Callable

import pytest

from tests.lua.runner import SESSION, SESSION_MS, Message, Runner, heard

CHANNEL = f"simpul:test:wake:{SESSION}"


def woken(messages: list[bytes]) -> list[int]:
    return [int(message.rpartition(b":")[2]) for message in messages]


def park(run: Runner, *numbers: int, session: str = SESSION) -> None:
    for number in numbers:
        assert run.park(number, session=session) == []


def test_one_consumer_is_woken_for_each_message_in_the_order_of_their_coming(run: Runner) -> None:
    park(run, 1, 2, 3)
    with heard(run, CHANNEL) as messages:
        run.publish("a")
    assert woken(messages) == [1]
    with heard(run, CHANNEL) as messages:
        run.publish("b")
    assert woken(messages) == [2]
    with heard(run, CHANNEL) as messages:
        run.publish("c", "d", "e")
    assert woken(messages) == [3]


def test_a_consumer_that_comes_later_gets_no_message_kept_for_one_that_was_woken(run: Runner) -> None:
    park(run, 1)
    run.publish("a")
    assert run.consume_ids(9) == []
    run.publish("b")
    assert run.consume_ids(9) == ["a"], "one of two is kept"
    assert [one.id for one in run.park(1)] == ["b"]


def test_a_consumer_woken_in_vain_is_the_first_in_line_again(run: Runner) -> None:
    park(run, 1, 2)
    run.publish("a")
    run.purge("ready")
    park(run, 1)
    with heard(run, CHANNEL) as messages:
        run.publish("b")
    assert woken(messages) == [1]


def test_a_consumer_that_asks_again_keeps_its_place(run: Runner) -> None:
    park(run, 1, 2)
    park(run, 1)
    with heard(run, CHANNEL) as messages:
        run.publish("a")
    assert woken(messages) == [1]


def test_a_message_kept_in_vain_is_offered_to_the_next(run: Runner) -> None:
    park(run, 1, 2)
    run.publish("a")
    run.pass_time(1_001)
    with heard(run, CHANNEL) as messages:
        run.tend()
    assert woken(messages) == [2]
    assert [one.id for one in run.park(2)] == ["a"]
    assert [one.id for one in run.consume(1)] == []


def test_a_consumer_that_does_not_come_is_out_of_the_line(run: Runner) -> None:
    park(run, 1)
    run.publish("a")
    run.pass_time(1_001)
    assert run.tend().fields[1] == -1
    assert run.counted()["takers"] == 0
    assert run.consume_ids(1) == ["a"]


def test_a_consumer_of_a_node_that_is_gone_is_passed_over(run: Runner) -> None:
    park(run, 1, session="dead")
    run.pass_time(SESSION_MS + 1)
    park(run, 2)
    with heard(run, CHANNEL) as messages:
        run.publish("a")
    assert woken(messages) == [2]
    assert run.counted()["takers"] == 1


@pytest.mark.parametrize("event", ["delay", "lapse", "nack", "kick", "resume", "concurrency", "key", "withdraw"])
def test_whatever_makes_a_message_available_wakes_a_consumer(run: Runner, event: str) -> None:
    receipt = ""
    if event == "delay":
        run.publish(Message("a", delay_ms=1_000))
    elif event == "kick":
        run.publish(Message("a", delay_ms=60_000))
    elif event == "resume":
        run.configure(paused_out=True)
        run.publish("a")
    elif event == "withdraw":
        park(run, 9)
        run.publish("a")
    else:
        run.configure(concurrency=1)
        run.publish(Message("a", key="k"), Message("b", key="k" if event == "key" else ""))
        receipt = run.receipt(1_000)
    park(run, 1)
    if event in ("delay", "lapse"):
        run.pass_time(1_001)
    acts: dict[str, Callable[[], object]] = {
        "delay": run.tend,
        "lapse": run.tend,
        "nack": lambda: run.nack(receipt),
        "kick": lambda: run.kick("delayed"),
        "resume": lambda: run.configure(paused_out=""),
        "concurrency": lambda: run.ack(receipt),
        "key": lambda: run.ack(receipt),
        "withdraw": lambda: run.withdraw_taker(9),
    }
    with heard(run, CHANNEL) as messages:
        acts[event]()
    assert woken(messages) == [1]
    assert len(run.park(1)) == 1


def test_nobody_is_woken_for_what_may_not_be_delivered(run: Runner) -> None:
    run.configure(concurrency=1)
    run.publish("a")
    receipt = run.receipt()
    park(run, 1, 2)
    with heard(run, CHANNEL) as messages:
        run.publish("b", "c")
    assert messages == []
    with heard(run, CHANNEL) as messages:
        run.ack(receipt)
    assert woken(messages) == [1]


def test_a_consumer_that_waits_for_the_rate_is_woken_at_its_time(run: Runner) -> None:
    run.configure(rate_per_s=1)
    run.publish("a", "b")
    run.consume(1)
    park(run, 1)
    left_ms = run.due().fields[0]
    assert 0 <= left_ms <= 1_000
    run.pass_time(1_000)
    with heard(run, CHANNEL) as messages:
        run.tend()
    assert woken(messages) == [1]


def test_a_consumer_that_leaves_is_out_of_the_line(run: Runner) -> None:
    park(run, 1, 2)
    assert run.consume(1, taker=f"{SESSION}:1") == []
    with heard(run, CHANNEL) as messages:
        run.publish("a")
    assert woken(messages) == [2]


def test_a_line_leaves_nothing(run: Runner) -> None:
    park(run, 1)
    run.publish("a")
    run.ack(run.park(1, visibility_ms=1_000)[0].receipt)
    run.pass_time(SESSION_MS)
    run.tend()
    assert run.kinds() == set()
