"""queue.left: how long a delivery has left. Refusals: test_queue_receipts.py."""

from tests.lua.runner import Runner, delivery_named


def left(run: Runner, receipt: str) -> list[int]:
    reply = run.call("queue.left", "topic", **delivery_named(receipt))
    assert reply.code == "ok", reply
    return reply.fields


def test_what_is_left_and_since_when_is_told(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt(60_000)
    left_ms, since_ms = left(run, receipt)
    assert 30_000 < left_ms <= 60_000
    assert 0 <= since_ms < 30_000


def test_what_is_left_shrinks_with_time_and_grows_with_an_extension(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt(60_000)
    run.pass_time(50_000)
    assert left(run, receipt)[0] <= 10_000
    run.extend(receipt, 90_000)
    assert left(run, receipt)[0] > 60_000
