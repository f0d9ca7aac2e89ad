"""lock.wait: who stands where in a line, and that a request has one place in it."""

import pytest

from tests.lua.runner import HANDED, QUARANTINE_MS, SESSION, SESSION_MS, Runner, heard, now_ms, waiter_of

MODES = ("exclusive", "shared")
ELSEWHERE = "e15e"


def test_places_are_given_in_order_of_arrival_whatever_the_mode(run: Runner) -> None:
    run.granted("a")
    owners = [f"w{number}" for number in range(12)]
    positions = [run.waiting(owner, MODES[number % 3 == 0]) for number, owner in enumerate(owners)]
    assert positions == list(range(1, 13))
    assert run.line() == owners


def test_the_reply_says_how_many_wait_and_how_long_the_hold_lasts(run: Runner) -> None:
    run.granted("a", ttl_ms=20_000)
    run.waiting("b")
    code, (position, waiters, left_ms, token, more) = run.wait("c")
    assert (code, position, waiters, token, more) == ("ok", 2, 2, b"", 0)
    assert 10_000 < left_ms <= 20_000


@pytest.mark.parametrize("mode", MODES)
def test_a_free_lock_is_granted_at_once_for_the_time_of_a_confirmation(run: Runner, mode: str) -> None:
    with heard(run, HANDED) as told:
        code, (position, *_, token, more) = run.wait("a", mode)
    assert (code, position, more) == ("ok", 0, 0)
    assert run.holders() == {"a": int(token)}
    assert 1_000 < run.lease_left_ms("a") <= 2_000
    assert told == [f"{waiter_of('a')} {int(token)}".encode()]


def test_a_lease_shorter_than_a_confirmation_is_not_prolonged_by_waiting(run: Runner) -> None:
    run.wait("a", ttl_ms=500)
    assert 0 < run.lease_left_ms("a") <= 500


@pytest.mark.parametrize("mode", MODES)
def test_nobody_barges_past_those_who_wait(run: Runner, mode: str) -> None:
    run.granted("a", "shared")
    run.waiting("w")
    code, fields = run.acquire("late", mode)
    assert (code, fields[0], fields[-1]) == ("lock_held", b"shared", 1)
    assert run.waiting("late", mode) == 2


def test_who_is_refused_for_the_line_alone_is_told_of_no_holder(run: Runner) -> None:
    run.granted("a", ttl_ms=1_000)
    run.waiting("w")
    run.pass_time(1_001)
    assert run.acquire("late") == ("lock_held", [b"", 0, 1])


def test_a_place_is_taken_up_again_and_not_given_twice(run: Runner) -> None:
    run.granted("a")
    for owner in ("b", "c", "b"):
        run.waiting(owner, request_id=owner)
    assert run.line() == ["b", "c"]
    assert run.wait("b", request_id="b").fields[:2] == [1, 2]


def test_a_place_taken_up_elsewhere_is_told_there(run: Runner) -> None:
    run.granted("a")
    run.waiting("b", request_id="r1")
    run.waiting("b", request_id="r1", session=ELSEWHERE)
    with heard(run, HANDED) as here, heard(run, HANDED.replace(SESSION, ELSEWHERE)) as there:
        run.release("a")
    assert (len(here), len(there)) == (0, 1)


def test_a_retry_gets_a_grant_that_nobody_confirmed_yet(run: Runner) -> None:
    run.granted("a")
    run.waiting("b", request_id="r1")
    run.release("a")
    token = run.holders()["b"]
    assert run.wait("b", request_id="r1", session=ELSEWHERE) == ("ok", [0, 0, 0, str(token).encode(), 0])
    assert run.attend(ELSEWHERE).fields[2:] == [waiter_of("b").encode(), str(token).encode()]
    assert run.withdraw("b").fields == [0, 0], "the first node has no say in it any more"
    assert run.holders() == {"b": token}


def test_a_retry_gets_a_grant_that_was_confirmed(run: Runner) -> None:
    run.granted("b", request_id="r1")
    token = run.holders()["b"]
    assert run.wait("b", request_id="r1").fields == [0, 0, 0, str(token).encode(), 0]
    run.release("b")
    assert run.wait("b", request_id="r1") == ("lock_released", [str(token).encode()])


@pytest.mark.parametrize("is_granted", [False, True])
def test_a_place_is_not_taken_up_by_another_request(run: Runner, is_granted: bool) -> None:
    run.granted("a")
    run.waiting("b", request_id="r1")
    if is_granted:
        run.release("a")
    before = run.snapshot()
    assert run.wait("b", request_id="r1", fingerprint="0a").code == "request_id_reused"
    assert run.snapshot() == before


def test_who_was_too_late_to_confirm_begins_at_the_end(run: Runner) -> None:
    run.granted("a")
    for owner in ("b", "c", "d"):
        run.waiting(owner)
    run.release("a")
    run.pass_time(2_001)
    run.hand_over()
    assert run.waiting("b") == 2
    assert run.line() == ["d", "b"]
    assert run.attend().fields[2::2] == [waiter_of("c").encode()]


def test_the_10001st_waiter_is_refused_and_one_that_waits_is_not(run: Runner) -> None:
    run.granted("a")
    run.waiting("first")
    place = run.place("first")
    line = {f"{number:06x}": place + number + 1 for number in range(9_999)}
    run.redis.zadd(run.key("waiters", "res"), line)
    before = run.snapshot()
    assert run.wait("late") == ("lock_waiters_full", [])
    assert run.snapshot() == before
    assert run.wait("first").fields[:2] == [1, 10_000]


def test_a_line_is_kept_for_its_most_patient(run: Runner) -> None:
    run.granted("a")
    run.waiting("b", wait_ms=60_000)
    run.waiting("c", wait_ms=5_000)
    for kind in ("waiters", "waiter_info"):
        assert 60_000 < run.redis.pttl(run.key(kind, "res")) <= 60_000 + SESSION_MS


@pytest.mark.parametrize("mode", MODES)
def test_in_quarantine_all_stand_in_line_and_nothing_is_granted(run: Runner, mode: str) -> None:
    run.lose_everything(QUARANTINE_MS)
    code, (position, _, left_ms, *_) = run.wait("a", mode)
    assert (code, position) == ("ok", 1)
    assert QUARANTINE_MS - 10_000 < left_ms <= QUARANTINE_MS
    assert run.waiting("b", mode) == 2
    assert run.holders() == {}
    run.release("nobody")
    run.withdraw("b")
    run.hand_over()
    assert run.holders() == {}
    run.pass_time(QUARANTINE_MS)
    run.attend()
    assert run.hand_over().fields[1:3] == [0, 1]
    assert list(run.holders()) == ["a"]


def test_a_lost_counter_lets_nobody_stand_in_line(run: Runner) -> None:
    run.redis.delete(run.key("tokens"))
    before = run.snapshot()
    assert run.wait("a") == ("fence_missing", [])
    assert run.hand_over() == ("fence_missing", [])
    assert run.snapshot() == before


def test_a_session_lives_for_its_time_from_the_last_word_of_its_node(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    ends_at = run.redis.zscore(run.key("sessions"), SESSION)
    assert SESSION_MS - 5_000 < ends_at - now_ms(run) <= SESSION_MS


def test_owner_names_with_spaces_stand_in_line_whole(run: Runner) -> None:
    run.granted("a")
    names = ["b c", "x1 2 0 b", " ", "exclusive 5  x"]
    for owner in names:
        run.waiting(owner)
    assert run.line() == names
