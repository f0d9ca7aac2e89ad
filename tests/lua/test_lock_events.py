"""What is recorded of locks, for how long, and who is told: lib/event, lock.record, lock.events, lock.history and
lock.note_end."""

import pytest

from tests.lua.runner import GENERATION, HANDED, KEEP_MS, Event, Runner, heard

MODES = ("exclusive", "shared")


def told(run: Runner, after: str = "") -> list[tuple[str, str, int]]:
    """Event, owner and token of all that is recorded after the beginning."""
    return [(one.event, one.owner, one.token) for one in run.events(after) if one.event != "recording"]


def last_id(run: Runner) -> str:
    return run.events()[-1].id


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_recorded_that_nobody_asked_for(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.renew("a", token, 1_000)
    run.release("a")
    assert "lock_events" not in run.kinds()


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


@pytest.mark.parametrize("request_id", ["", "r1"])
@pytest.mark.parametrize("mode", MODES)
def test_a_grant_and_its_release_are_recorded(run: Runner, mode: str, request_id: str) -> None:
    run.record()
    token = run.granted("a", mode, ttl_ms=5_000, request_id=request_id and "g1")
    run.release("a", request_id=request_id and "g2")
    _, granted, released = run.events()
    assert granted[1:] == ("granted", "res", "a", token, mode, {"ttl_ms": "5000"})
    assert released[1:] == ("released", "res", "a", token, mode, {})


def test_a_token_of_sixteen_digits_is_recorded_digit_by_digit(run: Runner) -> None:
    run.install(131_071)
    run.record()
    for mode in MODES:
        token = run.granted("a", mode)
        run.release("a")
        assert {one.token for one in run.events()[-2:]} == {token}
        assert token > 10**15


@pytest.mark.parametrize("mode", MODES)
def test_refusals_and_repeats_are_not_recorded(run: Runner, mode: str) -> None:
    run.record()
    token = run.granted("a", mode, request_id="r1")
    before = run.events()
    run.acquire("a", mode, request_id="r1")
    run.acquire("b")
    run.release("b")
    run.release("a", token + 1)
    run.renew("b", token)
    assert run.events() == before


@pytest.mark.parametrize("mode", MODES)
def test_a_renewal_is_recorded_when_it_changes_the_length(run: Runner, mode: str) -> None:
    run.record()
    token = run.granted("a", mode, ttl_ms=5_000)
    run.renew("a", token)
    run.renew("a", token, 5_000)
    assert len(run.events()) == 2
    run.renew("a", token, 4_000)
    assert run.events()[-1][1:] == ("renewed", "res", "a", token, mode, {"ttl_ms": "4000"})


@pytest.mark.parametrize("mode", MODES)
def test_a_hand_over_is_a_grant_once_it_is_confirmed(run: Runner, mode: str) -> None:
    run.record()
    first = run.granted("a")
    run.waiting("b", mode)
    run.release("a")
    assert told(run) == [("granted", "a", first), ("released", "a", first)]
    token = run.holders()["b"]
    run.confirm("b", token, 7_000)
    run.confirm("b", token, 7_000)
    assert told(run)[2:] == [("granted", "b", token)]
    assert run.events()[-1].more == {"ttl_ms": "7000"}


def test_what_is_taken_up_again_and_what_cannot_be_is_recorded(run: Runner) -> None:
    low, high = run.granted("a"), run.granted("b", resource="other")
    run.lose_everything()
    run.record()
    assert run.reattach("b", high).code == "ok"
    assert run.reattach("a", low).code == "lock_lost"
    assert run.reattach("b", high, resource="other").code == "ok"
    assert told(run) == [("reattached", "b", high), ("lost", "a", low), ("reattached", "b", high)]


def test_who_listens_hears_of_every_entry(run: Runner) -> None:
    channel = run.key("lock_events").decode()
    with heard(run, channel) as before:
        run.granted("a")
        run.release("a")
    run.record()
    with heard(run, channel) as messages:
        run.granted("a")
        run.release("a")
        run.release("a")
    assert (before, messages) == ([], [b"granted", b"released"])


def test_the_oldest_entries_give_way_to_new_ones(run: Runner) -> None:
    run.record()
    first = run.events()[0].id
    for _ in range(700):
        run.granted("a")
        run.release("a")
    assert 1_024 <= run.redis.xlen(run.key("lock_events")) < 1_024 + 100
    assert run.call("lock.events", "", after=first, most=10).fields == [1]
    assert run.redis.pttl(run.key("lock_events")) > 0


def test_reading_goes_on_where_it_stopped_and_takes_256_entries_at_the_most(run: Runner) -> None:
    run.record()
    for _ in range(150):
        run.granted("a")
        run.release("a")
    seen: list[Event] = []
    while page := run.events(seen[-1].id if seen else "", 1_000):
        assert len(page) <= 256
        seen += page
    assert len(seen) == 301
    assert [one.id for one in seen] == sorted({one.id for one in seen}, key=lambda one: tuple(map(int, one.split("-"))))


def test_reading_after_an_entry_that_is_gone_is_a_gap(run: Runner) -> None:
    assert run.call("lock.events", "", after="5-0", most=10).fields == [1]
    run.record()
    assert run.call("lock.events", "", after="5-0", most=10).fields == [1]
    assert run.call("lock.events", "", after=last_id(run), most=10).fields == [0]


# History


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


# The end of a hold that nobody ended


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


# Force-release


@pytest.mark.parametrize("mode", MODES)
def test_a_forced_release_is_recorded_with_its_reason(run: Runner, mode: str) -> None:
    run.record(KEEP_MS)
    token = run.granted("a", mode)
    assert run.force_release(("a", token), reason="host is gone").fields == [1, 0]
    assert run.events()[-1][1:] == ("released", "res", "a", token, mode, {"reason": "host is gone"})
    assert run.holders() == {}


def test_only_the_holds_that_are_named_end(run: Runner) -> None:
    tokens = {owner: run.granted(owner, "shared") for owner in "abc"}
    assert run.force_release(("a", tokens["a"]), ("b", tokens["b"] + 1), ("x", tokens["c"])).fields == [1, 0]
    assert run.holders() == {owner: tokens[owner] for owner in "bc"}


def test_a_forced_release_hands_over_and_a_repeat_does_nothing(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    with heard(run, HANDED) as handed:
        assert run.force_release(("a", token)).fields == [1, 0]
    assert len(handed) == 1
    assert list(run.holders()) == ["b"]
    before = run.snapshot()
    assert run.force_release(("a", token)).fields == [0, 0]
    assert run.snapshot() == before
    assert run.release("a", token).code == "lock_not_held"
    assert run.renew("a", token).code == "lock_lost"


def test_a_forced_release_hands_nothing_over_in_a_quarantine(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    run.install(run.generation + 1, quarantine_ms=10_000)
    assert run.force_release(("a", token)).fields == [1, 0]
    assert run.holders() == {}
    assert run.line() == ["b"]


def test_a_hundred_holds_end_in_one_call(run: Runner) -> None:
    holds = [(f"r{number}", run.granted(f"r{number}", "shared")) for number in range(101)]
    assert run.force_release(*holds).fields == [100, 0]
    assert run.holders() == dict(holds[100:])
