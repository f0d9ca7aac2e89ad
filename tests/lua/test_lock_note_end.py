"""lock.note_end: the end of a hold that nobody ended is recorded, once."""

import pytest

from tests.lua.runner import GENERATION, Event, Runner

MODES = ("exclusive", "shared")


def last_id(run: Runner) -> str:
    return run.events()[-1].id


@pytest.mark.parametrize("mode", MODES)
def test_the_end_of_a_lease_is_noted_once(run: Runner, mode: str) -> None:
    run.record()
    token = run.granted("a", mode, ttl_ms=1_000)
    seen = last_id(run)
    run.pass_time(1_001)
    for _ in range(2):
        assert run.note_end("a", token, seen, mode=mode) == 0
    assert run.events(seen) == [Event(last_id(run), "expired", "res", "a", token, mode)]


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_runs_is_left_alone(run: Runner, mode: str) -> None:
    run.record()
    token = run.granted("a", mode, ttl_ms=5_000)
    before = run.events()
    run.renew("a", token)
    assert 0 < run.note_end("a", token, before[-1].id, mode=mode) <= 5_000
    assert run.events() == before
    assert run.holders() == {"a": token}


@pytest.mark.parametrize("mode", MODES)
def test_an_end_that_is_recorded_already_is_not_noted(run: Runner, mode: str) -> None:
    run.record()
    token = run.granted("a", mode)
    seen = last_id(run)
    run.release("a")
    before = run.events()
    assert run.note_end("a", token, seen, mode=mode) == 0
    assert run.events() == before


def test_what_happens_to_other_locks_does_not_keep_an_end_from_being_noted(run: Runner) -> None:
    run.record()
    token = run.granted("a", ttl_ms=1_000)
    seen = last_id(run)
    run.granted("b", resource="other")
    run.pass_time(1_001)
    run.note_end("a", token, seen)
    assert [one.event for one in run.events(seen)] == ["granted", "expired"]


def test_who_is_far_behind_reads_on_before_it_notes_anything(run: Runner) -> None:
    run.record()
    token = run.granted("a", ttl_ms=1_000)
    seen = last_id(run)
    for _ in range(128):
        run.granted("b", resource="other")
        run.release("b", resource="other")
    run.release("a")
    run.pass_time(1_001)
    assert run.note_end("a", token, seen) == 0
    assert run.events()[-1].event == "released"


def test_a_hold_of_an_older_generation_is_lost_once_its_quarantine_is_over(run: Runner) -> None:
    token = run.granted("a")
    run.lose_everything(quarantine_ms=10_000)
    run.record()
    seen = last_id(run)
    assert 9_000 < run.note_end("a", token, seen) <= 10_000
    run.pass_time(10_001)
    assert run.note_end("a", token, seen) == 0
    assert [(one.event, one.token) for one in run.events(seen)] == [("lost", token)]
    assert token >> 36 == GENERATION


def test_an_end_is_noted_only_where_events_are_recorded(run: Runner) -> None:
    token = run.granted("a", ttl_ms=1_000)
    run.pass_time(1_001)
    assert run.note_end("a", token, "0-0") == 0
    assert run.kinds() == set()
