"""Semaphores: so many permits, to be held by many, each with a lease of its own."""

from typing import Any

import pytest

from tests.lua.runner import GENERATION, HANDED, QUARANTINE_MS, WAKE_CHANNEL, Reply, Runner, detail, heard, now_ms

OTHERS = ("exclusive", "shared")
DEAD = "dead"


def take(run: Runner, owner: str, permits: int = 1, limit: int = 3, **args: Any) -> Reply:
    return run.acquire(owner, "semaphore", detail=detail(limit=limit, permits=permits), **args)


def taken(run: Runner, owner: str, permits: int = 1, limit: int = 3, **args: Any) -> int:
    reply = take(run, owner, permits, limit, **args)
    assert reply.code == "ok", reply
    return int(reply.fields[0])


def stand(run: Runner, owner: str, permits: int = 1, limit: int = 3, **args: Any) -> int:
    return run.waiting(owner, "semaphore", detail=detail(limit=limit, permits=permits), **args)


def stored(run: Runner) -> bytes:
    return bytes(run.redis.get(run.key("lock", "res")))


def test_so_many_hold_it_as_there_are_permits(run: Runner) -> None:
    tokens = [taken(run, owner) for owner in "abc"]
    assert tokens == sorted(set(tokens))
    assert take(run, "d").code == "lock_held"
    run.release("b")
    taken(run, "d")
    assert set(run.holders()) == {"a", "c", "d"}


def test_permits_are_taken_and_given_back_together(run: Runner) -> None:
    taken(run, "a", 2, limit=5)
    taken(run, "b", 3, limit=5)
    assert take(run, "c", 1, limit=5).code == "lock_held"
    run.release("a")
    assert take(run, "c", 3, limit=5).code == "lock_held"
    taken(run, "c", 2, limit=5)


def test_a_request_for_more_than_are_free_takes_none(run: Runner) -> None:
    taken(run, "a", 2)
    before = run.snapshot()
    assert take(run, "b", 2).code == "lock_held"
    assert run.snapshot() == before
    taken(run, "b", 1)


def test_the_refusal_shows_permits_and_limit(run: Runner) -> None:
    token = taken(run, "a", 2, ttl_ms=60_000)
    other = taken(run, "b", 1, ttl_ms=90_000)
    code, (mode, count, *rest) = take(run, "c")
    assert (code, mode, count) == ("lock_held", b"semaphore", 2)
    assert rest[:2] == [b"b", str(other).encode()]
    assert rest[3:5] == [b"a", str(token).encode()]
    assert rest[6:] == [0, b"3", b"", b"1 0 1 0", b"", b"2 0 2 0", b""]
    assert run.held("a").permits == 2
    assert run.held("a").limit == 3


@pytest.mark.parametrize("other", OTHERS)
def test_modes_keep_each_other_out(run: Runner, other: str) -> None:
    taken(run, "a")
    assert run.acquire("b", other).fields[0] == b"semaphore"
    run.release("a")
    run.granted("b", other)
    assert take(run, "a").fields[0] == other.encode()


def test_the_limit_is_fixed_while_anybody_holds(run: Runner) -> None:
    taken(run, "a")
    before = run.snapshot()
    for limit in (2, 4):
        assert take(run, "b", limit=limit) == ("limit_mismatch", [3])
        assert run.wait("b", "semaphore", detail=detail(limit=limit)) == ("limit_mismatch", [3])
    assert run.snapshot() == before
    run.release("a")
    taken(run, "b", limit=2)


@pytest.mark.parametrize("linger", [False, True])
def test_the_limit_is_free_once_all_leases_ended(run: Runner, linger: bool) -> None:
    taken(run, "a", ttl_ms=1_000)
    run.pass_time(1_001, linger=linger)
    taken(run, "b", limit=1)
    assert take(run, "c", limit=1).code == "lock_held"
    assert run.held("b").limit == 1


def test_the_limit_is_fixed_while_anybody_waits(run: Runner) -> None:
    run.granted("x")
    stand(run, "a", limit=3)
    stand(run, "b", limit=3)
    assert run.wait("c", "semaphore", detail=detail(limit=4)) == ("limit_mismatch", [3])
    run.withdraw("a")
    assert run.wait("c", "semaphore", detail=detail(limit=4)) == ("limit_mismatch", [3])
    run.withdraw("b")
    assert stand(run, "c", limit=4) == 1
    run.release("x")
    assert run.held("c").limit == 4


def test_one_that_waits_for_another_mode_fixes_no_limit(run: Runner) -> None:
    run.granted("x")
    run.waiting("w")
    stand(run, "a", limit=3)
    run.withdraw("a")
    assert stand(run, "b", limit=4) == 2


@pytest.mark.parametrize("linger", [False, True])
def test_ended_permits_are_free_again_and_only_once(run: Runner, linger: bool) -> None:
    taken(run, "short", 2, ttl_ms=1_000)
    taken(run, "long", 1, ttl_ms=60_000)
    run.pass_time(1_001, linger=linger)
    taken(run, "a", 1)
    taken(run, "short", 1)
    assert take(run, "b").code == "lock_held"
    assert stored(run).startswith(b"p3 3 ")
    for owner in ("long", "a", "short"):
        run.release(owner)
    assert run.kinds() == set()


def test_an_owner_that_comes_back_before_its_ended_hold_was_cleared_counts_once(run: Runner) -> None:
    taken(run, "a", 2, limit=9, ttl_ms=1_000)
    taken(run, "b", 1, limit=9, ttl_ms=60_000)
    run.pass_time(1_001)
    taken(run, "a", 3, limit=9)
    assert stored(run).startswith(b"p4 9 "), "there was room: nothing had to be cleared"
    taken(run, "c", 5, limit=9)


def test_renewing_takes_no_permit(run: Runner) -> None:
    token = taken(run, "a", 2)
    for _ in range(3):
        assert run.renew("a", token, 90_000) == ("ok", [90_000, b"semaphore", 0, 0, 2, 3, 0])
    assert stored(run).startswith(b"p2 3 ")
    run.pass_time(89_000)
    assert run.holders() == {"a": token}


def test_the_key_lives_as_long_as_the_last_lease(run: Runner) -> None:
    taken(run, "a", ttl_ms=60_000)
    taken(run, "b", ttl_ms=1_000)
    run.release("b")
    for kind in ("lock", "readers", "reader_holds"):
        assert 50_000 < run.redis.pttl(run.key(kind, "res")) <= 60_000
    run.pass_time(60_001)
    assert run.kinds() == set()


def test_a_holder_itself_takes_no_second_hold(run: Runner) -> None:
    taken(run, "a")
    assert take(run, "a").code == "lock_held"


def test_ended_holds_are_cleared_a_thousand_at_a_time(run: Runner) -> None:
    taken(run, "live", 1, limit=5_000, ttl_ms=60_000)
    _many(run, 2_500, ends_in_ms=-1_000, limit=5_000)
    assert stored(run).startswith(b"p2501 5000 ")
    assert take(run, "a", 4_900, limit=5_000).code == "lock_held"
    assert run.redis.zcard(run.key("readers", "res")) == 1_501
    assert take(run, "a", 4_900, limit=5_000).code == "lock_held"
    taken(run, "a", 4_900, limit=5_000)
    assert stored(run).startswith(b"p4901 5000 ")
    assert take(run, "b", 100, limit=5_000).code == "lock_held"
    taken(run, "b", 99, limit=5_000)


def test_the_largest_semaphore_is_full_when_all_its_permits_are_taken(run: Runner) -> None:
    taken(run, "a", 1, limit=10_000, ttl_ms=60_000)
    _many(run, 9_999, ends_in_ms=50_000, limit=10_000)
    assert take(run, "b", limit=10_000).code == "lock_held"
    stand(run, "b", limit=10_000)
    assert run.hand_over().fields[0] <= 50_000, "any of them may be the one to make room"
    run.release("a")
    assert run.line() == []


# -- in line


def test_as_many_are_let_in_as_there_are_permits(run: Runner) -> None:
    run.granted("x")
    for owner in "abcd":
        stand(run, owner)
    with heard(run, HANDED) as told:
        run.release("x")
    assert set(run.holders()) == {"a", "b", "c"}
    assert len(told) == 3
    assert run.line() == ["d"]
    run.release("b")
    assert set(run.holders()) == {"a", "c", "d"}


def test_one_that_wants_many_is_not_overtaken_by_those_who_want_few(run: Runner) -> None:
    taken(run, "a", 1)
    taken(run, "b", 1)
    stand(run, "big", 3)
    stand(run, "small", 1)
    assert take(run, "late", 1).code == "lock_held"
    run.release("a")
    assert set(run.holders()) == {"b"}
    run.release("b")
    assert set(run.holders()) == {"big"}
    assert run.line() == ["small"]


@pytest.mark.parametrize("other", OTHERS)
def test_nobody_passes_one_that_waits_in_another_mode(run: Runner, other: str) -> None:
    taken(run, "a")
    run.waiting("w", other)
    assert take(run, "b").code == "lock_held"
    stand(run, "b")
    run.release("a")
    assert set(run.holders()) == {"w"}
    run.release("w")
    assert set(run.holders()) == {"b"}


def test_a_lease_that_ended_hands_its_permits_over_while_others_run(run: Runner) -> None:
    taken(run, "short", 2, ttl_ms=1_000)
    taken(run, "long", 1, ttl_ms=60_000)
    stand(run, "w", 2)
    left_ms, waiters, grants, _ = run.hand_over().fields
    assert (waiters, grants) == (1, 0)
    assert 0 < left_ms <= 1_000, "the first end may do"
    run.pass_time(1_001)
    assert run.hand_over().fields[1:3] == [0, 1]
    assert set(run.holders()) == {"w", "long"}


def test_one_that_holds_a_permit_waits_for_the_end_of_its_own_hold(run: Runner) -> None:
    taken(run, "a", ttl_ms=5_000)
    taken(run, "b", ttl_ms=1_000)
    stand(run, "a")
    assert 1_000 < run.hand_over().fields[0] <= 5_000
    run.pass_time(5_001)
    assert run.hand_over().fields[2] == 1


def test_a_grant_that_nobody_confirms_frees_its_permits(run: Runner) -> None:
    taken(run, "a", 3)
    stand(run, "b", 2)
    stand(run, "c", 2)
    run.release("a")
    assert set(run.holders()) == {"b"}
    run.pass_time(2_001)
    assert run.hand_over().fields[2] == 1
    assert set(run.holders()) == {"c"}
    run.confirm("c", run.holders()["c"])
    assert stored(run).startswith(b"p2 3 ")


def test_a_confirmed_grant_counts_its_permits_once(run: Runner) -> None:
    taken(run, "a", 1)
    token = int(run.wait("b", "semaphore", detail=detail(limit=3, permits=2)).fields[3])
    assert run.confirm("b", token, 60_000).code == "ok"
    assert stored(run).startswith(b"p3 3 ")
    assert 50_000 < run.lease_left_ms("b") <= 60_000


def test_a_grant_whose_client_is_gone_frees_its_permits_at_once(run: Runner) -> None:
    run.granted("x")
    stand(run, "a", 2)
    stand(run, "b", 2)
    run.release("x")
    run.withdraw("a")
    assert set(run.holders()) == {"b"}
    assert stored(run).startswith(b"p2 3 ")


def test_dead_waiters_are_passed_over_and_fix_no_limit_any_more(run: Runner) -> None:
    run.granted("x", ttl_ms=60_000)
    stand(run, "d", limit=7, session=DEAD, session_ms=1)
    run.pass_time(2)
    run.release("x")
    assert run.kinds() == set()
    taken(run, "a", limit=3)


def test_the_end_of_a_lease_shorter_than_was_said_is_told(run: Runner) -> None:
    taken(run, "a", 3, ttl_ms=60_000)
    stand(run, "b", ttl_ms=3_000)
    stand(run, "c", 3)
    with heard(run, WAKE_CHANNEL) as messages:
        run.release("a")
        run.confirm("b", run.holders()["b"], 3_000)
    assert messages == [run.key("lock", "res")]


def test_releases_among_many_wake_no_other_node(run: Runner) -> None:
    for owner in ("a", "b", "c"):
        taken(run, owner)
    for number in range(6):
        stand(run, f"w{number}")
    with heard(run, WAKE_CHANNEL) as messages:
        for _ in range(6):
            owner = next(iter(run.holders()))
            run.release(owner)
            for one, token in run.holders().items():
                if one.startswith("w"):
                    run.confirm(one, token)
    assert messages == []


# -- after a loss of data


def test_permits_are_taken_up_again_up_to_the_limit(run: Runner) -> None:
    tokens = {owner: taken(run, owner, permits) for owner, permits in (("a", 1), ("b", 2))}
    run.lose_everything()
    assert take(run, "c").code == "lock_quarantine"
    for owner, permits in (("a", 1), ("b", 2)):
        for _ in range(2):
            assert run.reattach(owner, tokens[owner], "semaphore", more=f"0 {permits} 3 0").code == "ok"
    assert run.holders() == tokens
    assert stored(run).startswith(b"p3 3 ")
    before = run.snapshot()
    assert run.reattach("late", tokens["a"] - 1, "semaphore", more="0 1 3 0") == ("lock_lost", [])
    assert run.snapshot() == before


def test_of_two_limits_the_one_of_the_higher_token_stands(run: Runner) -> None:
    old = (GENERATION << 36) + 5
    run.lose_everything()
    run.reattach("a", old, "semaphore", more="0 1 3 0")
    run.reattach("b", old + 1, "semaphore", more="0 1 3 0")
    assert run.reattach("c", old - 1, "semaphore", more="0 1 4 0").code == "lock_lost"
    assert run.reattach("c", old + 2, "semaphore", more="0 2 4 0").code == "ok"
    assert run.holders() == {"c": old + 2}
    assert stored(run).startswith(b"p2 4 ")


@pytest.mark.parametrize("other", OTHERS)
def test_a_semaphore_and_another_mode_exclude_each_other_after_a_loss(run: Runner, other: str) -> None:
    old = (GENERATION << 36) + 5
    run.lose_everything()
    run.reattach("a", old, "semaphore", more="0 1 3 0")
    assert run.reattach("b", old - 1, other).code == "lock_lost"
    assert run.reattach("b", old + 1, other).code == "ok"
    assert run.holders() == {"b": old + 1}
    assert run.reattach("a", old, "semaphore", more="0 1 3 0").code == "lock_lost"
    assert run.reattach("a", old + 2, "semaphore", more="0 1 3 0").code == "ok"
    assert run.holders() == {"a": old + 2}


def test_an_owners_own_earlier_hold_makes_room_for_its_later_one(run: Runner) -> None:
    old = (GENERATION << 36) + 5
    run.lose_everything()
    run.reattach("a", old, "semaphore", more="0 1 3 0")
    run.reattach("b", old + 1, "semaphore", more="0 1 3 0")
    assert run.reattach("a", old + 2, "semaphore", more="0 3 3 0").code == "lock_lost"
    assert run.reattach("a", old + 2, "semaphore", more="0 2 3 0").code == "ok"
    assert stored(run).startswith(b"p3 3 ")


def test_a_hold_that_redis_kept_is_renewed_in_quarantine(run: Runner) -> None:
    token = taken(run, "a", 2)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.renew("a", token).code == "lock_quarantine"
    assert run.reattach("a", token, "semaphore", 90_000, more="0 2 3 0") == ("ok", [90_000, b"semaphore"])
    assert stored(run).startswith(b"p2 3 ")


def _many(run: Runner, number: int, *, ends_in_ms: int, limit: int) -> None:
    """Holds of one permit each as the script stores them, in one go."""
    owners = [f"many{at}" for at in range(number)]
    run.redis.zadd(run.key("readers", "res"), dict.fromkeys(owners, now_ms(run) + ends_in_ms))
    run.redis.hset(run.key("reader_holds", "res"), mapping=dict.fromkeys(owners, "1 1000 0 1 1 0 "))
    before = int(stored(run).split()[0][1:])
    run.redis.set(run.key("lock", "res"), f"p{before + number} {limit} 0 ", keepttl=True)
