"""queue.kick: dead letters and delayed messages become ready."""

from tests.lua.runner import Message, Runner


def bury(run: Runner, *ids: str) -> None:
    run.publish(*ids)
    for one in run.consume(len(ids)):
        run.hand_back(one.receipt, reason="bad")


def test_a_dead_letter_begins_anew(run: Runner) -> None:
    run.configure(max_deliveries=2)
    run.publish("a")
    run.nack(run.receipt())
    assert run.hand_back(run.receipt()).fields == [b"dead", 0]
    assert run.consume() == []
    assert run.kick("dead") == ("ok", [1, 0])
    (again,) = run.consume()
    assert (again.id, again.attempt) == ("a", 1)
    assert run.hand_back(again.receipt).fields == [b"ready", 0]


def test_some_are_kicked_by_name_or_by_number_those_that_died_first(run: Runner) -> None:
    for name in "abcd":
        bury(run, name)
        run.pass_time(1)
    assert run.kick("dead", "c", "none") == ("ok", [1, 3])
    assert run.kick("dead", most=2) == ("ok", [2, 1])
    assert run.consume_ids(9) == ["c", "a", "b"]


def test_a_delayed_message_becomes_ready_and_keeps_its_count(run: Runner) -> None:
    run.publish(Message("late", delay_ms=60_000), "back")
    run.nack(run.receipt(), 60_000)
    assert run.kick("delayed") == ("ok", [2, 0])
    assert sorted((one.id, one.attempt) for one in run.consume(9)) == [("back", 2), ("late", 1)]


def test_a_redriven_message_does_not_end_with_its_old_life(run: Runner) -> None:
    run.publish(Message("a", b"[]", ttl_ms=1_000, priority=2, headers=b"{}"))
    run.hand_back(run.receipt(), reason="bad")
    run.pass_time(5_000)
    run.kick("dead")
    (again,) = run.consume()
    assert again.data == b"[]"


def test_a_receipt_of_before_the_death_is_worth_nothing(run: Runner) -> None:
    run.publish("a")
    receipt = run.receipt()
    run.hand_back(receipt, reason="bad")
    assert run.ack(receipt) == ["receipt_expired"]
    run.kick("dead")
    assert run.ack(receipt) == ["receipt_expired"]
    assert run.counts() == (1, 0, 0)


def test_a_thousand_are_kicked_at_the_most(run: Runner) -> None:
    for batch in range(2):
        run.publish(*(Message(f"m{batch}-{number}", delay_ms=60_000) for number in range(600)))
    assert run.kick("delayed", most=5_000) == ("ok", [1_000, 200])
