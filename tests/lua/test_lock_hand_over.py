"""How a lock passes on, by lock.release, lock.withdraw or lock.hand_over: to whom, to how many, and who is told."""

import pytest

from tests.lua.runner import HANDED, WAKE_CHANNEL, Runner, heard, now_ms, waiter_of

MODES = ("exclusive", "shared")
DEAD = "dead"


def finish(run: Runner, owner: str) -> None:
    """Confirm what it was handed, and release it."""
    assert run.confirm(owner, run.holders()[owner]).code == "ok"
    assert run.release(owner).code == "ok"


def test_writers_are_granted_in_the_order_in_which_they_came(run: Runner) -> None:
    run.granted("a")
    owners = [f"w{number}" for number in range(11)]
    for owner in owners:
        run.waiting(owner)
    run.release("a")
    for owner in owners:
        assert list(run.holders()) == [owner]
        finish(run, owner)
    assert run.holders() == {}


def test_readers_at_the_head_are_let_in_together_up_to_the_next_writer(run: Runner) -> None:
    run.granted("a")
    for owner, mode in (("r1", "shared"), ("r2", "shared"), ("w", "exclusive"), ("r3", "shared")):
        run.waiting(owner, mode)
    tokens = {}
    with heard(run, HANDED) as told:
        run.release("a")
        tokens = run.holders()
    assert set(tokens) == {"r1", "r2"}
    assert told == [f"{waiter_of(owner)} {tokens[owner]}".encode() for owner in ("r1", "r2")]
    assert run.line() == ["w", "r3"]
    finish(run, "r1")
    assert set(run.holders()) == {"r2"}, "the writer waits for both, and no reader passes it"
    finish(run, "r2")
    assert set(run.holders()) == {"w"}
    finish(run, "w")
    assert set(run.holders()) == {"r3"}


def test_a_reader_joins_readers_when_the_writer_before_it_leaves(run: Runner) -> None:
    run.granted("a", "shared")
    run.waiting("w")
    run.waiting("r", "shared")
    assert run.withdraw("w") == ("ok", [1, 0])
    assert set(run.holders()) == {"a", "r"}
    assert run.line() == []


def test_a_reader_waits_for_the_end_of_its_own_hold_and_those_behind_it_too(run: Runner) -> None:
    run.granted("a", "shared", ttl_ms=5_000)
    run.granted("b", "shared", ttl_ms=60_000)
    run.waiting("a", "shared")
    left_ms, waiters, grants, _ = run.hand_over().fields
    assert (waiters, grants) == (1, 0)
    assert 0 < left_ms <= 5_000, "of the two it is its own hold that keeps it out"
    run.pass_time(5_001)
    assert run.hand_over().fields[1:3] == [0, 1]


@pytest.mark.parametrize("mode", MODES)
def test_a_lease_that_ended_is_handed_on_by_whoever_looks(run: Runner, mode: str) -> None:
    run.granted("a", mode, ttl_ms=5_000)
    run.waiting("b")
    left_ms, waiters, grants, more = run.hand_over().fields
    assert (waiters, grants, more) == (1, 0, 0)
    assert 0 < left_ms <= 5_000
    run.pass_time(5_001)
    code, (left_ms, *rest) = run.hand_over()
    assert (code, rest) == ("ok", [0, 1, 0])
    assert 0 < left_ms <= 2_000
    assert set(run.holders()) == {"b"}


def test_a_grant_that_nobody_confirms_passes_on(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    run.waiting("c")
    run.release("a")
    run.pass_time(1_500)
    assert run.hand_over().fields[2] == 0
    run.pass_time(501)
    assert run.hand_over().fields[2] == 1
    assert set(run.holders()) == {"c"}


@pytest.mark.parametrize("mode", MODES)
def test_the_dead_are_passed_over_in_the_call_that_hands_over(run: Runner, mode: str) -> None:
    run.granted("a")
    for number in range(50):
        run.waiting(f"d{number}", MODES[number % 2], session=DEAD)
    run.pass_time(9_000)
    run.waiting("b", mode)
    run.waiting("d50", session=DEAD, session_ms=1)
    run.pass_time(2)
    run.attend()
    assert run.release("a") == ("ok", [])
    assert set(run.holders()) == {"b"}


def test_a_thousand_dead_are_removed_in_one_call_and_the_rest_in_the_next(run: Runner) -> None:
    run.granted("a", ttl_ms=60_000)
    for number in range(1_001):
        run.waiting(f"d{number}", session=DEAD, session_ms=1)
    run.pass_time(2)
    run.waiting("b")
    assert run.release("a") == ("ok", [1])
    assert run.line() == ["d1000", "b"]
    assert run.hand_over().fields[1:] == [0, 1, 0]
    assert set(run.holders()) == {"b"}


def test_a_line_of_the_dead_alone_is_gone_after_one_look(run: Runner) -> None:
    run.granted("a", ttl_ms=1_000)
    run.waiting("d", session=DEAD, session_ms=500)
    run.pass_time(1_001)
    assert run.acquire("b").code == "lock_held"
    assert run.hand_over() == ("ok", [0, 0, 0, 0])
    assert run.kinds() == set()
    assert run.acquire("b").code == "ok"


def test_a_hundred_readers_are_let_in_by_one_call(run: Runner) -> None:
    run.granted("a")
    for number in range(130):
        run.waiting(f"r{number}", "shared")
    assert run.release("a") == ("ok", [1])
    assert len(run.holders()) == 100
    assert run.hand_over().fields[1:] == [0, 30, 0]


def test_the_10001st_reader_is_not_let_in(run: Runner) -> None:
    run.granted("a", "shared", ttl_ms=60_000)
    run.granted("last", "shared", ttl_ms=60_000)
    run.waiting("w")
    owners = [f"many{at}" for at in range(9_998)]
    run.redis.zadd(run.key("readers", "res"), dict.fromkeys(owners, now_ms(run) + 60_000))
    run.redis.hset(run.key("reader_holds", "res"), mapping=dict.fromkeys(owners, "1 1000"))
    run.waiting("r", "shared")
    run.withdraw("w")
    assert run.line() == ["r"]
    run.release("last")
    assert run.line() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_repeated_release_hands_nothing_over_again(run: Runner, mode: str) -> None:
    run.granted("a", mode)
    run.waiting("b")
    run.waiting("c")
    run.release("a", request_id="r1")
    before = run.snapshot()
    assert run.release("a", request_id="r1") == ("ok", [])
    assert run.snapshot() == before


def test_a_release_without_the_counter_ends_the_hold_and_grants_nothing(run: Runner) -> None:
    run.granted("a")
    run.waiting("b")
    run.redis.delete(run.key("tokens"))
    assert run.release("a").code == "ok"
    assert run.holders() == {}
    assert run.line() == ["b"]


def test_tokens_rise_over_every_way_to_be_granted(run: Runner) -> None:
    tokens = [run.granted("a")]
    for owner, mode in (("b", "exclusive"), ("c", "shared"), ("d", "shared")):
        run.waiting(owner, mode)
    run.release("a")
    tokens.append(run.holders()["b"])
    run.release("b")
    tokens += [run.holders()["c"], run.holders()["d"]]
    run.release("c")
    run.release("d")
    tokens.append(run.granted("e"))
    assert tokens == sorted(set(tokens))


def test_the_largest_token_is_handed_over_exactly(run: Runner) -> None:
    largest = 2**53 - 1
    run.granted("a")
    run.waiting("b", request_id="r1")
    run.redis.set(run.key("tokens"), largest - 1)
    run.release("a")
    assert run.holders() == {"b": largest}
    assert run.confirm("b", largest, request_id="r1").fields[0] == largest
    assert run.confirm("b", largest, request_id="r1").fields[0] == largest


# -- nodes look when a hold ends, and hear of it when it ends sooner


def test_a_reader_that_leaves_others_behind_tells_of_the_sooner_end(run: Runner) -> None:
    run.granted("short", "shared", ttl_ms=5_000)
    run.granted("long", "shared", ttl_ms=60_000)
    run.waiting("w")
    with heard(run, WAKE_CHANNEL) as messages:
        run.release("long")
    assert messages == [run.key("lock", "res")]
    assert 0 < run.hand_over().fields[0] <= 5_000


def test_a_lease_that_was_shortened_is_told_by_the_next_look(run: Runner) -> None:
    token = run.granted("a", ttl_ms=60_000)
    run.waiting("b")
    with heard(run, WAKE_CHANNEL) as messages:
        run.hand_over()
        run.renew("a", token, 5_000)
        run.hand_over()
        run.hand_over()
    assert messages == [run.key("lock", "res")], "once"


def test_a_short_lease_after_a_long_one_is_told_when_it_is_confirmed(run: Runner) -> None:
    run.granted("a", ttl_ms=60_000)
    run.waiting("b", ttl_ms=3_000)
    run.waiting("c")
    with heard(run, WAKE_CHANNEL) as messages:
        run.release("a")
        run.confirm("b", run.holders()["b"], 3_000)
    assert messages == [run.key("lock", "res")]


def test_leases_of_one_length_are_handed_on_without_a_word_to_other_nodes(run: Runner) -> None:
    run.granted("a")
    for owner in ("b", "c", "d"):
        run.waiting(owner)
    with heard(run, WAKE_CHANNEL) as messages:
        run.release("a")
        for owner in ("b", "c", "d"):
            finish(run, owner)
    assert messages == []
