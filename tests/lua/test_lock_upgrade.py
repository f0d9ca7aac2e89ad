"""lock.upgrade: a reader becomes the writer, before all others, once the other readers are gone."""

from typing import Any

import pytest

from tests.lua.runner import (
    GENERATION,
    HANDED,
    QUARANTINE_MS,
    SESSION,
    WAKE_CHANNEL,
    Reply,
    Runner,
    detail,
    heard,
    waiter_of,
)

WAIT_MS = 60_000


def stand(run: Runner, owner: str, token: int, **args: Any) -> Reply:
    """Wait for the other readers."""
    reply = run.upgrade(owner, token, wait_ms=WAIT_MS, **args)
    assert reply.code == "lock_held", reply
    return reply


def test_the_only_reader_becomes_the_writer_with_a_higher_token(run: Runner) -> None:
    token = run.granted("a", "shared", ttl_ms=20_000)
    code, (new, ttl_ms, *rest) = run.upgrade("a", token)
    assert (code, ttl_ms, rest) == ("ok", 20_000, [0, 0, 0])
    assert new > token
    held = run.held("a")
    assert (held.mode, held.token) == ("exclusive", new)
    assert 10_000 < held.expires_in_ms <= 20_000
    assert run.acquire("b", "shared").code == "lock_held"
    assert run.release("a", token).code == "token_stale"
    assert run.release("a", new).code == "ok"
    assert run.kinds() == set()


def test_a_lease_may_be_given_and_begins_anew(run: Runner) -> None:
    token = run.granted("a", "shared", ttl_ms=20_000)
    assert run.upgrade("a", token, ttl_ms=90_000).fields[1] == 90_000
    assert run.lease_left_ms("a") > 80_000


def test_a_try_changes_nothing_while_others_read(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    before = run.snapshot()
    code, fields = run.upgrade("a", token)
    assert (code, fields[:2]) == ("lock_held", [b"shared", 2])
    assert run.snapshot() == before


def test_readers_whose_lease_ended_are_in_nobodys_way(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared", ttl_ms=1_000)
    run.pass_time(1_001)
    assert run.upgrade("a", token).code == "ok"


def test_it_waits_before_all_others_and_keeps_readers_out(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    run.waiting("w")
    stand(run, "a", token)
    assert run.line() == ["a", "w"]
    assert run.acquire("c", "shared").code == "lock_held"
    assert set(run.holders()) == {"a", "b"}, "its shared hold stays"
    with heard(run, HANDED) as told:
        run.release("b")
        run.hand_over()
    assert told == [f"{waiter_of('upgradea')} 0".encode()], "it is told of its turn, once"
    code, (new, *_) = run.upgrade("a", token, wait_ms=WAIT_MS)
    assert (code, run.line()) == ("ok", ["w"])
    assert run.holders() == {"a": new}
    run.release("a")
    assert list(run.holders()) == ["w"]


def test_it_waits_before_a_line_that_is_there_for_readers_too(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    stand(run, "a", token)
    run.waiting("r", "shared")
    run.release("b")
    assert run.line() == ["a", "r"], "no reader goes in past it"


def test_a_second_upgrade_is_refused_at_once(run: Runner) -> None:
    first, second = run.granted("a", "shared"), run.granted("b", "shared")
    stand(run, "a", first)
    before = run.snapshot()
    for wait_ms in (0, WAIT_MS):
        assert run.upgrade("b", second, wait_ms=wait_ms) == ("lock_deadlock", [b"a"])
    assert run.snapshot() == before
    run.withdraw("a", waiter=waiter_of("upgradea"))
    stand(run, "b", second)


def test_an_upgrade_of_a_dead_node_is_in_nobodys_way(run: Runner) -> None:
    first, second = run.granted("a", "shared"), run.granted("b", "shared")
    stand(run, "a", first, session="dead", session_ms=1)
    run.pass_time(2)
    stand(run, "b", second)
    assert run.line() == ["b", "a"]
    run.release("a")
    assert run.upgrade("b", second, wait_ms=WAIT_MS).code == "ok"


def test_one_that_gives_up_keeps_its_shared_hold_and_lets_the_line_go_on(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    stand(run, "a", token)
    run.waiting("r", "shared")
    assert run.withdraw("a", waiter=waiter_of("upgradea")).fields[0] == 1
    assert set(run.holders()) == {"a", "b", "r"}
    assert run.holders()["a"] == token


def test_a_turn_that_nobody_takes_passes_on(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    stand(run, "a", token)
    run.waiting("r", "shared")
    run.release("b")
    assert run.line() == ["a", "r"]
    run.pass_time(2_001)
    run.hand_over()
    assert set(run.holders()) == {"a", "r"}


def test_one_whose_own_lease_ends_while_it_waits_hears_of_it(run: Runner) -> None:
    token = run.granted("a", "shared", ttl_ms=5_000)
    for other in ("b", "c"):
        run.granted(other, "shared", ttl_ms=60_000)
    stand(run, "a", token)
    assert 0 < run.hand_over().fields[0] <= 5_000
    run.pass_time(5_001)
    with heard(run, HANDED) as told:
        run.hand_over()
    assert told == [f"{waiter_of('upgradea')} 0".encode()]
    assert run.upgrade("a", token, wait_ms=WAIT_MS).code == "lock_not_held"


@pytest.mark.parametrize(("own_ms", "other_ms"), [(60_000, 20_000), (20_000, 60_000)])
def test_nodes_look_when_it_may_be_its_turn(run: Runner, own_ms: int, other_ms: int) -> None:
    token = run.granted("a", "shared", ttl_ms=own_ms)
    run.granted("b", "shared", ttl_ms=other_ms)
    run.granted("c", "shared", ttl_ms=1_000)
    stand(run, "a", token)
    assert 10_000 < run.hand_over().fields[0] <= 20_000


def test_attending_tells_of_a_turn_whose_message_was_lost(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    stand(run, "a", token)
    run.hand_over()
    assert run.attend(SESSION).fields[2:] == []
    run.release("b")
    assert run.attend(SESSION).fields[2:] == [waiter_of("upgradea").encode(), b"0"]
    run.upgrade("a", token, wait_ms=WAIT_MS)
    assert run.attend(SESSION).fields[2:] == []


@pytest.mark.parametrize("mode", ["exclusive", "semaphore"])
def test_only_a_shared_hold_is_upgraded(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, detail=detail(limit=1) if mode == "semaphore" else "")
    before = run.snapshot()
    assert run.upgrade("a", token) == ("lock_mode_mismatch", [mode.encode()])
    assert run.snapshot() == before


def test_a_stranger_and_an_old_token_are_refused(run: Runner) -> None:
    token = run.granted("a", "shared")
    before = run.snapshot()
    assert run.upgrade("b", token).code == "lock_not_held"
    assert run.upgrade("a", token - 1).code == "token_stale"
    assert run.upgrade("a", token, resource="free").code == "lock_not_held"
    assert run.snapshot() == before


def test_nothing_is_upgraded_in_quarantine(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.upgrade("a", token).code == "lock_quarantine"


def test_count_metadata_and_longest_time_stay(run: Runner) -> None:
    token = run.granted("a", "shared", detail=detail(reentrant=True, max_hold_ms=40_000, metadata='"m"'))
    run.acquire("a", "shared", detail=detail(reentrant=True))
    reply = run.upgrade("a", token, ttl_ms=90_000)
    assert 35_000 < reply.fields[1] <= 40_000
    assert reply.fields[3] == 2
    held = run.held("a")
    assert (held.holds, held.metadata) == (2, '"m"')
    run.release("a")
    assert run.held("a").mode == "exclusive"


def test_a_repeat_gets_its_grant_and_never_a_dead_one(run: Runner) -> None:
    token = run.granted("a", "shared")
    first = run.upgrade("a", token, request_id="r1")
    assert run.upgrade("a", token, request_id="r1").fields == [*first.fields[:2], 1, 0, 0]
    run.release("a")
    assert run.upgrade("a", token, request_id="r1") == ("lock_released", [str(first.fields[0]).encode()])


def test_a_place_is_not_taken_up_by_another_request(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    stand(run, "a", token, request_id="r1")
    assert run.upgrade("a", token, request_id="r1", fingerprint="other").code == "request_id_reused"


def test_the_sooner_end_of_the_new_hold_is_told(run: Runner) -> None:
    token = run.granted("a", "shared", ttl_ms=60_000)
    run.waiting("w")
    with heard(run, WAKE_CHANNEL) as messages:
        run.upgrade("a", token, ttl_ms=5_000)
    assert messages == [run.key("lock", "res")]


def test_the_largest_token_is_exact(run: Runner) -> None:
    largest = 2**53 - 1
    token = run.granted("a", "shared")
    run.redis.set(run.key("tokens"), largest - 1)
    assert run.upgrade("a", token).fields[0] == largest
    assert run.holders() == {"a": largest}
