"""queue.ack, queue.nack and queue.extend: only a current delivery can be settled, and each settles it its own way."""

from collections.abc import Callable

import pytest

from tests.lua.runner import GENERATION, Runner, now_ms

Settle = Callable[[Runner, str], str]

SETTLES: dict[str, Settle] = {
    "ack": lambda run, receipt: run.ack(receipt)[0],
    "nack": lambda run, receipt: run.nack(receipt),
    "extend": lambda run, receipt: run.extend(receipt, 60_000),
}
each_settle = pytest.mark.parametrize("settle", SETTLES.values(), ids=SETTLES.keys())


def delivered(run: Runner, visibility_ms: int = 60_000) -> str:
    """The receipt of the next message."""
    (one,) = run.consume(visibility_ms=visibility_ms)
    return one.receipt


def refused_untouched(run: Runner, settle: Settle, receipt: str) -> str:
    before = run.snapshot()
    code = settle(run, receipt)
    assert run.snapshot() == before
    return code


@each_settle
def test_a_delivery_that_lapsed_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    receipt = delivered(run, 1_000)
    run.pass_time(1_001)
    assert refused_untouched(run, settle, receipt) == "receipt_expired"
    run.publish("b")
    run.consume(1)
    assert run.counts() == (1, 0, 1)


@each_settle
def test_a_stale_receipt_is_refused_once_the_message_is_delivered_again(run: Runner, settle: Settle) -> None:
    run.publish("a")
    stale = delivered(run, 1_000)
    run.pass_time(1_001)
    current = delivered(run)
    assert refused_untouched(run, settle, stale) == "receipt_superseded"
    assert settle(run, current) == "ok"


@each_settle
def test_a_receipt_of_another_generation_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    receipt = delivered(run)
    run.install(GENERATION + 1)
    assert refused_untouched(run, settle, receipt) == "receipt_superseded"


@each_settle
def test_a_receipt_of_an_acknowledged_message_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a", "b")
    receipt = delivered(run)
    run.ack(receipt)
    assert refused_untouched(run, settle, receipt) == "already_acked"


@each_settle
def test_a_message_that_never_was_is_refused(run: Runner, settle: Settle) -> None:
    assert refused_untouched(run, settle, f"{GENERATION}.1.1700000000000.none") == "already_acked"


@each_settle
def test_a_message_never_delivered_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    assert refused_untouched(run, settle, f"{GENERATION}.1.1700000000000.a") == "receipt_expired"


@each_settle
def test_a_message_given_back_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    receipt = delivered(run)
    run.nack(receipt)
    assert refused_untouched(run, settle, receipt) == "receipt_expired"


@each_settle
def test_a_receipt_of_an_earlier_message_with_the_same_id_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    earlier = delivered(run)
    run.ack(earlier)
    delivered_ms = int(earlier.split(".")[2])
    while now_ms(run) == delivered_ms:
        pass
    run.publish("a")
    later = delivered(run)
    assert refused_untouched(run, settle, earlier) == "receipt_superseded"
    assert settle(run, later) == "ok"


# -- ack


def test_an_acknowledged_message_never_comes_back_and_leaves_nothing(run: Runner) -> None:
    run.publish("a")
    assert run.ack(delivered(run, 1_000)) == ["ok"]
    run.pass_time(5_000)
    assert run.consume() == []
    assert run.kinds() == set()


def test_an_id_alone_acknowledges_the_current_delivery_of_any_generation(run: Runner) -> None:
    run.publish("a")
    delivered(run)
    run.install(GENERATION + 1)
    assert run.ack("a") == ["ok"]
    assert run.ack("a") == ["already_acked"]


def test_an_id_alone_is_refused_when_nothing_is_in_flight(run: Runner) -> None:
    run.publish("a")
    assert run.ack("a") == ["receipt_expired"]
    delivered(run, 1_000)
    run.pass_time(1_001)
    assert run.ack("a") == ["receipt_expired"]


def test_one_refusal_in_a_batch_does_not_touch_the_others(run: Runner) -> None:
    run.publish("a", "b", "c")
    first, second, third = (one.receipt for one in run.consume(3))
    run.nack(second)
    assert run.ack(first, second, "none", first, third) == ["ok", "receipt_expired", "already_acked", "already_acked", "ok"]
    assert run.counts() == (1, 0, 0)


def test_a_thousand_are_acknowledged_together(run: Runner) -> None:
    run.publish(*(f"m{number}" for number in range(1_000)))
    receipts = [one.receipt for _ in range(10) for one in run.consume(100)]
    assert run.ack(*receipts) == ["ok"] * 1_000
    assert run.kinds() == set()


def test_a_repeated_ack_gets_the_first_answer(run: Runner) -> None:
    run.publish("a", "b")
    receipt = delivered(run)
    assert run.ack(receipt, "b", request_id="r1") == ["ok", "receipt_expired"]
    delivered(run)
    assert run.ack(receipt, "b", request_id="r1") == ["ok", "receipt_expired"]
    assert run.counts() == (0, 0, 1), "what was refused the first time is not acknowledged by the repeat"


def test_an_ack_that_acknowledged_nothing_is_judged_again(run: Runner) -> None:
    run.publish("a")
    assert run.ack("a", request_id="r1") == ["receipt_expired"]
    delivered(run)
    assert run.ack("a", request_id="r1") == ["ok"]


# -- nack


def test_a_message_given_back_comes_next_and_keeps_its_count(run: Runner) -> None:
    run.publish("a", "b")
    assert run.nack(delivered(run)) == "ok"
    again = run.consume(2)
    assert [(one.id, one.attempt) for one in again] == [("a", 2), ("b", 1)]


def test_a_message_given_back_with_a_delay_waits_for_it(run: Runner) -> None:
    run.publish("a")
    assert run.nack(delivered(run), 10_000) == "ok"
    assert run.counts() == (0, 1, 0)
    run.pass_time(9_000)
    assert run.consume() == []
    run.pass_time(1_001)
    assert run.consume()[0].attempt == 2


def test_a_repeated_nack_does_not_give_back_the_next_delivery(run: Runner) -> None:
    run.publish("a")
    receipt = delivered(run)
    assert run.nack(receipt, request_id="r1") == "ok"
    delivered(run)
    assert run.nack(receipt, request_id="r1") == "ok"
    assert run.counts() == (0, 0, 1)


# -- extend


def test_an_extension_sets_the_time_left_and_never_adds(run: Runner) -> None:
    run.publish("a")
    receipt = delivered(run, 60_000)
    for _ in range(3):
        assert run.extend(receipt, 30_000) == "ok"
    run.pass_time(25_000)
    assert run.counts() == (0, 0, 1)
    run.pass_time(5_001)
    assert run.counts() == (1, 0, 0)


def test_an_extended_delivery_outlives_its_first_end(run: Runner) -> None:
    run.publish("a")
    receipt = delivered(run, 5_000)
    run.extend(receipt, 60_000)
    run.pass_time(30_000)
    assert run.consume() == []
    assert run.ack(receipt) == ["ok"]


def test_a_repeat_never_calls_a_delivery_extended_that_has_lapsed_since(run: Runner) -> None:
    run.publish("a")
    receipt = delivered(run)
    assert run.extend(receipt, 10_000, request_id="r1") == "ok"
    assert run.extend(receipt, 10_000, request_id="r1") == "ok"
    run.pass_time(10_001)
    assert run.extend(receipt, 10_000, request_id="r1") == "receipt_expired"


def test_a_repeat_does_not_extend_a_second_time(run: Runner) -> None:
    run.publish("a")
    receipt = delivered(run)
    run.extend(receipt, 60_000, request_id="r1")
    run.extend(receipt, 10_000)
    run.extend(receipt, 60_000, request_id="r1")
    run.pass_time(10_001)
    assert run.counts() == (1, 0, 0)
