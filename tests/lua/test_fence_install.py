"""fence.install: generations only rise, and so does everything that is counted under them."""

from tests.lua.runner import COUNTER_BITS, GENERATION, Runner

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
