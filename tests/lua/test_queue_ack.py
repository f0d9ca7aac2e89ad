"""queue.ack: what is gone for good, in batches and by id alone. Refusals: test_queue_receipts.py."""

from tests.lua.runner import GENERATION, Runner


def test_an_acknowledged_message_never_comes_back_and_leaves_nothing(run: Runner) -> None:
    run.publish("a")
    assert run.ack(run.receipt(1_000)) == ["ok"]
    assert run.kinds() == set()
    run.pass_time(5_000)
    assert run.consume() == []
    assert run.kinds() == set()


def test_an_id_alone_acknowledges_the_current_delivery_of_any_generation(run: Runner) -> None:
    run.publish("a")
    run.receipt()
    run.install(GENERATION + 1)
    assert run.ack("a") == ["ok"]
    assert run.ack("a") == ["already_acked"]


def test_an_id_alone_is_refused_when_nothing_is_in_flight(run: Runner) -> None:
    run.publish("a")
    assert run.ack("a") == ["receipt_expired"]
    run.receipt(1_000)
    run.pass_time(1_001)
    assert run.ack("a") == ["receipt_expired"]


def test_one_refusal_in_a_batch_does_not_touch_the_others(run: Runner) -> None:
    run.publish("a", "b", "c")
    first, second, third = (one.receipt for one in run.consume(3))
    run.nack(second)
    assert run.ack(first, second, "none", first, third) == [
        "ok",
        "receipt_expired",
        "already_acked",
        "already_acked",
        "ok",
    ]
    assert run.counts() == (1, 0, 0)


def test_a_thousand_are_acknowledged_together(run: Runner) -> None:
    run.publish(*(f"m{number}" for number in range(1_000)))
    receipts = [one.receipt for _ in range(10) for one in run.consume(100)]
    assert run.ack(*receipts) == ["ok"] * 1_000
    assert run.kinds() == set()


def test_a_repeated_ack_gets_the_first_answer(run: Runner) -> None:
    run.publish("a", "b")
    receipt = run.receipt()
    assert run.ack(receipt, "b", request_id="r1") == ["ok", "receipt_expired"]
    run.receipt()
    assert run.ack(receipt, "b", request_id="r1") == ["ok", "receipt_expired"]
    assert run.counts() == (0, 0, 1), "what was refused the first time is not acknowledged by the repeat"


def test_an_ack_that_acknowledged_nothing_is_judged_again(run: Runner) -> None:
    run.publish("a")
    assert run.ack("a", request_id="r1") == ["receipt_expired"]
    run.receipt()
    assert run.ack("a", request_id="r1") == ["ok"]
