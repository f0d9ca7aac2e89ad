"""lock.renew: how long a lease runs after it, and which holds it keeps."""

import pytest

from tests.lua.runner import COUNTER_BITS, GENERATION, QUARANTINE_MS, Runner

MODES = ("exclusive", "shared")
REPEAT, SHORTER = 1, 2


@pytest.mark.parametrize("mode", MODES)
def test_a_renewal_sets_the_time_left_and_never_adds(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=30_000)
    for _ in range(3):
        assert run.renew("a", token, 40_000) == ("ok", [40_000, mode.encode()])
    assert 35_000 < run.lease_left_ms("a") <= 40_000


@pytest.mark.parametrize("mode", MODES)
def test_a_renewal_may_shorten_a_lease(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=60_000)
    run.renew("a", token, 5_000)
    assert run.lease_left_ms("a") <= 5_000
    assert run.redis.pttl(run.key("lock", "res")) <= 5_001
    run.pass_time(5_001)
    assert run.acquire("b").code == "ok"


@pytest.mark.parametrize("mode", MODES)
def test_a_renewed_lease_outlives_its_first_end(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=10_000)
    run.pass_time(8_000)
    run.renew("a", token, 10_000)
    run.pass_time(8_000)
    assert run.holders() == {"a": token}
    assert run.acquire("b").code == "lock_held"


@pytest.mark.parametrize("mode", MODES)
def test_without_a_length_the_last_one_counts(run: Runner, mode: str) -> None:
    token = run.granted("a", mode, ttl_ms=20_000)
    assert run.renew("a", token) == ("ok", [20_000, mode.encode()])
    run.renew("a", token, 12_000)
    assert run.renew("a", token) == ("ok", [12_000, mode.encode()])


def test_readers_renew_each_their_own_lease(run: Runner) -> None:
    long, short = run.granted("long", "shared", ttl_ms=60_000), run.granted("short", "shared", ttl_ms=10_000)
    assert run.renew("short", short) == ("ok", [10_000, b"shared"])
    assert run.renew("long", long) == ("ok", [60_000, b"shared"])
    run.renew("short", short, 5_000)
    assert 50_000 < run.lease_left_ms("long") <= 60_000
    for kind in ("lock", "readers"):
        assert run.redis.pttl(run.key(kind, "res")) > 50_000, "the longest lease keeps the keys"
    run.pass_time(5_001)
    assert run.holders() == {"long": long}


@pytest.mark.parametrize("mode", MODES)
def test_only_owner_and_token_together_renew(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    before = run.snapshot()
    assert run.renew("b", token, 1_000) == ("lock_lost", [])
    assert run.renew("a", token + 1, 1_000) == ("lock_lost", [])
    assert run.renew("a", token - 1, 1_000) == ("lock_lost", [])
    assert run.snapshot() == before


def test_a_free_lock_cannot_be_renewed(run: Runner) -> None:
    assert run.renew("a", 1).code == "lock_lost"


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_ended_stays_ended(run: Runner, mode: str, linger: bool) -> None:
    token = run.granted("a", mode, ttl_ms=1_000)
    run.pass_time(1_001, linger=linger)
    assert run.renew("a", token, 30_000).code == "lock_lost"
    assert run.holders() == {}


def test_a_reader_that_left_cannot_renew_among_those_who_stay(run: Runner) -> None:
    token = run.granted("a", "shared")
    run.granted("b", "shared")
    run.release("a")
    assert run.renew("a", token, 1_000).code == "lock_lost"


@pytest.mark.parametrize(("ttl_ms", "mark"), [(20_000, [SHORTER]), (40_000, [])], ids=["shorter", "longer"])
@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_does_not_renew_a_second_time(run: Runner, mode: str, ttl_ms: int, mark: list[int]) -> None:
    """And says that it is one, also of a renewal that made the lease shorter."""
    token = run.granted("a", mode, ttl_ms=30_000)
    assert run.renew("a", token, ttl_ms, request_id="r1") == ("ok", [ttl_ms, mode.encode(), *mark])
    run.renew("a", token, 60_000)
    assert run.renew("a", token, ttl_ms, request_id="r1") == ("ok", [ttl_ms, mode.encode(), REPEAT])
    assert run.lease_left_ms("a") > 50_000


@pytest.mark.parametrize("mode", MODES)
def test_a_lease_that_is_shorter_than_before_is_marked(run: Runner, mode: str) -> None:
    """Than the last one, whatever came before it; 9 s are less than 10 s, and the same again is no less."""
    token = run.granted("a", mode, ttl_ms=10_000)
    marks = [run.renew("a", token, ttl_ms).fields[2:] for ttl_ms in (10_000, 9_000, "", 9_000, 10_000, 9_999, 100_000)]
    assert marks == [[], [SHORTER], [], [], [], [SHORTER], []]


def test_a_readers_lease_is_compared_with_its_own(run: Runner) -> None:
    long, short = run.granted("long", "shared", ttl_ms=60_000), run.granted("short", "shared", ttl_ms=10_000)
    assert run.renew("short", short, 20_000).fields[2:] == []
    assert run.renew("long", long, 50_000).fields[2:] == [SHORTER]


@pytest.mark.parametrize("mode", MODES)
def test_a_repeat_never_calls_a_lease_renewed_that_has_ended_since(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    assert run.renew("a", token, 10_000, request_id="r1").code == "ok"
    run.pass_time(10_001)
    assert run.renew("a", token, 10_000, request_id="r1").code == "lock_lost"


@pytest.mark.parametrize("ttl_ms", ["", 20_000])
@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_redis_may_have_lost_is_told_from_one_that_ended(run: Runner, mode: str, ttl_ms: str | int) -> None:
    token = run.granted("a", mode)
    run.lose_everything()
    before = run.snapshot()
    code, (left_ms,) = run.renew("a", token, ttl_ms, request_id="r1")
    assert code == "lock_quarantine"
    assert 30_000 < left_ms <= QUARANTINE_MS
    assert run.snapshot() == before
    run.reattach("a", token, mode, 90_000)
    assert run.renew("a", token, ttl_ms, request_id="r1").code == "lock_quarantine"
    run.pass_time(QUARANTINE_MS)
    assert run.renew("a", token, ttl_ms, request_id="r1").code == "ok"


@pytest.mark.parametrize("mode", MODES)
def test_another_hold_in_its_place_may_have_come_first(run: Runner, mode: str) -> None:
    """lock.reattach compares the tokens, renew does not."""
    low, high = (GENERATION << COUNTER_BITS) + 5, (GENERATION << COUNTER_BITS) + 7
    run.lose_everything()
    run.reattach("a", low, mode)
    assert run.renew("a", high).code == "lock_quarantine"
    assert run.renew("b", high).code == "lock_quarantine"


def test_a_token_of_this_generation_was_not_lost(run: Runner) -> None:
    run.lose_everything()
    floor = run.generation << COUNTER_BITS
    for token in (floor, floor + 1):
        assert run.renew("a", token) == ("lock_lost", [])
    assert run.renew("a", floor - 1).code == "lock_quarantine"


@pytest.mark.parametrize("mode", MODES)
def test_after_a_quarantine_a_lost_hold_is_lost(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.lose_everything(60_000)
    run.pass_time(60_000)
    assert run.renew("a", token) == ("lock_lost", [])
    run.lift()
    assert run.renew("a", token) == ("lock_lost", [])


@pytest.mark.parametrize("mode", MODES)
def test_a_hold_that_redis_shows_is_no_proof_in_quarantine(run: Runner, mode: str) -> None:
    """It may be a copy from before the lease was shortened, and ended since. After the quarantine no lease runs that
    is not in Redis, and none that began before it is shown."""
    token = run.granted("a", mode, ttl_ms=90_000)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    before = run.snapshot()
    code, (left_ms,) = run.renew("a", token, 20_000, request_id="r1")
    assert code == "lock_quarantine"
    assert 30_000 < left_ms <= QUARANTINE_MS
    assert run.snapshot() == before
    run.pass_time(QUARANTINE_MS)
    assert run.renew("a", token, request_id="r1") == ("ok", [90_000, mode.encode()])


@pytest.mark.parametrize("mode", MODES)
def test_an_outcome_that_redis_kept_is_no_proof_in_quarantine(run: Runner, mode: str) -> None:
    """A copy that has the hold of before a renewal has the outcomes of then, too."""
    token = run.granted("a", mode)
    run.renew("a", token, 90_000, request_id="r1")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.renew("a", token, 90_000, request_id="r1").code == "lock_quarantine"
    assert run.reattach("a", token, mode, 90_000, request_id="r1") == ("ok", [90_000, mode.encode(), REPEAT])


def test_a_renewal_that_redis_lost_with_its_hold_is_not_repeated(run: Runner) -> None:
    token = run.granted("a", ttl_ms=20_000)
    run.renew("a", token, 20_000, request_id="r1")
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    run.pass_time(20_001)
    assert run.renew("a", token, 20_000, request_id="r1").code == "lock_quarantine"
