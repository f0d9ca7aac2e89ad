"""lock.downgrade: a writer becomes a reader, and the readers behind it come in."""

import pytest

from tests.lua.runner import GENERATION, QUARANTINE_MS, Runner, detail


def test_the_writer_becomes_a_reader_with_its_token_and_lease(run: Runner) -> None:
    token = run.granted("a", ttl_ms=20_000)
    code, (ttl_ms, *rest) = run.downgrade("a", token)
    assert (code, rest) == ("ok", [0, 0, 0, 0])
    assert 10_000 < ttl_ms <= 20_000
    held = run.held("a")
    assert (held.mode, held.token) == ("shared", token)
    assert 10_000 < held.expires_in_ms <= 20_000
    run.granted("b", "shared")
    assert run.acquire("w").code == "lock_held"
    assert run.renew("a", token) == ("ok", [20_000, b"shared"])


def test_readers_at_the_head_come_in_at_once_and_no_writer(run: Runner) -> None:
    token = run.granted("a")
    for owner, mode in (("r1", "shared"), ("r2", "shared"), ("w", "exclusive"), ("r3", "shared")):
        run.waiting(owner, mode)
    run.downgrade("a", token)
    assert set(run.holders()) == {"a", "r1", "r2"}
    assert run.line() == ["w", "r3"]


def test_a_writer_at_the_head_waits_for_the_reader(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("w")
    run.downgrade("a", token)
    assert list(run.holders()) == ["a"]
    run.release("a")
    assert list(run.holders()) == ["w"]


def test_more_than_a_hundred_readers_come_in_by_further_calls(run: Runner) -> None:
    token = run.granted("a")
    for number in range(130):
        run.waiting(f"r{number}", "shared")
    assert run.downgrade("a", token).fields[-1] == 1
    assert run.hand_over().fields[1:] == [0, 30, 0]


@pytest.mark.parametrize("mode", ["shared", "semaphore"])
def test_only_an_exclusive_hold_is_downgraded(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, detail=detail(limit=1) if mode == "semaphore" else "")
    before = run.snapshot()
    assert run.downgrade("a", token) == ("lock_mode_mismatch", [mode.encode()])
    assert run.snapshot() == before


def test_a_stranger_and_an_old_token_are_refused(run: Runner) -> None:
    token = run.granted("a")
    before = run.snapshot()
    assert run.downgrade("b", token).code == "lock_not_held"
    assert run.downgrade("a", token - 1).code == "token_stale"
    assert run.downgrade("a", token, resource="free").code == "lock_not_held"
    assert run.snapshot() == before


def test_what_redis_shows_of_an_older_generation_is_no_proof(run: Runner) -> None:
    token = run.granted("a")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.downgrade("a", token).code == "lock_quarantine"
    assert run.held("a").mode == "exclusive"


def test_nobody_is_let_in_without_the_counter(run: Runner) -> None:
    token = run.granted("a")
    run.waiting("r", "shared")
    run.redis.delete(run.key("tokens"))
    assert run.downgrade("a", token).code == "ok"
    assert list(run.holders()) == ["a"]


def test_count_metadata_and_longest_time_stay(run: Runner) -> None:
    token = run.granted("a", detail=detail(reentrant=True, max_hold_ms=40_000, metadata='"m"'))
    run.acquire("a", detail=detail(reentrant=True))
    _, again, holds, hold_left_ms, _ = run.downgrade("a", token).fields
    assert (again, holds) == (0, 2)
    assert 35_000 < hold_left_ms <= 40_000
    held = run.held("a")
    assert (held.mode, held.holds, held.metadata) == ("shared", 2, '"m"')


def test_up_and_down_and_up_again(run: Runner) -> None:
    token = run.granted("a", "shared")
    tokens = [token]
    for _ in range(3):
        tokens.append(run.upgrade("a", tokens[-1]).fields[0])
        assert run.downgrade("a", tokens[-1]).code == "ok"
    assert tokens == sorted(set(tokens))
    assert run.release("a").code == "ok"
    assert run.kinds() == set()


def test_a_repeat_lets_nobody_in_again_and_is_no_proof_of_what_ended(run: Runner) -> None:
    token = run.granted("a")
    first = run.downgrade("a", token, request_id="r1")
    assert run.downgrade("a", token, request_id="r1").fields == [first.fields[0], 1, 0, 0, 0]
    run.release("a")
    assert run.downgrade("a", token, request_id="r1").code == "lock_not_held"
