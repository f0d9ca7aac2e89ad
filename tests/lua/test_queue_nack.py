"""queue.nack: where a message that is given back waits. Refusals: test_queue_receipts.py."""

from tests.lua.runner import Runner


def test_a_message_given_back_comes_next_and_keeps_its_count(run: Runner) -> None:
    run.publish("a", "b")
    assert run.nack(run.receipt()) == "ok"
    again = run.consume(2)
    assert [(one.id, one.attempt) for one in again] == [("a", 2), ("b", 1)]


def test_a_message_given_back_with_a_delay_waits_for_it(run: Runner) -> None:
    run.publish("a")
    assert run.nack(run.receipt(), 10_000) == "ok"
    assert run.counts() == (0, 1, 0)
    run.pass_time(9_000)
    assert run.consume() == []
    run.pass_time(1_001)
    assert run.consume()[0].attempt == 2


def test_a_repeated_nack_does_not_hand_back_the_next_delivery(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt()
    assert run.nack(receipt, request_id="r1") == "ok"
    run.receipt()
    assert run.nack(receipt, request_id="r1") == "ok"
    assert run.counts() == (0, 0, 1)
