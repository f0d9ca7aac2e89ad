"""queue.extend: how long a delivery stays invisible after it. Refusals: test_queue_receipts.py."""

from tests.lua.runner import Runner, delivery_named


def test_an_extension_sets_the_time_left_and_never_adds(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt(60_000)
    for _ in range(3):
        assert run.extend(receipt, 30_000) == "ok"
    run.pass_time(25_000)
    assert run.counts() == (0, 0, 1)
    run.pass_time(5_001)
    assert run.counts() == (1, 0, 0)


def test_an_extended_delivery_outlives_its_first_end(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt(5_000)
    run.extend(receipt, 60_000)
    run.pass_time(30_000)
    assert run.consume() == []
    assert run.ack(receipt) == ["ok"]


def test_a_repeat_never_calls_a_delivery_extended_that_has_lapsed_since(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt()
    assert run.extend(receipt, 10_000, request_id="r1") == "ok"
    assert run.extend(receipt, 10_000, request_id="r1") == "ok"
    run.pass_time(10_001)
    assert run.extend(receipt, 10_000, request_id="r1") == "receipt_expired"


def test_a_repeat_does_not_extend_a_second_time(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt()
    run.extend(receipt, 60_000, request_id="r1")
    run.extend(receipt, 10_000)
    run.extend(receipt, 60_000, request_id="r1")
    run.pass_time(10_001)
    assert run.counts() == (1, 0, 0)


def test_one_delivery_lasts_twelve_hours_at_the_most(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt(43_200_000)
    before = run.snapshot()
    reply = run.call("queue.extend", "topic", visibility_ms=43_200_001, **delivery_named(receipt))
    assert reply.code == "extension_too_long"
    assert 43_000_000 < reply.fields[0] <= 43_200_000
    assert run.snapshot() == before
    assert run.extend(receipt, 43_000_000) == "ok"
