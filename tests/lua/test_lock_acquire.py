"""lock.acquire: who is granted what, and what a refusal says."""

import pytest

from tests.lua.runner import COUNTER_BITS, GENERATION, Runner, now_ms

FLOOR = GENERATION << COUNTER_BITS
MODES = ("exclusive", "shared")


def test_a_free_lock_is_granted_with_the_first_token_above_the_floor(run: Runner) -> None:
    assert run.acquire("a", ttl_ms=1_000) == ("ok", [FLOOR + 1, 1_000])


def test_every_grant_has_a_higher_token_than_any_grant_before(run: Runner) -> None:
    tokens = []
    for number in range(6):
        mode, resource = MODES[number % 2], f"res{number % 3}"
        tokens.append(run.granted("a", mode, resource=resource))
        run.release("a", resource=resource)
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize("mode", MODES)
def test_an_exclusive_hold_keeps_everybody_out(run: Runner, mode: str) -> None:
    token = run.granted("a", ttl_ms=20_000)
    code, (held_mode, count, owner, shown_token, left_ms, _) = run.acquire("b", mode)
    assert (code, held_mode, count, owner, int(shown_token)) == ("lock_held", b"exclusive", 1, b"a", token)
    assert 15_000 < left_ms <= 20_000


@pytest.mark.parametrize("mode", MODES)
def test_the_holder_itself_is_refused_too(run: Runner, mode: str) -> None:
    run.granted("a", mode)
    assert run.acquire("a", mode).code == "lock_held"


def test_a_refusal_changes_nothing(run: Runner) -> None:
    run.granted("a")
    before = run.snapshot()
    run.acquire("b", request_id="r1")
    assert run.snapshot() == before


def test_shared_holders_stand_together_and_keep_a_writer_out(run: Runner) -> None:
    tokens = {owner: run.granted(owner, "shared") for owner in ("a", "b", "c")}
    assert run.holders() == tokens
    code, fields = run.acquire("w")
    assert (code, fields[:2]) == ("lock_held", [b"shared", 3])
    assert {fields[2], fields[5], fields[8]} == {b"a", b"b", b"c"}


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("later", MODES)
@pytest.mark.parametrize("earlier", MODES)
def test_a_lease_that_ended_is_taken_over_whole(run: Runner, earlier: str, later: str, linger: bool) -> None:
    first = run.granted("a", earlier, ttl_ms=1_000)
    run.pass_time(1_001, linger=linger)
    second = run.granted("b", later)
    assert second > first
    assert run.holders() == {"b": second}
    assert run.renew("a", first).code == "lock_lost"
    assert run.release("a").code == "lock_not_held"
    run.release("b")
    assert run.kinds() == set()


@pytest.mark.parametrize("mode", MODES)
def test_a_lease_that_runs_is_not_taken_over(run: Runner, mode: str) -> None:
    run.granted("a", mode, ttl_ms=30_000)
    run.pass_time(25_000)
    assert run.acquire("b").code == "lock_held"


def test_one_live_reader_of_many_keeps_a_writer_out(run: Runner) -> None:
    run.granted("short", "shared", ttl_ms=1_000)
    token = run.granted("long", "shared", ttl_ms=20_000)
    run.pass_time(1_001)
    assert run.acquire("w").fields[:3] == [b"shared", 1, b"long"]
    assert run.holders() == {"long": token}


def test_a_reader_whose_lease_ended_may_come_back_with_a_new_token(run: Runner) -> None:
    run.granted("other", "shared", ttl_ms=30_000)
    first = run.granted("a", "shared", ttl_ms=1_000)
    run.pass_time(1_001)
    second = run.granted("a", "shared")
    assert second > first
    assert run.renew("a", first).code == "lock_lost"
    assert run.holders()["a"] == second


def test_a_shared_grant_does_not_shorten_the_lock_of_other_readers(run: Runner) -> None:
    token = run.granted("long", "shared", ttl_ms=20_000)
    run.granted("short", "shared", ttl_ms=1_000)
    run.pass_time(1_001)
    assert run.holders() == {"long": token}


def test_an_exclusive_lease_ends_by_itself_in_redis(run: Runner) -> None:
    run.granted("a", ttl_ms=5_000)
    assert 0 < run.redis.pttl(run.key("lock", "res")) <= 5_001


def test_shared_leases_end_by_themselves_with_the_longest(run: Runner) -> None:
    run.granted("a", "shared", ttl_ms=9_000)
    run.granted("b", "shared", ttl_ms=5_000)
    for kind in ("lock", "readers"):
        assert 6_000 < run.redis.pttl(run.key(kind, "res")) <= 9_001


def test_a_refusal_shows_a_hundred_holders_and_counts_all(run: Runner) -> None:
    for number in range(101):
        run.granted(f"o{number}", "shared", ttl_ms=20_000 + number * 10)
    code, (mode, count, *shown) = run.acquire("w")
    assert (code, mode, count, len(shown)) == ("lock_held", b"shared", 101, 301)
    assert shown[0] == b"o100", "the last to end comes first"
    assert b"o0" not in shown


def test_the_10001st_reader_is_refused(run: Runner) -> None:
    run.granted("a", "shared")
    _add_readers(run, 9_998, ends_in_ms=60_000)
    run.granted("last", "shared")
    assert run.acquire("b", "shared", request_id="r1") == ("lock_holders_full", [])
    assert run.redis.zcard(run.key("readers", "res")) == 10_000
    assert run.kinds() == {"lock", "readers", "reader_holds"}


def test_readers_whose_lease_ended_do_not_count_and_leave_a_hundred_at_a_time(run: Runner) -> None:
    run.granted("a", "shared", ttl_ms=60_000)
    _add_readers(run, 250, ends_in_ms=-1_000)
    for left in (150, 50, 0):
        run.granted(f"after{left}", "shared")
        gone = run.redis.zcount(run.key("readers", "res"), "-inf", now_ms(run))
        holds = [owner for owner in run.redis.hkeys(run.key("reader_holds", "res")) if owner.startswith(b"many")]
        assert (gone, len(holds)) == (left, left)


@pytest.mark.parametrize("mode", MODES)
def test_a_lost_counter_grants_nothing(run: Runner, mode: str) -> None:
    run.redis.delete(run.key("tokens"))
    before = run.snapshot()
    assert run.acquire("a", mode, request_id="r1") == ("fence_missing", [])
    assert run.snapshot() == before


def test_a_counter_below_its_floor_grants_nothing(run: Runner) -> None:
    run.redis.set(run.key("tokens"), FLOOR - 1)
    assert run.acquire("a").code == "fence_missing"


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_token_is_exact_everywhere(run: Runner, mode: str) -> None:
    largest = 2**53 - 1
    run.redis.set(run.key("tokens"), largest - 1)
    assert run.granted("a", mode, request_id="r1") == largest
    assert run.granted("a", mode, request_id="r1") == largest, "through the kept outcome"
    assert run.holders() == {"a": largest}
    assert run.renew("a", largest).code == "ok"
    assert run.release("a", largest - 1).code == "token_stale"
    assert run.release("a", largest).code == "ok"
    assert run.acquire("a", mode, request_id="r1") == ("lock_released", [b"9007199254740991"])


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_gets_the_same_grant_and_no_second_one(run: Runner, mode: str) -> None:
    first = run.acquire("a", mode, request_id="r1", ttl_ms=20_000)
    before = run.snapshot()
    assert run.acquire("a", mode, request_id="r1", ttl_ms=20_000) == ("ok", [*first.fields, 1])
    # But for the note that it was told again: see lock.give_back.
    outcome = run.key("outcome", "r1")
    assert {**run.snapshot(), outcome: before[outcome]} == before


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_after_a_renewal_still_gets_its_grant(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, request_id="r1")
    run.renew("a", token, 25_000)
    assert run.granted("a", mode, request_id="r1") == token


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_after_the_release_never_gets_the_dead_token(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, request_id="r1")
    run.release("a")
    assert run.acquire("a", mode, request_id="r1") == ("lock_released", [str(token).encode()])


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_after_the_end_of_the_lease_never_gets_the_dead_token(run: Runner, mode: str, linger: bool) -> None:
    run.granted("other", "shared", ttl_ms=60_000, resource="elsewhere")
    run.granted("a", mode, request_id="r1", ttl_ms=1_000)
    run.pass_time(1_001, linger=linger)
    assert run.acquire("a", mode, request_id="r1").code == "lock_released"


@pytest.mark.parametrize("later", MODES)
@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_after_a_newer_grant_to_the_same_owner_is_lock_released(run: Runner, mode: str, later: str) -> None:
    run.granted("a", mode, request_id="r1")
    run.release("a")
    token = run.granted("a", later)
    assert run.acquire("a", mode, request_id="r1").code == "lock_released"
    assert run.holders() == {"a": token}


def test_a_repeat_of_a_refused_request_is_judged_again(run: Runner) -> None:
    run.granted("a")
    assert run.acquire("b", request_id="r1").code == "lock_held"
    run.release("a")
    assert run.acquire("b", request_id="r1").code == "ok"


def test_owner_names_that_look_like_fields_do_not_meet(run: Runner) -> None:
    names = ["x1 2 0 b", "s0 0 1 ", "0", "a", "a b", " "]
    tokens = {owner: run.granted(owner, "shared") for owner in names}
    assert run.holders() == tokens
    for owner, token in tokens.items():
        assert run.renew(owner, token).code == "ok"
        assert run.release(owner, token).code == "ok"
    assert run.kinds() == set()


def _add_readers(run: Runner, number: int, *, ends_in_ms: int) -> None:
    """Readers as the script stores them, in one go."""
    ends_at = now_ms(run) + ends_in_ms
    owners = [f"many{at}" for at in range(number)]
    run.redis.zadd(run.key("readers", "res"), dict.fromkeys(owners, ends_at))
    run.redis.hset(run.key("reader_holds", "res"), mapping=dict.fromkeys(owners, "1 1000"))
