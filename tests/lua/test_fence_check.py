"""fence.check: what the leader learns of a partition, which it does not change by asking."""

import pytest

from tests.lua.runner import COUNTER_BITS, GENERATION, QUARANTINE_MS, Reply, Runner

FLOOR = GENERATION << COUNTER_BITS


def checked(run: Runner, cluster_id: str = "ours") -> Reply:
    """The answer, which left everything as it was."""
    before = run.snapshot()
    reply = run.check(cluster_id)
    assert run.snapshot() == before
    return reply


def test_a_partition_in_order_has_no_quarantine(run: Runner) -> None:
    assert checked(run) == ("ok", [-1])


def test_a_quarantine_is_told_with_the_time_it_has_left(run: Runner) -> None:
    run.lose_everything(60_000)
    run.pass_time(30_000)
    code, (left_ms,) = checked(run)
    assert code == "ok"
    assert 10_000 < left_ms <= 30_000


def test_a_quarantine_that_is_over_stays_until_somebody_ends_it(run: Runner) -> None:
    run.lose_everything(60_000)
    run.pass_time(90_000)
    assert checked(run) == ("ok", [0])
    run.lift()
    assert checked(run) == ("ok", [-1])


@pytest.mark.parametrize("expected", [f"{GENERATION}.set2", f"{GENERATION + 1}.set1", f"{GENERATION - 1}.set1"])
def test_another_fence_is_told(run: Runner, expected: str) -> None:
    installed, run.fence = run.fence, expected
    assert checked(run) == ("fence_stale", [installed.encode()])


def test_a_partition_without_a_fence_says_so(run: Runner) -> None:
    run.redis.flushall()
    assert checked(run) == ("fence_missing", [])


@pytest.mark.parametrize("in_quarantine", [False, True])
@pytest.mark.parametrize("counter", ["tokens", "versions"])
def test_a_counter_that_is_missing_or_below_its_floor_is_told(run: Runner, counter: str, in_quarantine: bool) -> None:
    if in_quarantine:
        run.lose_everything()
    set_aside = in_quarantine and counter == "tokens"
    key = run.key("quarantine" if set_aside else counter)
    run.redis.delete(key)
    assert checked(run) == ("fence_missing", [])
    low = (run.generation << COUNTER_BITS) - 1
    run.redis.set(key, f"{4_000_000_000_000} {low}" if set_aside else low)
    assert checked(run) == ("fence_missing", [])
    run.redis.set(key, f"{4_000_000_000_000} {low + 1}" if set_aside else low + 1)
    assert checked(run).code == "ok"


def test_another_clusters_data_are_told_before_anything_else(run: Runner) -> None:
    assert checked(run, "theirs") == ("cluster_foreign", [b"ours", run.fence.encode()])
    run.redis.delete(run.key("tokens"))
    installed, run.fence = run.fence, f"{GENERATION + 1}.set1"
    assert checked(run, "theirs") == ("cluster_foreign", [b"ours", installed.encode()])


def test_another_clusters_data_without_a_fence_are_told_too(run: Runner) -> None:
    run.redis.delete(run.key("fence"))
    assert checked(run, "theirs") == ("cluster_foreign", [b"ours", b""])


def test_data_of_no_known_cluster_are_judged_by_their_fence(run: Runner) -> None:
    """An id that was lost on its own comes back with the next fence."""
    run.redis.delete(run.key("cluster"))
    assert checked(run, "theirs").code == "ok"


def test_a_check_in_quarantine_does_not_end_it(run: Runner) -> None:
    run.lose_everything(QUARANTINE_MS)
    checked(run)
    assert run.acquire("a").code == "lock_quarantine"
