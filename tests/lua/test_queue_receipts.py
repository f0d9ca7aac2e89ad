"""queue.ack, queue.nack and queue.extend: only a current delivery can be settled, and each settles it its own way."""

from collections.abc import Callable

import pytest

from tests.lua.runner import GENERATION, Runner, delivery_named, now_ms

Settle = Callable[[Runner, str], str]

SETTLES: dict[str, Settle] = {
    "ack": lambda run, receipt: run.ack(receipt)[0],
    "nack": lambda run, receipt: run.nack(receipt),
    "extend": lambda run, receipt: run.extend(receipt, 60_000),
    "left": lambda run, receipt: run.call("queue.left", "topic", **delivery_named(receipt)).code,
}
each_settle = pytest.mark.parametrize("settle", SETTLES.values(), ids=SETTLES.keys())


def refused_untouched(run: Runner, settle: Settle, receipt: str) -> str:
    before = run.snapshot()
    code = settle(run, receipt)
    assert run.snapshot() == before
    return code


@each_settle
def test_a_delivery_that_lapsed_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    receipt = run.receipt(1_000)
    run.pass_time(1_001)
    assert refused_untouched(run, settle, receipt) == "receipt_expired"
    run.publish("b")
    run.consume(1)
    assert run.counts() == (1, 0, 1)


@each_settle
def test_a_stale_receipt_is_refused_once_the_message_is_delivered_again(run: Runner, settle: Settle) -> None:
    run.publish("a")
    stale = run.receipt(1_000)
    run.pass_time(1_001)
    current = run.receipt()
    assert refused_untouched(run, settle, stale) == "receipt_superseded"
    assert settle(run, current) == "ok"


@each_settle
def test_a_receipt_of_another_generation_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    receipt = run.receipt()
    run.install(GENERATION + 1)
    assert refused_untouched(run, settle, receipt) == "receipt_superseded"


@each_settle
def test_a_receipt_of_an_acknowledged_message_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a", "b")
    receipt = run.receipt()
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
    receipt = run.receipt()
    run.nack(receipt)
    assert refused_untouched(run, settle, receipt) == "receipt_expired"


@each_settle
def test_a_receipt_of_an_earlier_message_with_the_same_id_is_refused(run: Runner, settle: Settle) -> None:
    run.publish("a")
    earlier = run.receipt()
    run.ack(earlier)
    delivered_ms = int(earlier.split(".")[2])
    while now_ms(run) == delivered_ms:
        pass
    run.publish("a")
    later = run.receipt()
    assert refused_untouched(run, settle, earlier) == "receipt_superseded"
    assert settle(run, later) == "ok"
