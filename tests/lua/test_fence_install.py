"""fence.install: generations only rise, and so does everything that is counted under them."""

import pytest

from tests.lua.runner import CLUSTER_ID, COUNTER_BITS, GENERATION, QUARANTINE_MS, Runner

FLOOR = GENERATION << COUNTER_BITS
GENERATION_MAX = 2 ** (53 - COUNTER_BITS) - 1


def test_a_first_fence_brings_its_counters_at_the_floor(run: Runner) -> None:
    run.redis.flushall()
    assert run.install(5) == ("ok", [])
    assert run.redis.get(run.key("fence")) == b"5.set1"
    for counter in ("tokens", "versions"):
        assert run.redis.get(run.key(counter)) == str(5 << COUNTER_BITS).encode()


def test_an_older_generation_is_refused_with_the_fence_it_met(run: Runner) -> None:
    before = run.snapshot()
    assert run.install(GENERATION - 1, "set2") == ("fence_stale", [f"{GENERATION}.set1".encode()])
    assert run.snapshot() == before


def test_generations_are_compared_as_numbers(run: Runner) -> None:
    run.install(10)
    assert run.install(9).code == "fence_stale"
    assert run.install(11).code == "ok"


def test_another_script_set_of_the_same_generation_is_installed(run: Runner) -> None:
    token = run.granted("a")
    assert run.install(GENERATION, "set2").code == "ok"
    assert run.granted("a", resource="other") == token + 1


def test_a_repeat_changes_nothing(run: Runner) -> None:
    run.granted("a")
    before = run.snapshot()
    assert run.install(GENERATION).code == "ok"
    assert run.snapshot() == before


def test_a_new_generation_lifts_the_counters_above_all_earlier_numbers(run: Runner) -> None:
    token, version = run.granted("a"), run.put("k").fields[0]
    run.install(GENERATION + 1)
    assert run.granted("a", resource="other") == ((GENERATION + 1) << COUNTER_BITS) + 1 > token
    assert run.put("k").fields[0] > version


def test_a_counter_above_the_floor_stays(run: Runner) -> None:
    ahead = (GENERATION + 9) << COUNTER_BITS
    run.redis.set(run.key("tokens"), ahead)
    run.install(GENERATION + 1)
    assert run.granted("a") == ahead + 1


def test_tokens_rise_over_the_loss_of_a_counter(run: Runner) -> None:
    tokens = []
    for generation in range(GENERATION + 1, GENERATION + 4):
        run.redis.delete(run.key("tokens"))
        assert run.acquire("a").code == "fence_missing"
        run.install(generation)
        tokens.append(run.granted("a"))
        run.release("a")
    assert tokens == sorted(set(tokens))


def test_tokens_rise_over_the_loss_of_everything(run: Runner) -> None:
    first = run.granted("a")
    run.redis.flushall()
    run.install(GENERATION + 1)
    assert run.granted("a") > first


def test_a_counter_lost_under_a_generation_does_not_come_back_under_it(run: Runner) -> None:
    for counter in ("tokens", "versions"):
        run.redis.delete(run.key(counter))
        before = run.snapshot()
        assert run.install(GENERATION) == ("fence_missing", [])
        assert run.install(GENERATION, "set2") == ("fence_missing", [])
        assert run.snapshot() == before
        run.redis.set(run.key(counter), FLOOR)


def test_the_last_generation_still_counts_exactly(run: Runner) -> None:
    run.install(GENERATION_MAX)
    floor = GENERATION_MAX << COUNTER_BITS
    assert [run.granted("a", resource=f"r{number}") for number in (1, 2)] == [floor + 1, floor + 2]


def test_a_first_fence_brings_the_id_of_its_cluster(run: Runner) -> None:
    run.redis.flushall()
    run.install(1, cluster_id="c1")
    assert run.redis.get(run.key("cluster")) == b"c1"


def test_an_id_that_was_lost_comes_back(run: Runner) -> None:
    run.redis.delete(run.key("cluster"))
    run.install(GENERATION)
    assert run.redis.get(run.key("cluster")) == CLUSTER_ID.encode()


@pytest.mark.parametrize("adopted", ["", "other", "our", "ours2"], ids=["none", "another", "beginning", "longer"])
@pytest.mark.parametrize("generation", [GENERATION - 1, GENERATION, GENERATION + 1])
def test_another_clusters_data_are_never_fenced(run: Runner, generation: int, adopted: str) -> None:
    before = run.snapshot()
    reply = run.install(generation, cluster_id="theirs", adopted=adopted, quarantine_ms=QUARANTINE_MS)
    assert reply == ("cluster_foreign", [CLUSTER_ID.encode(), run.fence.encode()])
    assert run.snapshot() == before


def test_another_clusters_data_without_a_fence_are_not_fenced_either(run: Runner) -> None:
    run.redis.delete(run.key("fence"))
    before = run.snapshot()
    assert run.install(9, cluster_id="theirs") == ("cluster_foreign", [CLUSTER_ID.encode(), b""])
    assert run.snapshot() == before


def test_an_adopted_clusters_data_are_taken_over_for_good(run: Runner) -> None:
    token = run.granted("a")
    assert run.install(GENERATION + 1, cluster_id="theirs", adopted=CLUSTER_ID).code == "ok"
    assert run.redis.get(run.key("cluster")) == b"theirs"
    assert run.granted("b", resource="other") > token
    before = run.snapshot()
    assert run.install(GENERATION + 2).code == "cluster_foreign"
    assert run.snapshot() == before


@pytest.mark.parametrize("script_set", ["set1", "set2"])
@pytest.mark.parametrize("generation", [GENERATION - 1, GENERATION])
def test_an_adopted_clusters_data_need_a_higher_generation_than_theirs(
    run: Runner, generation: int, script_set: str
) -> None:
    """Under an equal one neither its counters would be lifted nor its locks held back."""
    before = run.snapshot()
    reply = run.install(generation, script_set, cluster_id="theirs", adopted=CLUSTER_ID, quarantine_ms=QUARANTINE_MS)
    assert reply == ("fence_stale", [run.fence.encode()])
    assert run.snapshot() == before


def test_once_taken_over_data_are_fenced_again_under_the_same_generation(run: Runner) -> None:
    run.install(GENERATION + 1, cluster_id="theirs", adopted=CLUSTER_ID, quarantine_ms=QUARANTINE_MS)
    before = run.snapshot()
    assert run.install(GENERATION + 1, cluster_id="theirs", adopted=CLUSTER_ID).code == "ok"
    assert run.snapshot() == before
    assert run.install(GENERATION + 1, "set2", cluster_id="theirs", adopted=CLUSTER_ID).code == "ok"


def test_a_new_generation_without_a_quarantine_has_none(run: Runner) -> None:
    run.install(GENERATION + 1)
    assert run.check() == ("ok", [-1])
    assert "quarantine" not in run.kinds()


def test_a_quarantine_comes_only_with_a_new_generation(run: Runner) -> None:
    before = run.snapshot()
    assert run.install(GENERATION, quarantine_ms=QUARANTINE_MS).code == "ok"
    assert run.snapshot() == before


def test_the_same_generation_installed_again_leaves_its_quarantine_as_it_is(run: Runner) -> None:
    run.lose_everything()
    before = run.snapshot()
    for quarantine_ms in (0, 1_000, 9_000_000):
        assert run.install(run.generation, quarantine_ms=quarantine_ms).code == "ok"
    assert run.snapshot() == before
    run.install(run.generation, "set2")
    assert run.quarantine_left_ms() > 30_000
    assert run.acquire("a").code == "lock_quarantine"


@pytest.mark.parametrize("quarantine_ms", [0, 1_000])
def test_a_quarantine_is_not_cut_short_by_a_newer_generation(run: Runner, quarantine_ms: int) -> None:
    run.lose_everything(60_000)
    run.install(run.generation + 1, quarantine_ms=quarantine_ms)
    assert run.quarantine_left_ms() > 30_000
    assert run.acquire("a").code == "lock_quarantine"


def test_a_quarantine_is_prolonged_by_a_newer_generation(run: Runner) -> None:
    run.lose_everything(60_000)
    run.install(run.generation + 1, quarantine_ms=120_000)
    run.pass_time(60_000)
    assert 30_000 < run.quarantine_left_ms() <= 60_000


def test_a_quarantine_that_is_over_ends_with_the_next_generation(run: Runner) -> None:
    run.lose_everything(60_000)
    run.pass_time(60_000)
    run.install(run.generation + 1)
    assert run.check() == ("ok", [-1])
    assert run.granted("a") == (run.generation << COUNTER_BITS) + 1


def test_a_refused_fence_begins_no_quarantine(run: Runner) -> None:
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    assert run.install(GENERATION, quarantine_ms=QUARANTINE_MS).code == "fence_missing"
    assert run.install(GENERATION - 1, quarantine_ms=QUARANTINE_MS).code == "fence_stale"
    assert run.snapshot() == before


def test_a_version_counter_is_never_lowered_and_never_set_aside(run: Runner) -> None:
    ahead = (GENERATION + 9) << COUNTER_BITS
    run.redis.set(run.key("versions"), ahead)
    run.install(GENERATION + 1, quarantine_ms=QUARANTINE_MS)
    assert run.put("k").fields == [ahead + 1]
