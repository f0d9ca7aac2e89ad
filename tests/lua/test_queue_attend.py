"""queue.attend: the session that keeps a node's consumers in line."""

from tests.lua.runner import SESSION, SESSION_MS, Runner, heard


def attend(run: Runner) -> int:
    return int(run.call("queue.attend", "", session=SESSION, session_ms=SESSION_MS).fields[0])


def test_a_session_lives_for_as_long_as_it_is_attended_to(run: Runner) -> None:
    run.park(1)
    for _ in range(3):
        run.pass_time(SESSION_MS - 1_000)
        assert attend(run) == 0
    with heard(run, f"simpul:test:wake:{SESSION}") as messages:
        run.publish("a")
    assert len(messages) == 1


def test_a_session_that_had_ended_is_new(run: Runner) -> None:
    assert attend(run) == 1
    assert attend(run) == 0
    run.pass_time(SESSION_MS)
    assert attend(run) == 1
