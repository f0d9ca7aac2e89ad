"""lock.wait_all: one request in several lines, which gets all locks when it is first in all of them, or none."""

import pytest

from tests.lua.runner import HANDED, QUARANTINE_MS, SESSION, SESSION_MS, WAKE_CHANNEL, Runner, heard, waiter_of

MODES = ("exclusive", "shared")
ELSEWHERE = "e15e"


def told(owner: str) -> bytes:
    return f"{waiter_of(owner)} 0".encode()


def places(run: Runner, names: str) -> list[list[str]]:
    return [run.line(name) for name in names]


def positions(run: Runner, owner: str, names: str, **args: object) -> list[int]:
    reply = run.wait_all(owner, names, **args)  # type: ignore[arg-type]
    assert reply.code == "lock_held", reply
    return reply.fields[1::2]


def test_it_stands_in_all_lines_and_is_told_each_place_and_when_each_is_free(run: Runner) -> None:
    run.granted("a", resource="x", ttl_ms=5_000)
    run.granted("b", resource="y", ttl_ms=50_000)
    run.waiting("s", resource="y")
    code, (more, at_x, left_x, at_y, left_y, at_z, left_z) = run.wait_all("m", "xyz")
    assert (code, more, at_x, at_y, at_z, left_z) == ("lock_held", 0, 1, 2, 1, 0)
    assert 0 < left_x <= 5_000 < left_y <= 50_000
    assert places(run, "xyz") == [["m"], ["s", "m"], ["m"]]
    assert run.holders("z") == {}, "all or none"


@pytest.mark.parametrize("mode", MODES)
def test_locks_that_are_free_by_now_are_granted_at_once_for_the_whole_lease(run: Runner, mode: str) -> None:
    code, (again, *tokens) = run.wait_all("m", "xy", mode)
    assert (code, again) == ("ok", 0)
    assert [run.holders(name) for name in "xy"] == [{"m": token} for token in tokens]
    assert run.lease_left_ms("m", "x") > 29_000
    assert run.kinds() >= {"lock", "outcome", "sessions"}
    assert not run.kinds() & {"waiters", "waiter_info", "granted"}


def test_its_turn_is_told_not_given_and_it_takes_all_when_it_asks(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy")
    with heard(run, HANDED) as messages:
        run.release("a", resource="x")
    assert messages == [told("m")]
    assert (run.holders("x"), run.holders("y")) == ({}, {})
    assert run.wait_all("m", "xy").code == "ok"
    assert list(run.holders("x")) == list(run.holders("y")) == ["m"]
    assert places(run, "xy") == [[], []]


def test_its_turn_in_one_line_is_told_once_and_in_the_last_again(run: Runner) -> None:
    run.granted("a", resource="x")
    run.granted("b", resource="y")
    run.wait_all("m", "xy")
    with heard(run, HANDED) as messages:
        run.release("a", resource="x")
        for _ in range(3):
            run.hand_over("x")
        assert positions(run, "m", "xy") == [1, 1]
        for _ in range(3):
            run.hand_over("x")
    assert messages == [told("m")]
    with heard(run, HANDED) as messages:
        run.release("b", resource="y")
    assert messages == [told("m")]
    assert run.wait_all("m", "xy").code == "ok"


@pytest.mark.parametrize("mode", MODES)
def test_nobody_passes_it_while_it_waits_for_the_others(run: Runner, mode: str) -> None:
    run.granted("b", resource="y")
    run.wait_all("m", "xy")
    assert run.acquire("late", mode, resource="x") == ("lock_held", [b"", 0, 1])
    assert run.waiting("late", mode, resource="x") == 2
    run.hand_over("x")
    assert run.holders("x") == {}


def test_nobody_passes_it_not_even_another_for_several(run: Runner) -> None:
    run.granted("b", resource="y")
    run.wait_all("m", "xy")
    code, fields = run.acquire_all("n", "xz")
    assert (code, fields) == ("lock_held", [1, b"", 0, 1])


def test_who_stands_behind_a_free_lock_looks_again_when_the_one_before_may_be_gone(run: Runner) -> None:
    run.granted("b", resource="y", ttl_ms=100_000)
    run.wait_all("m", "xy")
    left_ms = run.wait("s", resource="x").fields[2]
    assert SESSION_MS - 5_000 < left_ms <= SESSION_MS
    run.pass_time(SESSION_MS)
    run.attend("07e4")
    run.waiting("s", resource="y", session="07e4")
    assert run.wait("s", resource="x", session="07e4").fields[0] == 0, "the dead one is passed over"


def test_a_turn_that_nobody_uses_passes_on(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy")
    run.waiting("s", resource="x")
    run.release("a", resource="x")
    left_ms, waiters, *_ = run.hand_over("x").fields
    assert (1_000 < left_ms <= 2_000, waiters) == (True, 2)
    run.pass_time(2_001)
    run.attend()
    assert run.hand_over("x").fields[1:3] == [0, 1]
    assert set(run.holders("x")) == {"s"}
    assert places(run, "xy") == [[], ["m"]]


def test_who_was_passed_over_in_one_line_stands_at_the_end_of_all(run: Runner) -> None:
    run.granted("a", resource="x")
    run.granted("b", resource="y")
    run.wait_all("m", "xy")
    run.wait_all("n", "xy")
    run.release("a", resource="x")
    run.pass_time(2_001)
    run.attend()
    run.hand_over("x")
    assert places(run, "xy") == [["n"], ["m", "n"]]
    assert positions(run, "m", "xy") == [2, 2]
    assert places(run, "xy") == [["n", "m"], ["n", "m"]], "else each would wait for the other"


def test_two_that_share_lines_stand_in_one_order_in_all(run: Runner) -> None:
    run.granted("a", resource="y")
    run.wait_all("m", "xyz")
    run.wait_all("n", "wyz")
    assert places(run, "wxyz") == [["n"], ["m"], ["m", "n"], ["m", "n"]]
    run.release("a", resource="y")
    assert run.wait_all("n", "wyz").code == "lock_held"
    assert run.wait_all("m", "xyz").code == "ok"
    run.release_all("m", "xyz")
    assert run.wait_all("n", "wyz").code == "ok"


def test_a_place_is_taken_up_elsewhere_and_told_there(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy")
    assert positions(run, "m", "xy", session=ELSEWHERE) == [1, 1]
    with heard(run, HANDED) as here, heard(run, HANDED.replace(SESSION, ELSEWHERE)) as there:
        run.release("a", resource="x")
    assert (here, there) == ([], [told("m")])


def test_a_lost_word_is_named_to_the_node_that_attends_until_it_asks(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy")
    run.release("a", resource="x")
    for _ in range(2):
        assert run.attend().fields[2:] == [waiter_of("m").encode(), b"0"]
    run.wait_all("m", "xy")
    assert run.attend().fields[2:] == []


def test_a_place_is_not_taken_up_by_another_request(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy")
    before = run.snapshot()
    assert run.wait_all("m", "xy", fingerprint="0a").code == "request_id_reused"
    assert run.snapshot() == before


def test_a_retry_gets_the_grant_and_after_it_ended_is_told_so(run: Runner) -> None:
    tokens = run.wait_all("m", "xy").fields[1:]
    before = run.snapshot()
    assert run.wait_all("m", "xy") == ("ok", [1, *tokens])
    assert run.acquire_all("m", "xy") == ("ok", [1, *tokens])
    assert run.snapshot() == before
    run.release("m", resource="x")
    assert run.wait_all("m", "xy") == ("lock_released", [str(tokens[0]).encode(), 1])


def test_a_full_line_refuses_it_in_all_and_not_one_that_waits(run: Runner) -> None:
    run.granted("a", resource="y")
    run.wait_all("first", "xy")
    behind = run.place("first", "y") + 1
    run.redis.zadd(run.key("waiters", "y"), {f"{number:06x}": behind + number for number in range(9_999)})
    before = run.snapshot()
    assert run.wait_all("late", "xy") == ("lock_waiters_full", [2])
    assert run.snapshot() == before
    assert positions(run, "first", "xy") == [1, 1]


def test_readers_of_several_go_in_together_up_to_a_writer_of_one(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy", "shared")
    run.waiting("r", "shared", resource="x")
    run.waiting("w", resource="x")
    run.release("a", resource="x")
    assert run.holders("x") == {}, "a reader behind it waits until it has taken its turn"
    assert run.wait_all("m", "xy", "shared").code == "ok"
    assert (set(run.holders("x")), run.line("x")) == ({"m", "r"}, ["w"])


def test_a_reader_of_several_waits_for_the_end_of_its_own_hold(run: Runner) -> None:
    run.granted("m", "shared", resource="y", ttl_ms=5_000)
    run.granted("b", "shared", resource="y", ttl_ms=50_000)
    _, (_, _, left_x, _, left_y) = run.wait_all("m", "xy", "shared")
    assert (left_x, 0 < left_y <= 5_000) == (0, True)
    run.pass_time(5_001)
    assert run.wait_all("m", "xy", "shared").code == "ok"


def test_who_waits_is_told_when_a_short_lease_takes_the_place_of_a_long_wait(run: Runner) -> None:
    run.granted("b", resource="y", ttl_ms=100_000)
    run.wait_all("m", "xy", ttl_ms=1_000)
    run.waiting("s", resource="x")
    run.release("b", resource="y")
    with heard(run, WAKE_CHANNEL) as messages:
        run.wait_all("m", "xy", ttl_ms=1_000)
    assert messages == [run.key("lock", "x")]


def test_in_quarantine_it_stands_in_line_and_is_granted_nothing(run: Runner) -> None:
    run.lose_everything(QUARANTINE_MS)
    code, (_, at_x, left_x, at_y, left_y) = run.wait_all("m", "xy")
    assert (code, at_x, at_y) == ("lock_held", 1, 1)
    assert QUARANTINE_MS - 10_000 < left_x == left_y <= QUARANTINE_MS
    run.pass_time(QUARANTINE_MS)
    run.attend()
    run.hand_over("x")
    assert run.wait_all("m", "xy").code == "ok"


def test_a_lost_counter_lets_nobody_stand_in_the_lines(run: Runner) -> None:
    run.redis.delete(run.key("tokens"))
    before = run.snapshot()
    assert run.wait_all("a", "xy") == ("fence_missing", [])
    assert run.snapshot() == before


def test_lines_are_kept_for_their_most_patient(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy", wait_ms=60_000)
    for kind in ("waiters", "waiter_info"):
        for name in "xy":
            assert 60_000 < run.redis.pttl(run.key(kind, name)) <= 60_000 + SESSION_MS


def test_a_single_request_is_served_between_two_of_several(run: Runner) -> None:
    run.granted("a", resource="x")
    run.wait_all("m", "xy")
    run.waiting("s", resource="y")
    run.wait_all("n", "xy")
    run.release("a", resource="x")
    assert run.wait_all("m", "xy").code == "ok"
    run.release_all("m", "xy")
    assert (run.holders("x"), set(run.holders("y"))) == ({}, {"s"})
    assert run.wait_all("n", "xy").code == "lock_held"
    run.confirm("s", run.holders("y")["s"], resource="y")
    run.release("s", resource="y")
    assert run.wait_all("n", "xy").code == "ok"
