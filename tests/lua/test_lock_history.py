"""lock.history: the events of one lock."""

from tests.lua.runner import Runner


def test_the_history_of_a_lock_is_its_own_latest_first(run: Runner) -> None:
    assert run.call("lock.history", "res", before="", most=10).fields == [b"", b""]
    run.record()
    first = run.granted("a")
    run.granted("x", resource="other")
    run.release("a")
    second = run.granted("b")
    go_on, found = run.history()
    assert [(one.event, one.token) for one in found] == [("granted", second), ("released", first), ("granted", first)]
    assert go_on == ""
    go_on, found = run.history(most=2)
    assert [one.event for one in found] == ["granted", "released"]
    assert [one.event for one in run.history(before=go_on)[1]] == ["granted"]
    since = run.call("lock.history", "res", before="", most=10).fields[1]
    assert since.decode() == run.events()[0].id


def test_a_history_looks_at_256_entries_in_one_call(run: Runner) -> None:
    run.record()
    run.granted("a")
    for _ in range(200):
        run.granted("b", resource="other")
        run.release("b", resource="other")
    go_on, found = run.history()
    assert found == []
    go_on, found = run.history(before=go_on)
    assert [one.event for one in found] == ["granted"]
    assert go_on == ""
