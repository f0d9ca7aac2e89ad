"""queue.fire: a tick is published once, at its time, by the owner of the partition, as the schedule is now."""

from typing import Any

import pytest

from tests.lua.runner import SESSION, Runner, heard, now_ms
from tests.lua.test_queue_fan import payloads, subscribe

WAKE = "simpul:test:wake"


def test_a_tick_is_published_once_and_the_next_one_waits(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.fire(tick, tick + 60_000, "one") == ("ok", [1])
    assert run.fire(tick, tick + 60_000, "two") == ("ok", [0])
    assert run.consume_ids(10) == ["one"]
    assert [one[1] for one in run.schedules()] == [b"%d" % (tick + 60_000)]


def test_nothing_is_published_before_its_time(run: Runner) -> None:
    tick = now_ms(run) + 60_000
    run.schedule(tick)
    before = run.snapshot()
    assert run.fire(tick, tick + 60_000, "one") == ("ok", [0])
    assert run.snapshot() == before


def test_a_schedule_that_was_said_anew_publishes_no_more_what_it_was(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    run.schedule(tick, spec="another")
    assert run.fire(tick, tick + 60_000, "old") == ("ok", [0])
    assert run.fire(tick, tick + 60_000, "new", kept="T\nanother") == ("ok", [1])
    assert run.consume_ids(10) == ["new"]


def test_a_schedule_without_a_next_tick_is_gone(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.fire(tick, "", "last") == ("ok", [1])
    assert run.schedules() == []
    assert not run.kinds() & {"schedules", "schedule_names"}
    assert run.ticks().fields[0] == -1


@pytest.mark.parametrize(
    ("settings", "refusal"), [({"max_length": 1}, ("topic_full", [1])), ({"paused_in": True}, ("topic_paused", []))]
)
def test_a_topic_that_takes_nothing_keeps_the_tick_due(
    run: Runner, settings: dict[str, Any], refusal: tuple[str, list[int]]
) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    run.publish("first")
    run.configure(**settings)
    before = run.snapshot()
    assert run.fire(tick, tick + 60_000, "one") == refusal
    assert run.snapshot() == before


def test_a_consumer_that_waits_is_woken_by_a_tick(run: Runner) -> None:
    run.park(1)
    tick = now_ms(run) - 5
    run.schedule(tick)
    with heard(run, f"{WAKE}:{SESSION}") as messages:
        run.fire(tick, tick + 60_000, "one")
    assert len(messages) == 1


def test_an_owner_that_was_replaced_publishes_nothing(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.ticks(assignment=2, node="n2").code == "ok"
    before = run.snapshot()
    assert run.ticks(assignment=1, node="n1") == ("duty_stale", [b"2 n2"])
    assert run.fire(tick, tick + 60_000, "one", assignment=1, node="n1") == ("duty_stale", [b"2 n2"])
    assert run.snapshot() == before


def test_a_tick_goes_to_all_subscriptions_and_its_payload_is_stored_once(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    for name in ("a", "b"):
        subscribe(run, name)
    before = run.snapshot()
    assert run.fire(tick, tick + 60_000, "one") == ("topic_subscribed", [b"a", b"b"])
    assert run.fire(tick, tick + 60_000, "one", to="a") == ("topic_subscribed", [b"a", b"b"])
    assert run.snapshot() == before
    assert run.fire(tick, tick + 60_000, "one", to="ab") == ("ok", [1])
    assert payloads(run) == {b"one": b"{}", b"\1one": b"2"}
    assert [run.consume_ids(topic=f"topic\1{name}") for name in ("a", "b", "b")] == [["one"], ["one"], []]
    assert run.counts() == (0, 0, 0)


def test_a_tick_is_refused_whole_while_one_subscription_takes_nothing(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    for name in ("a", "b"):
        subscribe(run, name)
    run.configure(topic="topic\1b", paused_in=True)
    before = run.snapshot()
    assert run.fire(tick, tick + 60_000, "one", to="ab") == ("topic_paused", [])
    assert run.snapshot() == before


def test_a_tick_of_a_topic_whose_subscriptions_are_gone_goes_to_itself(run: Runner) -> None:
    tick = now_ms(run) - 5
    run.schedule(tick)
    assert run.fire(tick, tick + 60_000, "one", to="a") == ("topic_subscribed", [])
    assert run.fire(tick, tick + 60_000, "one") == ("ok", [1])
    assert run.consume_ids() == ["one"]
