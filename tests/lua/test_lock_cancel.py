"""lock.cancel: the wait that stands in a deadlock is ended, and never one that does not wait so any more."""

import pytest

from tests.lua.runner import HANDED, SESSION, SESSION_MS, Runner, detail, heard, waiter_of

NOTHING = (-1, 0)


def test_its_node_is_told_why_and_the_line_moves_up(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    run.waiting("c")
    with heard(run, HANDED) as messages:
        waited_ms, more = run.cancel("b", "a", token)
    assert messages == [f"{waiter_of('b')} 1 because".encode()]
    assert 0 <= waited_ms < 15_000
    assert more == 0
    assert (run.line(), run.holders()) == (["c"], {"a": token})


@pytest.mark.parametrize("behind", ["shared", "exclusive"])
def test_who_was_kept_waiting_only_by_it_gets_the_lock_at_once(run: Runner, behind: str) -> None:
    token = run.granted("a", "shared")
    run.waiting("w")
    run.waiting("b", behind)
    run.cancel("w", "a", token)
    assert set(run.holders()) == ({"a", "b"} if behind == "shared" else {"a"})


def test_a_wait_that_was_granted_meanwhile_is_not_ended(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    place = run.place("b")
    run.release("a")
    before = run.snapshot()
    with heard(run, HANDED) as messages:
        assert run.cancel("b", "a", token, place=place) == NOTHING
    assert messages == []
    assert run.snapshot() == before
    assert set(run.holders()) == {"b"}


def test_a_wait_whose_blocker_has_another_token_by_now_is_not_ended(run: Runner) -> None:
    token = run.granted("a")
    for owner in ("b", "c"):
        run.waiting(owner)
    run.release("a")
    run.confirm("b", run.holders()["b"])
    run.waiting("a")
    run.release("b")
    assert run.cancel("a", "c", token) == NOTHING, "c holds it, with a later token"
    assert run.line() == ["a"]


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_a_blocker_whose_lease_ended_blocks_nobody(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=1_000)
    if mode == "shared":
        run.granted("other", mode)
    run.waiting("b")
    run.pass_time(1_000)
    assert run.cancel("b", "a", token) == NOTHING


def test_a_wait_that_left_and_came_again_is_another_one(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    place = run.place("b")
    run.withdraw("b")
    run.waiting("b")
    assert run.place("b") > place
    assert run.cancel("b", "a", token, place=place) == NOTHING
    assert run.line() == ["b"]


def test_one_that_waits_behind_another_is_ended_because_of_that(run: Runner) -> None:
    run.granted("a", "shared")
    run.waiting("w")
    run.waiting("b", "shared")
    assert run.cancel("b", "w")[0] >= 0
    assert run.line() == ["w"]


def test_one_whose_forerunner_left_is_not_ended(run: Runner) -> None:
    run.granted("a")
    for owner in ("w", "b"):
        run.waiting(owner)
    run.withdraw("w")
    assert run.cancel("b", "w") == NOTHING
    assert run.cancel("b", "b") == NOTHING, "nobody stands ahead of itself"
    assert run.line() == ["b"]


@pytest.mark.parametrize("who", ["blocker", "waiter"])
def test_the_dead_neither_block_nor_are_ended(run: Runner, who: str) -> None:
    run.granted("a", ttl_ms=60_000)
    run.waiting("w", session="dead" if who == "blocker" else SESSION)
    run.waiting("b", session="dead" if who == "waiter" else SESSION)
    place = run.place("b")
    run.pass_time(SESSION_MS - 1_000)
    run.attend()
    run.pass_time(1_000)
    assert run.cancel("b", "w", place=place) == NOTHING
    assert run.line() == ["w", "b"]


def test_what_the_message_did_not_bring_attending_does(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    run.cancel("b", "a", token)
    named = [waiter_of("b").encode(), b"1 because"]
    for _ in range(2):
        assert run.attend().fields == [0, b"0", *named]
    run.withdraw("b")
    assert run.attend().fields == [0, b"0"]
    assert run.holders() == {"a": token}


def test_what_nobody_takes_note_of_goes_by_itself(run: Runner) -> None:
    token = run.granted("a", ttl_ms=1_000)
    run.waiting("b")
    run.cancel("b", "a", token)
    run.pass_time(2_001 + SESSION_MS)
    run.attend()
    assert run.kinds() == {"sessions"}


@pytest.mark.parametrize("request_id", ["", "r1"])
def test_a_retry_of_an_ended_wait_begins_anew(run: Runner, request_id: str) -> None:
    token = run.granted("a")
    run.waiting("b", request_id=request_id)
    run.cancel("b", "a", token)
    assert run.waiting("b", request_id=request_id) == 1
    assert run.attend().fields == [0, b"0"]


@pytest.mark.parametrize("is_held", [True, False])
def test_it_is_recorded_with_whom_it_waited_for(run: Runner, is_held: bool) -> None:
    run.record()
    token = run.granted("a", "shared")
    run.waiting("w")
    run.waiting("b", "shared")
    if is_held:
        run.cancel("w", "a", token)
    else:
        run.cancel("b", "w")
    (told,) = [one for one in run.events() if one.event == "deadlock"]
    assert (told.lock, told.owner, told.token, told.mode) == (
        "res",
        "w" if is_held else "b",
        0,
        "exclusive" if is_held else "shared",
    )
    assert told.more == {"because_of": "a" if is_held else "w"}


def test_a_repeat_ends_nothing_else(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    place = run.place("b")
    run.cancel("b", "a", token)
    before = run.snapshot()
    assert run.cancel("b", "a", token, place=place) == NOTHING
    assert run.snapshot() == before


def test_with_the_last_that_waits_for_a_semaphore_its_limit_goes(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b", "semaphore", detail=detail(limit=3))
    run.waiting("c")
    run.cancel("b", "a", token)
    assert run.blockers().limit == 0


def test_a_holder_of_permits_keeps_waiting_who_wants_more(run: Runner) -> None:
    token = run.granted("a", "semaphore", detail=detail(limit=2, permits=2))
    run.waiting("b", "semaphore", detail=detail(limit=2))
    run.waiting("c", "semaphore", detail=detail(limit=2))
    assert run.cancel("b", "a", token)[0] >= 0
    assert run.line() == ["c"]


def test_in_a_quarantine_a_wait_is_ended_and_nothing_granted(run: Runner) -> None:
    run.lose_everything()
    run.waiting("w", "exclusive")
    run.waiting("b", "shared")
    run.cancel("b", "w")
    assert (run.line(), run.holders()) == (["w"], {})


def test_the_last_one_leaves_no_line_behind(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("b")
    run.cancel("b", "a", token)
    assert run.kinds() == {"lock", "sessions", "granted"}
