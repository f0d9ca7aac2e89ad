"""queue.due: which topics the owner is to tend, when the next one is, and that it is told when one comes sooner."""

from tests.lua.runner import Message, Runner, heard

WAKE = "simpul:test:wake"
NOTHING = ("ok", [-1])


def test_where_nothing_is_due_nothing_is_asked_again(run: Runner) -> None:
    assert run.due() == NOTHING
    run.publish("a")
    assert run.due() == NOTHING


def test_the_time_until_the_next_and_those_that_are_due_are_told(run: Runner) -> None:
    run.publish(Message("a", delay_ms=60_000), topic="t1")
    run.publish(Message("a", delay_ms=30_000), topic="t2")
    (left_ms,) = run.due().fields
    assert 0 < left_ms <= 30_000
    run.pass_time(40_000)
    assert run.due().fields == [0, run.key("ready", "t2")]
    run.tend("t2")
    (left_ms,) = run.due().fields
    assert 0 < left_ms <= 20_000


def test_the_owner_is_told_of_what_comes_sooner_and_of_nothing_else(run: Runner) -> None:
    run.due()
    with heard(run, WAKE) as messages:
        run.publish(Message("a", delay_ms=60_000))
    assert messages == [b"@" + run.key("due")]
    run.due()
    with heard(run, WAKE) as messages:
        run.publish(Message("b", delay_ms=70_000))
        run.publish(Message("c", delay_ms=70_000), topic="other")
    assert messages == []
    with heard(run, WAKE) as messages:
        run.publish(Message("d", delay_ms=50_000))
    assert len(messages) == 1


def test_a_delivery_a_life_and_an_extension_are_due_when_they_end(run: Runner) -> None:
    run.publish("a")
    run.consume(1, visibility_ms=60_000)
    assert 30_000 < run.due().fields[0] <= 60_000
    run.publish("b")
    (delivered,) = run.consume(1, visibility_ms=90_000)
    run.extend(delivered.receipt, 20_000)
    assert 10_000 < run.due().fields[0] <= 20_000
    run.publish(Message("c", ttl_ms=9_000))
    assert 1_000 < run.due().fields[0] <= 9_000


def test_a_topic_in_which_nothing_is_due_any_more_is_forgotten(run: Runner) -> None:
    run.publish("a")
    run.ack(run.receipt(1_000))
    run.pass_time(1_001)
    assert run.due().fields[0] == 0
    run.tend()
    assert run.due() == NOTHING


def test_a_newer_owner_takes_over_and_the_older_is_refused(run: Runner) -> None:
    assert run.due(assignment=2, node="n2").code == "ok"
    assert run.due(assignment=1, node="n1") == ("duty_stale", [b"2 n2"])
    assert run.tend(assignment=1, node="n1") == ("duty_stale", [b"2 n2"])
