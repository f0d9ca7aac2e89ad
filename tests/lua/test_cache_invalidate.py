"""cache.invalidate: what is gone, and that every near cache hears of it."""

from tests.lua.runner import CHANNEL, COUNTER_BITS, GENERATION, Runner, heard

FLOOR = GENERATION << COUNTER_BITS


def test_the_keys_named_are_gone_and_no_others(run: Runner) -> None:
    for key in "abc":
        run.put(key)
    assert run.invalidate("a", "b", "none") == ("ok", [2])
    assert (run.get("a"), run.get("b")) == (None, None)
    assert run.get("c") == (FLOOR + 3, b"1")


def test_every_key_is_published_also_one_that_redis_no_longer_had(run: Runner) -> None:
    run.put("a")
    with heard(run, CHANNEL) as messages:
        run.invalidate("a", "none")
    assert messages == [b"%d %s" % (FLOOR + 2, run.key("entry", "a")), b"%d %s" % (FLOOR + 3, run.key("entry", "none"))]


def test_a_removal_is_published_above_the_version_it_removed(run: Runner) -> None:
    version = run.put("a").fields[0]
    with heard(run, CHANNEL) as messages:
        run.invalidate("a")
    assert int(messages[0].partition(b" ")[0]) > version


def test_a_key_named_twice_is_counted_once(run: Runner) -> None:
    run.put("a")
    assert run.invalidate("a", "a").fields == [1]


def test_a_thousand_keys_go_together(run: Runner) -> None:
    run.redis.mset({run.key("entry", f"k{number}"): b"1 x" for number in range(1_000)})
    assert run.invalidate(*(f"k{number}" for number in range(1_000))).fields == [1_000]
    assert run.kinds() == set()


def test_a_lost_counter_removes_nothing(run: Runner) -> None:
    run.put("a")
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    with heard(run, CHANNEL) as messages:
        assert run.invalidate("a", request_id="r1") == ("fence_missing", [])
    assert run.snapshot() == before
    assert messages == []


def test_a_repeat_does_not_remove_what_was_put_since(run: Runner) -> None:
    run.put("a")
    assert run.invalidate("a", request_id="r1").fields == [1]
    run.put("a", b"2")
    with heard(run, CHANNEL) as messages:
        assert run.invalidate("a", request_id="r1").fields == [1]
    assert messages == []
    assert run.get("a") == (FLOOR + 3, b"2")
