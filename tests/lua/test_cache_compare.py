"""cache.compare: which copies are out of date, and how far the partition has counted."""

from tests.lua.runner import Runner
from tests.lua.test_cache_read import counter


def test_copies_are_compared_by_version(run: Runner) -> None:
    old = run.put("a").fields[0]
    a, b = run.put("a").fields[0], run.put("b").fields[0]
    assert run.compare(a=a, b=b).fields == [counter(3), 1, 1]
    assert run.compare(a=old, b=b // 10, gone=b).fields == [counter(3), 0, 0, 0]


def test_without_copies_the_counter_alone_is_told(run: Runner) -> None:
    run.put("a")
    assert run.compare().fields == [counter(1)]


def test_a_lost_counter_is_a_loss_of_data(run: Runner) -> None:
    run.redis.delete(run.key("versions"))
    assert run.compare(a=1) == ("fence_missing", [])


def test_comparing_changes_nothing(run: Runner) -> None:
    run.put("a", ttl_ms=30_000)
    before = run.snapshot()
    run.compare(a=1)
    assert run.snapshot() == before
