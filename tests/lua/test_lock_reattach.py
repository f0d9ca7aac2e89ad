"""lock.reattach: which of the holds that Redis lost come back, and against which others."""

import pytest

from tests.lua.runner import COUNTER_BITS, GENERATION, QUARANTINE_MS, WAKE_CHANNEL, Runner, heard, now_ms

MODES = ("exclusive", "shared")
OLD = GENERATION << COUNTER_BITS
"""Tokens of before the loss are this and a little more."""
READERS_COMPARED_MAX = 100


@pytest.fixture
def lost(run: Runner) -> Runner:
    """A partition that lost everything and is in quarantine."""
    run.lose_everything()
    return run


def refused(run: Runner, owner: str, token: int, mode: str = "exclusive", **args: str) -> bool:
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
    assert run.renew("a", token) == ("ok", [20_000, mode.encode()])
    assert run.release("a", token).code == "ok"
    assert run.kinds() == {"quarantine"}


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_came_back_ends_by_itself(lost: Runner, mode: str) -> None:
    lost.reattach("a", OLD + 1, mode, 5_000)
    for kind in ("lock", "readers", "reader_holds")[: 1 if mode == "exclusive" else 3]:
        assert 0 < lost.redis.pttl(lost.key(kind, "res")) <= 5_001
    lost.pass_time(5_001)
    assert lost.kinds() == {"quarantine"}


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
def test_only_tokens_of_older_generations_come_back(lost: Runner, mode: str) -> None:
    floor = lost.generation << COUNTER_BITS
    for token in (floor, floor + 1, 2**53 - 1):
        assert refused(lost, "a", token, mode)
    assert lost.reattach("a", floor - 1, mode).code == "ok"


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
def test_a_higher_token_stays_whichever_comes_first(lost: Runner, earlier: str, later: str, owner: str) -> None:
    """All that exclude each other; one owner has one hold, in whatever mode."""
    low, high = OLD + 5, OLD + 7
    lost.reattach("a", low, earlier, resource="upwards")
    assert lost.reattach(owner, high, later, resource="upwards").code == "ok"
    assert lost.holders("upwards") == {owner: high}

    lost.reattach(owner, high, later, resource="downwards")
    assert refused(lost, "a", low, earlier, resource="downwards")
    assert lost.holders("downwards") == {owner: high}


@pytest.mark.parametrize("later", MODES)
@pytest.mark.parametrize("earlier", MODES)
def test_what_gave_way_leaves_nothing_behind(lost: Runner, earlier: str, later: str) -> None:
    lost.reattach("a", OLD + 5, earlier)
    lost.reattach("a", OLD + 7, later)
    assert lost.release("a", OLD + 5).code == "token_stale"
    assert lost.release("a", OLD + 7).code == "ok"
    assert lost.kinds() == {"quarantine"}


@pytest.mark.parametrize("first", [5, 7])
def test_readers_come_back_beside_each_other_in_any_order(lost: Runner, first: int) -> None:
    assert lost.reattach("a", OLD + first, "shared", 20_000).code == "ok"
    assert lost.reattach("b", OLD + 12 - first, "shared", 40_000).code == "ok"
    assert lost.holders() == {"a": OLD + first, "b": OLD + 12 - first}
    assert lost.redis.pttl(lost.key("lock", "res")) > 30_000, "the longest lease keeps the keys"


def test_one_later_reader_among_many_keeps_a_writer_out(lost: Runner) -> None:
    for number in (1, 9, 2):
        lost.reattach(f"r{number}", OLD + number, "shared")
    assert refused(lost, "w", OLD + 5)
    assert lost.reattach("w", OLD + 10).code == "ok"
    assert lost.holders() == {"w": OLD + 10}


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_later_hold_that_ended_stands_against_nobody(lost: Runner, mode: str, linger: bool) -> None:
    lost.reattach("a", OLD + 7, mode, 1_000)
    lost.pass_time(1_001, linger=linger)
    assert lost.reattach("b", OLD + 5).code == "ok"
    assert lost.holders() == {"b": OLD + 5}


@pytest.mark.parametrize("linger", [False, True])
def test_a_readers_own_later_hold_that_ended_stands_against_nothing(lost: Runner, linger: bool) -> None:
    lost.reattach("a", OLD + 7, "shared", 1_000)
    lost.reattach("b", OLD + 8, "shared")
    lost.pass_time(1_001, linger=linger)
    assert lost.reattach("a", OLD + 5, "shared").code == "ok"
    assert lost.holders() == {"a": OLD + 5, "b": OLD + 8}


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_is_there_already_is_renewed_and_may_be_shorter(lost: Runner, mode: str) -> None:
    for ttl_ms in (20_000, 40_000, 5_000):
        assert lost.reattach("a", OLD + 1, mode, ttl_ms).code == "ok"
        assert ttl_ms - 5_000 < lost.lease_left_ms("a") <= ttl_ms
    assert lost.redis.pttl(lost.key("lock", "res")) <= 5_001


def test_readers_beyond_those_compared_keep_a_writer_out(lost: Runner) -> None:
    _add_readers(lost, READERS_COMPARED_MAX)
    assert lost.reattach("w", OLD + 5, resource="res").code == "ok"
    assert lost.holders() == {"w": OLD + 5}
    lost.release("w")
    _add_readers(lost, READERS_COMPARED_MAX + 1)
    assert refused(lost, "w", OLD + 5)


def test_readers_whose_lease_ended_are_not_among_those_compared(lost: Runner) -> None:
    lost.reattach("last", OLD + 1, "shared")
    _add_readers(lost, 2 * READERS_COMPARED_MAX, ends_in_ms=-1_000)
    assert lost.reattach("w", OLD + 5).code == "ok"


def test_the_10001st_reader_is_refused(lost: Runner) -> None:
    lost.reattach("a", OLD + 5, "shared")
    _add_readers(lost, 9_998)
    _add_readers(lost, 50, ends_in_ms=-1_000, name="ended")
    assert lost.reattach("last", OLD + 5, "shared").code == "ok"
    assert refused(lost, "b", OLD + 5, "shared")
    assert lost.reattach("a", OLD + 6, "shared").code == "ok", "one that is there already is no further one"


def test_readers_whose_lease_ended_leave_a_hundred_at_a_time(lost: Runner) -> None:
    lost.reattach("a", OLD + 1, "shared")
    _add_readers(lost, 150, ends_in_ms=-1_000)
    for left in (50, 0):
        lost.reattach("a", OLD + 1, "shared")
        holds = [owner for owner in lost.redis.hkeys(lost.key("reader_holds", "res")) if owner.startswith(b"many")]
        assert (lost.redis.zcount(lost.key("readers", "res"), "-inf", now_ms(lost)), len(holds)) == (left, left)


@pytest.mark.parametrize("later", MODES)
@pytest.mark.parametrize("earlier", MODES)
def test_those_who_wait_for_a_hold_that_gives_way_wait_for_the_one_in_its_place(
    lost: Runner, earlier: str, later: str
) -> None:
    lost.reattach("a", OLD + 5, earlier)
    lost.acquire("w", waits=1)
    lost.reattach("b", OLD + 7, later)
    assert lost.is_waited_for()
    with heard(lost, WAKE_CHANNEL) as messages:
        lost.release("b")
    assert messages == [lost.key("lock", "res")]


@pytest.mark.parametrize("later", MODES)
@pytest.mark.parametrize("earlier", MODES)
def test_a_hold_that_nobody_waits_for_is_not_marked(lost: Runner, earlier: str, later: str) -> None:
    lost.reattach("a", OLD + 5, earlier)
    lost.reattach("b", OLD + 7, later)
    assert not lost.is_waited_for()


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_gets_the_first_outcome_and_no_longer_lease(lost: Runner, mode: str) -> None:
    lost.reattach("a", OLD + 1, mode, 20_000, request_id="r1")
    lost.pass_time(10_000)
    assert lost.reattach("a", OLD + 1, mode, 20_000, request_id="r1") == ("ok", [20_000, mode.encode(), 1])
    assert lost.lease_left_ms("a") <= 10_000


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_is_still_true_after_the_quarantine(lost: Runner, mode: str) -> None:
    lost.reattach("a", OLD + 1, mode, 90_000, request_id="r1")
    lost.pass_time(QUARANTINE_MS)
    assert lost.reattach("a", OLD + 1, mode, 90_000, request_id="r1") == ("ok", [90_000, mode.encode(), 1])


@pytest.mark.parametrize("end", ["release", "time", "a later hold"])
@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_never_tells_of_a_hold_that_ended_since(lost: Runner, mode: str, end: str) -> None:
    lost.reattach("a", OLD + 5, mode, 20_000, request_id="r1")
    if end == "release":
        lost.release("a")
    elif end == "time":
        lost.pass_time(20_001)
    else:
        lost.reattach("b", OLD + 7)
    assert lost.reattach("a", OLD + 5, mode, 20_000, request_id="r1") == ("lock_lost", [])
    assert lost.holders() == ({"b": OLD + 7} if end == "a later hold" else {})


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
