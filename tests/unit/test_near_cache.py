"""The near cache: bounded, least recently used first out, and never keeping a value that was overwritten."""

from math import inf

import pytest

from service.cache import near
from service.cache.near import Entry, NearCache


class Clock:
    """The process's monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(near, "monotonic", clock)
    return clock


def opened(*, entries_max: int = 100, bytes_max: int = 10_000) -> NearCache:
    cache = NearCache(entries_max=entries_max, bytes_max=bytes_max)
    cache.turn_on()
    return cache


def read(cache: NearCache, key: bytes, version: int = 1, value: bytes = b"v", expires_at: float = inf) -> None:
    """A read that went to Redis and came back undisturbed."""
    cache.end_fill(key, cache.begin_fill(key), Entry(version, value, expires_at))


def version_of(cache: NearCache, key: bytes) -> int | None:
    entry = cache.get(key)
    return entry.version if entry else None


def test_what_was_read_is_kept_and_counted() -> None:
    cache = opened()
    assert cache.get(b"k") is None
    read(cache, b"k", 7, b"value")
    assert cache.get(b"k") == Entry(7, b"value", inf)
    assert (cache.hits, cache.misses, len(cache), cache.bytes) == (1, 1, 1, 6)


def test_a_failed_or_empty_read_keeps_nothing() -> None:
    cache = opened()
    cache.end_fill(b"k", cache.begin_fill(b"k"), None)
    assert cache.get(b"k") is None


# -- bounds


def test_the_least_recently_used_entry_goes_first() -> None:
    cache = opened(entries_max=3)
    for key in (b"a", b"b", b"c"):
        read(cache, key)
    cache.get(b"a")
    read(cache, b"d")
    assert [version_of(cache, key) for key in (b"a", b"b", b"c", b"d")] == [1, None, 1, 1]
    assert cache.evictions == 1


def test_a_value_read_again_counts_as_used() -> None:
    cache = opened(entries_max=2)
    read(cache, b"a")
    read(cache, b"b")
    read(cache, b"a", 2)
    read(cache, b"c")
    assert version_of(cache, b"b") is None
    assert version_of(cache, b"a") == 2


def test_keys_and_values_together_stay_within_the_bytes() -> None:
    cache = opened(bytes_max=30)
    for number in range(10):
        read(cache, b"%d" % number, value=b"x" * 9)
        assert cache.bytes <= 30
    assert (len(cache), cache.bytes, cache.evictions) == (3, 30, 7)


def test_one_large_value_may_push_out_many() -> None:
    cache = opened(bytes_max=30)
    for key in (b"a", b"b", b"c"):
        read(cache, key, value=b"x" * 9)
    read(cache, b"d", value=b"x" * 25)
    assert (len(cache), cache.bytes) == (1, 26)


def test_a_value_larger_than_the_cache_is_not_kept_and_pushes_nothing_out() -> None:
    cache = opened(bytes_max=30)
    read(cache, b"a")
    read(cache, b"b", value=b"x" * 30)
    assert version_of(cache, b"a") == 1
    assert version_of(cache, b"b") is None


def test_bytes_are_given_back_whatever_way_an_entry_goes(clock: Clock) -> None:
    cache = opened(entries_max=2)
    read(cache, b"replaced", 1, b"long value")
    read(cache, b"replaced", 2, b"")
    read(cache, b"removed")
    cache.written(b"removed", 5)
    read(cache, b"ended", expires_at=clock.now + 1)
    clock.now += 2
    cache.get(b"ended")
    assert cache.bytes == len(b"replaced")
    cache.turn_off()
    assert cache.bytes == 0


def test_a_cache_of_no_entries_is_off() -> None:
    cache = opened(entries_max=0)
    read(cache, b"k")
    assert cache.get(b"k") is None


# -- lifetime


def test_an_entry_ends_exactly_at_its_time(clock: Clock) -> None:
    cache = opened()
    read(cache, b"k", expires_at=clock.now + 10)
    clock.now += 9.999
    assert version_of(cache, b"k") == 1
    clock.now += 0.001
    assert cache.get(b"k") is None
    assert len(cache) == 0


def test_a_shared_read_counts_time_from_the_first_question(clock: Clock) -> None:
    """Else the copy of the second reader would outlive the original."""
    cache = opened()
    first = cache.begin_fill(b"k")
    clock.now += 5
    assert cache.begin_fill(b"k").started_at == first.started_at == clock.now - 5


# -- writes


def test_a_write_drops_an_older_value() -> None:
    cache = opened()
    read(cache, b"k", 1)
    cache.written(b"k", 2)
    assert cache.get(b"k") is None
    assert cache.invalidations == 1


def test_a_publication_of_what_is_already_held_drops_nothing() -> None:
    cache = opened()
    read(cache, b"k", 2)
    cache.written(b"k", 2)
    cache.written(b"k", 1)
    assert version_of(cache, b"k") == 2


def test_a_write_to_one_key_does_not_touch_another() -> None:
    cache = opened()
    read(cache, b"a")
    fill = cache.begin_fill(b"a")
    cache.written(b"b", 9)
    cache.end_fill(b"a", fill, Entry(2, b"v", inf))
    assert version_of(cache, b"a") == 2


def test_a_reply_from_before_a_write_that_arrives_after_its_publication_is_not_kept() -> None:
    cache = opened()
    fill = cache.begin_fill(b"k")
    cache.written(b"k", 2)
    cache.end_fill(b"k", fill, Entry(1, b"old", inf))
    assert cache.get(b"k") is None


def test_a_reply_from_before_a_write_that_arrives_before_its_publication_is_dropped_by_it() -> None:
    cache = opened()
    read(cache, b"k", 1, b"old")
    cache.written(b"k", 2)
    assert cache.get(b"k") is None


def test_a_read_begun_after_a_write_is_kept_though_an_older_read_is_void() -> None:
    cache = opened()
    stale = cache.begin_fill(b"k")
    cache.written(b"k", 2)
    fresh = cache.begin_fill(b"k")
    cache.end_fill(b"k", fresh, Entry(2, b"new", inf))
    cache.end_fill(b"k", stale, Entry(1, b"old", inf))
    assert version_of(cache, b"k") == 2


def test_the_end_of_a_void_read_does_not_end_the_protection_of_a_later_one() -> None:
    cache = opened()
    first = cache.begin_fill(b"k")
    cache.written(b"k", 2)
    second = cache.begin_fill(b"k")
    cache.end_fill(b"k", first, None)
    cache.written(b"k", 3)
    cache.end_fill(b"k", second, Entry(2, b"old", inf))
    assert cache.get(b"k") is None


def test_replies_that_overtake_each_other_leave_the_newer_value() -> None:
    cache = opened()
    one, two = cache.begin_fill(b"k"), cache.begin_fill(b"k")
    cache.end_fill(b"k", two, Entry(2, b"new", inf))
    cache.end_fill(b"k", one, Entry(1, b"old", inf))
    assert version_of(cache, b"k") == 2


def test_a_write_voids_all_reads_that_share_a_fill() -> None:
    cache = opened()
    fills = [cache.begin_fill(b"k") for _ in range(3)]
    cache.end_fill(b"k", fills[0], Entry(1, b"old", inf))
    cache.written(b"k", 2)
    for fill in fills[1:]:
        cache.end_fill(b"k", fill, Entry(1, b"old", inf))
    assert cache.get(b"k") is None


def test_reads_leave_no_trace_when_they_end() -> None:
    cache = opened()
    fills = [cache.begin_fill(b"k") for _ in range(3)]
    cache.written(b"k", 2)
    fills += [cache.begin_fill(b"k")]
    for fill in fills:
        cache.end_fill(b"k", fill, None)
    fresh = cache.begin_fill(b"k")
    assert fresh not in fills
    assert fresh.readers == 1


# -- the subscription


def test_while_the_subscription_is_down_nothing_is_kept() -> None:
    cache = opened()
    read(cache, b"k")
    cache.turn_off()
    assert cache.get(b"k") is None
    read(cache, b"k")
    assert cache.get(b"k") is None


def test_a_new_cache_is_off_until_it_hears() -> None:
    cache = NearCache(entries_max=10, bytes_max=100)
    read(cache, b"k")
    assert cache.get(b"k") is None


@pytest.mark.parametrize("gap", ["down and up", "up again", "cleared"])
def test_a_read_begun_before_a_gap_in_hearing_is_not_kept_after_it(gap: str) -> None:
    cache = opened()
    fill = cache.begin_fill(b"k")
    if gap == "cleared":
        cache.clear()
    else:
        if gap == "down and up":
            cache.turn_off()
        cache.turn_on()
    cache.end_fill(b"k", fill, Entry(1, b"old", inf))
    assert cache.get(b"k") is None


def test_a_read_begun_while_it_was_deaf_is_not_kept() -> None:
    cache = opened()
    cache.turn_off()
    fill = cache.begin_fill(b"k")
    cache.turn_on()
    cache.end_fill(b"k", fill, Entry(1, b"old", inf))
    assert cache.get(b"k") is None
