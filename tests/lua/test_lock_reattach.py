"""lock.reattach: which of the holds that Redis lost come back, and against which others."""

from typing import Any

import pytest

from tests.lua.runner import COUNTER_BITS, GENERATION, QUARANTINE_MS, Runner, now_ms

MODES = ("exclusive", "shared")
OLD = GENERATION << COUNTER_BITS
"""Tokens of before the loss are this and a little more."""
READERS_COMPARED_MAX = 100


def refused(run: Runner, owner: str, token: int, mode: str = "exclusive", **args: Any) -> bool:
    """Whether the hold is lost, and trying to take it up left everything as it was."""
    before = run.snapshot()
    if run.reattach(owner, token, mode, **args) != ("lock_lost", []):
        return False
    assert run.snapshot() == before
    return True


@pytest.mark.parametrize("mode", MODES)
def test_a_lost_hold_comes_back_with_its_token_and_a_new_lease(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.lose_everything()
    assert run.reattach("a", token, mode, 20_000) == ("ok", [20_000, mode.encode()])
    assert run.holders() == {"a": token}
    assert 10_000 < run.lease_left_ms("a") <= 20_000
    assert run.acquire("w").fields[0] == mode.encode()
    assert run.release("a", token).code == "ok"
    assert run.kinds() == {"quarantine"}


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_came_back_is_renewed_after_the_quarantine_as_any_other(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.lose_everything()
    run.reattach("a", token, mode, 90_000)
    run.pass_time(QUARANTINE_MS)
    assert run.renew("a", token) == ("ok", [90_000, mode.encode()])


@pytest.mark.parametrize("ttl_ms", [20_000, 40_000])
@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_redis_kept_stands_not_against_itself(run: Runner, mode: str, ttl_ms: int) -> None:
    token = run.granted("a", mode, ttl_ms=30_000)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.reattach("a", token, mode, ttl_ms) == ("ok", [ttl_ms, mode.encode()])
    assert run.holders() == {"a": token}
    assert ttl_ms - 10_000 < run.lease_left_ms("a") <= ttl_ms


def test_a_reader_that_redis_kept_takes_up_its_own_hold_and_no_others(run: Runner) -> None:
    tokens = {name: run.granted(name, "shared", ttl_ms=30_000) for name in ("a", "b", "c")}
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.reattach("b", tokens["b"], "shared", 90_000).code == "ok"
    assert run.holders() == tokens
    assert run.lease_left_ms("a") <= 30_000 < run.lease_left_ms("b")


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_came_back_ends_by_itself(run: Runner, mode: str) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 1, mode, 5_000)
    for kind in ("lock", "readers", "reader_holds")[: 1 if mode == "exclusive" else 3]:
        assert 0 < run.redis.pttl(run.key(kind, "res")) <= 5_001
    run.pass_time(5_001)
    assert run.kinds() == {"quarantine"}


@pytest.mark.parametrize("mode", MODES)
def test_nothing_comes_back_once_the_quarantine_is_over(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.lose_everything(60_000)
    run.pass_time(60_000)
    assert refused(run, "a", token, mode, request_id="r1")
    run.lift()
    assert refused(run, "a", token, mode)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_comes_back_when_there_is_no_quarantine(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.lose_everything(quarantine_ms=0)
    assert refused(run, "a", token, mode)


@pytest.mark.parametrize("mode", MODES)
def test_only_tokens_of_older_generations_come_back(run: Runner, mode: str) -> None:
    run.lose_everything()
    floor = run.generation << COUNTER_BITS
    for token in (floor, floor + 1, 2**53 - 1):
        assert refused(run, "a", token, mode)
    assert run.reattach("a", floor - 1, mode).code == "ok"


@pytest.mark.parametrize(
    ("earlier", "later", "owner"),
    [
        ("exclusive", "exclusive", "b"),
        ("exclusive", "shared", "b"),
        ("shared", "exclusive", "b"),
        ("exclusive", "exclusive", "a"),
        ("exclusive", "shared", "a"),
        ("shared", "exclusive", "a"),
        ("shared", "shared", "a"),
    ],
)
def test_a_higher_token_stays_whichever_comes_first(run: Runner, earlier: str, later: str, owner: str) -> None:
    """All that exclude each other; one owner has one hold, in whatever mode."""
    run.lose_everything()
    low, high = OLD + 5, OLD + 7
    run.reattach("a", low, earlier, resource="upwards")
    assert run.reattach(owner, high, later, resource="upwards").code == "ok"
    assert run.holders("upwards") == {owner: high}

    run.reattach(owner, high, later, resource="downwards")
    assert refused(run, "a", low, earlier, resource="downwards")
    assert run.holders("downwards") == {owner: high}


@pytest.mark.parametrize("later", MODES)
@pytest.mark.parametrize("earlier", MODES)
def test_what_gave_way_leaves_nothing_behind(run: Runner, earlier: str, later: str) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 5, earlier)
    run.reattach("a", OLD + 7, later)
    assert run.release("a", OLD + 5).code == "token_stale"
    assert run.release("a", OLD + 7).code == "ok"
    assert run.kinds() == {"quarantine"}


@pytest.mark.parametrize("first", [5, 7])
def test_readers_come_back_beside_each_other_in_any_order(run: Runner, first: int) -> None:
    run.lose_everything()
    assert run.reattach("a", OLD + first, "shared", 20_000).code == "ok"
    assert run.reattach("b", OLD + 12 - first, "shared", 40_000).code == "ok"
    assert run.holders() == {"a": OLD + first, "b": OLD + 12 - first}
    assert run.redis.pttl(run.key("lock", "res")) > 30_000, "the longest lease keeps the keys"


def test_one_later_reader_among_many_keeps_a_writer_out(run: Runner) -> None:
    run.lose_everything()
    for number in (1, 9, 2):
        run.reattach(f"r{number}", OLD + number, "shared")
    assert refused(run, "w", OLD + 5)
    assert run.reattach("w", OLD + 10).code == "ok"
    assert run.holders() == {"w": OLD + 10}


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_later_hold_that_ended_stands_against_nobody(run: Runner, mode: str, linger: bool) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 7, mode, 1_000)
    run.pass_time(1_001, linger=linger)
    assert run.reattach("b", OLD + 5).code == "ok"
    assert run.holders() == {"b": OLD + 5}


@pytest.mark.parametrize("linger", [False, True])
def test_a_readers_own_later_hold_that_ended_stands_against_nothing(run: Runner, linger: bool) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 7, "shared", 1_000)
    run.reattach("b", OLD + 8, "shared")
    run.pass_time(1_001, linger=linger)
    assert run.reattach("a", OLD + 5, "shared").code == "ok"
    assert run.holders() == {"a": OLD + 5, "b": OLD + 8}


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_is_there_already_is_renewed_and_may_be_shorter(run: Runner, mode: str) -> None:
    run.lose_everything()
    for ttl_ms in (20_000, 40_000, 5_000):
        assert run.reattach("a", OLD + 1, mode, ttl_ms).code == "ok"
        assert ttl_ms - 5_000 < run.lease_left_ms("a") <= ttl_ms
    assert run.redis.pttl(run.key("lock", "res")) <= 5_001


def test_readers_beyond_those_compared_keep_a_writer_out(run: Runner) -> None:
    run.lose_everything()
    _add_readers(run, READERS_COMPARED_MAX)
    assert run.reattach("w", OLD + 5, resource="res").code == "ok"
    assert run.holders() == {"w": OLD + 5}
    run.release("w")
    _add_readers(run, READERS_COMPARED_MAX + 1)
    assert refused(run, "w", OLD + 5)


def test_readers_whose_lease_ended_are_not_among_those_compared(run: Runner) -> None:
    run.lose_everything()
    run.reattach("last", OLD + 1, "shared")
    _add_readers(run, 2 * READERS_COMPARED_MAX, ends_in_ms=-1_000)
    assert run.reattach("w", OLD + 5).code == "ok"


def test_the_10001st_reader_is_refused(run: Runner) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 5, "shared")
    _add_readers(run, 9_998)
    _add_readers(run, 50, ends_in_ms=-1_000, name="ended")
    assert run.reattach("last", OLD + 5, "shared").code == "ok"
    assert refused(run, "b", OLD + 5, "shared")
    assert run.reattach("a", OLD + 6, "shared").code == "ok", "one that is there already is no further one"


def test_readers_whose_lease_ended_leave_a_hundred_at_a_time(run: Runner) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 1, "shared")
    _add_readers(run, 150, ends_in_ms=-1_000)
    for left in (50, 0):
        run.reattach("a", OLD + 1, "shared")
        holds = [owner for owner in run.redis.hkeys(run.key("reader_holds", "res")) if owner.startswith(b"many")]
        assert (run.redis.zcount(run.key("readers", "res"), "-inf", now_ms(run)), len(holds)) == (left, left)


@pytest.mark.parametrize("mode", MODES)
def test_those_who_wait_get_the_lock_after_the_hold_taken_up(run: Runner, mode: str) -> None:
    run.lose_everything(60_000)
    run.waiting("w")
    run.reattach("a", OLD + 5, mode, ttl_ms=90_000)
    run.pass_time(60_001)
    run.attend()
    assert run.hand_over().fields[1:3] == [1, 0]
    assert list(run.holders()) == ["a"]
    assert run.release("a").code == "ok"
    assert list(run.holders()) == ["w"]


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_gets_the_first_outcome_and_no_longer_lease(run: Runner, mode: str) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 1, mode, 20_000, request_id="r1")
    run.pass_time(10_000)
    assert run.reattach("a", OLD + 1, mode, 20_000, request_id="r1") == ("ok", [20_000, mode.encode(), 1])
    assert run.lease_left_ms("a") <= 10_000


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_is_still_true_after_the_quarantine(run: Runner, mode: str) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 1, mode, 90_000, request_id="r1")
    run.pass_time(QUARANTINE_MS)
    assert run.reattach("a", OLD + 1, mode, 90_000, request_id="r1") == ("ok", [90_000, mode.encode(), 1])


@pytest.mark.parametrize("end", ["release", "time", "a later hold"])
@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_never_tells_of_a_hold_that_ended_since(run: Runner, mode: str, end: str) -> None:
    run.lose_everything()
    run.reattach("a", OLD + 5, mode, 20_000, request_id="r1")
    if end == "release":
        run.release("a")
    elif end == "time":
        run.pass_time(20_001)
    else:
        run.reattach("b", OLD + 7)
    assert run.reattach("a", OLD + 5, mode, 20_000, request_id="r1") == ("lock_lost", [])
    assert run.holders() == ({"b": OLD + 7} if end == "a later hold" else {})


def test_a_repeat_of_a_renewal_of_before_the_loss_is_one_only_if_redis_kept_the_hold(run: Runner) -> None:
    """Both ways of renewing share the request id, for the client sent one request."""
    token = run.granted("a")
    run.renew("a", token, 20_000, request_id="r1")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.reattach("a", token, ttl_ms=20_000, request_id="r1") == ("ok", [20_000, b"exclusive", 1])
    run.release("a")
    assert run.reattach("a", token, ttl_ms=20_000, request_id="r1") == ("lock_lost", [])


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_token_of_an_older_generation_is_compared_exactly(run: Runner, mode: str) -> None:
    last = 2**17 - 1
    run.install(last, quarantine_ms=QUARANTINE_MS)
    largest = (last << COUNTER_BITS) - 1
    assert run.reattach("a", largest - 1, mode).code == "ok"
    assert run.reattach("b", largest).code == "ok"
    assert refused(run, "a", largest - 1, mode)
    assert run.holders() == {"b": largest}


def _add_readers(run: Runner, number: int, *, ends_in_ms: int = 50_000, name: str = "many") -> None:
    """Readers as the script stores them, in one go, all with a lower token than any of a test's."""
    if not run.redis.exists(run.key("lock", "res")):
        run.reattach("first", OLD + 1, "shared")
        number -= 1
    ends_at = now_ms(run) + ends_in_ms
    owners = [f"{name}{at}" for at in range(number)]
    run.redis.zadd(run.key("readers", "res"), dict.fromkeys(owners, ends_at))
    run.redis.hset(run.key("reader_holds", "res"), mapping=dict.fromkeys(owners, "1 1000"))
