"""lock.acquire_all: several locks of a partition at once, all or none."""

import pytest

from tests.lua.runner import KEEP_MS, QUARANTINE_MS, Runner

MODES = ("exclusive", "shared")


@pytest.mark.parametrize("mode", MODES)
def test_free_locks_are_granted_together_each_with_its_token(run: Runner, mode: str) -> None:
    code, (again, *tokens) = run.acquire_all("a", "xyz", mode)
    assert (code, again) == ("ok", 0)
    assert sorted(set(tokens)) == tokens
    assert [run.holders(name) for name in "xyz"] == [{"a": token} for token in tokens]
    assert all(29_000 < run.lease_left_ms("a", name) <= 30_000 for name in "xyz")


@pytest.mark.parametrize("mode", MODES)
def test_their_tokens_are_above_and_below_those_of_single_grants(run: Runner, mode: str) -> None:
    before = run.granted("b", resource="q")
    tokens = run.granted_all("a", "xy", mode)
    after = run.granted("c", resource="r")
    assert [before, *tokens, after] == list(range(before, before + 4))


@pytest.mark.parametrize("held", ["x", "y", "z"])
def test_when_one_is_held_none_is_granted_and_its_holder_is_named(run: Runner, held: str) -> None:
    token = run.granted("b", resource=held)
    before = run.snapshot()
    code, fields = run.acquire_all("a", "xyz")
    assert (code, fields[:3], fields[-1]) == ("lock_held", ["xyz".index(held) + 1, b"exclusive", 1], 0)
    assert fields[3:5] == [b"b", str(token).encode()]
    assert run.snapshot() == before


def test_all_are_shared_with_readers_and_none_when_one_is_held_alone(run: Runner) -> None:
    run.granted("b", "shared", resource="x")
    assert run.acquire_all("w", "xy").code == "lock_held"
    run.granted_all("a", "xy", "shared")
    assert (set(run.holders("x")), set(run.holders("y"))) == ({"a", "b"}, {"a"})
    run.granted("w", resource="z")
    assert run.acquire_all("c", "xz", "shared").code == "lock_held"
    assert set(run.holders("x")) == {"a", "b"}


def test_an_owner_that_shares_one_of_them_already_is_refused(run: Runner) -> None:
    run.granted("a", "shared", resource="y")
    assert run.acquire_all("a", "xy", "shared").code == "lock_held"
    assert run.holders("x") == {}


def test_the_10001st_holder_of_one_is_refused_all(run: Runner) -> None:
    run.granted("first", "shared", resource="y", ttl_ms=60_000)
    ends_at = run.redis.zscore(run.key("readers", "y"), "first")
    run.redis.zadd(run.key("readers", "y"), {f"r{number}": ends_at for number in range(9_999)})
    assert run.acquire_all("late", "xy", "shared") == ("lock_holders_full", [2])
    assert run.holders("x") == {}


@pytest.mark.parametrize("mode", MODES)
def test_nobody_barges_past_those_who_wait_for_one_of_them(run: Runner, mode: str) -> None:
    run.granted("b", "shared", resource="y")
    run.waiting("w", resource="y")
    code, fields = run.acquire_all("a", "xy", mode)
    assert (code, fields[0], fields[-1]) == ("lock_held", 2, 1)


def test_a_line_of_the_dead_keeps_nobody_out(run: Runner) -> None:
    run.granted("b", "shared", resource="y")
    run.waiting("w", resource="y", session="dead", session_ms=1_000)
    run.pass_time(1_001)
    run.granted_all("a", "xy", "shared")
    assert run.line("y") == []


def test_a_lock_whose_lease_ended_goes_to_who_waits_for_it_and_not_past_him(run: Runner) -> None:
    run.granted("b", resource="y", ttl_ms=1_000)
    run.waiting("w", resource="y")
    run.pass_time(1_001)
    assert run.acquire_all("a", "xy").code == "lock_held"
    assert set(run.holders("y")) == {"w"}


def test_a_retry_gets_the_same_tokens_while_all_are_held(run: Runner) -> None:
    tokens = run.granted_all("a", "xy")
    before = run.snapshot()
    assert run.acquire_all("a", "xy") == ("ok", [1, *tokens])
    assert run.snapshot() == before
    run.release("a", resource="y")
    assert run.acquire_all("a", "xy") == ("lock_released", [str(tokens[1]).encode(), 2])
    run.granted("a", resource="y")
    assert run.acquire_all("a", "xy").code == "lock_released", "that is another hold"


def test_a_retry_keeps_the_outcome_no_longer(run: Runner) -> None:
    run.granted_all("a", "xy", ttl_ms=2 * KEEP_MS)
    run.pass_time(KEEP_MS - 1_000)
    assert run.acquire_all("a", "xy", caller="07e4").code == "ok"
    run.pass_time(1_000)
    assert run.acquire_all("a", "xy").code == "lock_held"


def test_an_id_used_for_other_locks_is_refused(run: Runner) -> None:
    run.granted_all("a", "xy")
    before = run.snapshot()
    assert run.acquire_all("b", "pq", request_id="id-a", fingerprint="another").code == "request_id_reused"
    assert run.snapshot() == before


def test_in_quarantine_none_is_granted(run: Runner) -> None:
    run.lose_everything(QUARANTINE_MS)
    code, (left_ms,) = run.acquire_all("a", "xy")
    assert code == "lock_quarantine"
    assert QUARANTINE_MS - 10_000 < left_ms <= QUARANTINE_MS
    run.pass_time(QUARANTINE_MS)
    run.granted_all("a", "xy")


def test_a_lost_counter_grants_nothing(run: Runner) -> None:
    run.redis.delete(run.key("tokens"))
    before = run.snapshot()
    assert run.acquire_all("a", "xy") == ("fence_missing", [])
    assert run.snapshot() == before


def test_sixteen_locks_are_granted_in_one_call(run: Runner) -> None:
    names = [f"n{number:02}" for number in range(16)]
    assert len(run.granted_all("a", names)) == 16
    assert all(run.holders(name) for name in names)


def test_owner_names_with_spaces_hold_all(run: Runner) -> None:
    run.granted_all("b 0 c", "xy", request_id="1")
    assert [list(run.holders(name)) for name in "xy"] == [["b 0 c"]] * 2
    run.wait_all("x1 0 0 d", "xy", request_id="2")
    assert [run.line(name) for name in "xy"] == [["x1 0 0 d"]] * 2
