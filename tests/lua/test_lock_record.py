"""lock.record: for how long events are recorded."""

from tests.lua.runner import Runner


def test_recording_goes_on_for_as_long_as_it_was_asked_for_last(run: Runner) -> None:
    assert run.record(10_000).fields == [1]
    assert run.record(60_000).fields == [0]
    assert run.record(20_000).fields == [0]
    run.pass_time(59_000)
    run.granted("a")
    assert [one.event for one in run.events()] == ["recording", "granted"]
    run.pass_time(1_001)
    run.granted("b", resource="other")
    assert "lock_events" not in run.kinds()
