"""cache.put_many: several values in one step, each judged by itself."""

from tests.lua.runner import CHANNEL, COUNTER_BITS, GENERATION, Runner, heard

FLOOR = GENERATION << COUNTER_BITS


def test_all_are_stored_and_published_in_order(run: Runner) -> None:
    with heard(run, CHANNEL) as messages:
        assert run.put_many(a=(b"1", 0, ""), b=(b"2", 60_000, "")).fields == [1, FLOOR + 1, 1, FLOOR + 2]
    assert messages == [b"%d %s" % (FLOOR + n, run.key("entry", key)) for n, key in ((1, "a"), (2, "b"))]
    assert (run.get("a"), run.get("b")) == ((FLOOR + 1, b"1"), (FLOOR + 2, b"2"))
    assert run.redis.pttl(run.key("entry", "a")) == -1
    assert 50_000 < run.redis.pttl(run.key("entry", "b")) <= 60_000


def test_one_that_is_refused_leaves_the_others_alone(run: Runner) -> None:
    version = run.put("a").fields[0]
    assert run.put_many(a=(b"2", 0, version + 1), b=(b"2", 0, 0)).fields == [0, version, 1, version + 1]
    assert run.put_many(a=(b"2", 0, version), b=(b"3", 0, 0)).fields == [1, version + 2, 0, version + 1]


def test_a_lost_counter_stores_nothing(run: Runner) -> None:
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    assert run.put_many(a=(b"2", 0, "")) == ("fence_missing", [])
    assert run.snapshot() == before
