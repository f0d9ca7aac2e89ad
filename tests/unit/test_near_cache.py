"""The near cache: bounded, least recently used first out, and never keeping a value that was overwritten."""

from math import inf
from typing import NamedTuple

import pytest

from service.cache import near
from service.cache.hearing import Asked
from service.cache.near import Entry, Fill, NearCache

P = 7
"""The partition of every key here."""
HOUR_MS = 3_600_000


class Clock:
    """The machine's steady clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(near, "steady_s", clock)
    return clock


def opened(*, entries_max: int = 100, bytes_max: int = 10_000) -> NearCache:
    """One that hears, and whose partition has counted to 1."""
    cache = NearCache(entries_max=entries_max, bytes_max=bytes_max, bound_ms=HOUR_MS)
    cache.turn_on()
    end(cache, b"", begin(cache, b""), None)
    return cache


class Read(NamedTuple):
    fill: Fill
    asked: Asked


def begin(cache: NearCache, key: bytes) -> Read:
    return Read(cache.begin_fill(key), cache.ask(P))


def end(cache: NearCache, key: bytes, read: Read, entry: Entry | None, *, counter: int = 1) -> None:
    """What service.cache.reading does with an answer."""
    may_keep = cache.answered(P, counter, read.asked)
    written = cache.end_fill(key, read.fill)
    if entry is not None and may_keep and entry.version >= written:
        cache.keep(key, entry)


def read(cache: NearCache, key: bytes, version: int = 1, value: bytes = b"v", expires_at: float = inf) -> None:
    """A read that went to Redis and came back undisturbed."""
    end(cache, key, begin(cache, key), Entry(version, value, expires_at, P))


def version_of(cache: NearCache, key: bytes) -> int | None:
    entry = cache.get(key, P)
    return entry.version if entry else None


def test_what_was_read_is_kept_and_counted() -> None:
    cache = opened()
    assert cache.get(b"k", P) is None
    read(cache, b"k", 7, b"value")
    assert cache.get(b"k", P) == Entry(7, b"value", inf, P)
    assert (cache.hits, cache.misses, len(cache), cache.bytes) == (1, 1, 1, 6)


def test_a_failed_or_empty_read_keeps_nothing() -> None:
    cache = opened()
    end(cache, b"k", begin(cache, b"k"), None)
    assert cache.get(b"k", P) is None


# -- bounds


def test_the_least_recently_used_entry_goes_first() -> None:
    cache = opened(entries_max=3)
    for key in (b"a", b"b", b"c"):
        read(cache, key)
    cache.get(b"a", P)
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
    cache.get(b"ended", P)
    assert cache.bytes == len(b"replaced")
    cache.begin_anew()
    assert cache.bytes == 0


def test_a_cache_of_no_entries_is_off() -> None:
    cache = opened(entries_max=0)
    read(cache, b"k")
    assert cache.get(b"k", P) is None


# -- lifetime


def test_an_entry_ends_exactly_at_its_time(clock: Clock) -> None:
    cache = opened()
    read(cache, b"k", expires_at=clock.now + 10)
    clock.now += 9.999
    assert version_of(cache, b"k") == 1
    clock.now += 0.001
    assert cache.get(b"k", P) is None
    assert len(cache) == 0


# -- writes


def test_a_write_drops_an_older_value() -> None:
    cache = opened()
    read(cache, b"k", 1)
    cache.heard(b"k", P, 2)
    assert cache.get(b"k", P) is None
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
    fill = begin(cache, b"a")
    cache.written(b"b", 9)
    end(cache, b"a", fill, Entry(2, b"v", inf, P))
    assert version_of(cache, b"a") == 2


def test_a_reply_from_before_a_write_that_arrives_after_its_publication_is_not_kept() -> None:
    cache = opened()
    fill = begin(cache, b"k")
    cache.written(b"k", 2)
    end(cache, b"k", fill, Entry(1, b"old", inf, P))
    assert cache.get(b"k", P) is None


def test_a_reply_from_before_a_write_that_arrives_before_its_publication_is_dropped_by_it() -> None:
    cache = opened()
    read(cache, b"k", 1, b"old")
    cache.written(b"k", 2)
    assert cache.get(b"k", P) is None


def test_a_read_begun_after_a_write_is_kept_though_an_older_read_is_void() -> None:
    cache = opened()
    stale = begin(cache, b"k")
    cache.written(b"k", 2)
    fresh = begin(cache, b"k")
    end(cache, b"k", fresh, Entry(2, b"new", inf, P))
    end(cache, b"k", stale, Entry(1, b"old", inf, P))
    assert version_of(cache, b"k") == 2


def test_the_end_of_a_void_read_does_not_end_the_protection_of_a_later_one() -> None:
    cache = opened()
    first = begin(cache, b"k")
    cache.written(b"k", 2)
    second = begin(cache, b"k")
    end(cache, b"k", first, None)
    cache.written(b"k", 3)
    end(cache, b"k", second, Entry(2, b"old", inf, P))
    assert cache.get(b"k", P) is None


def test_a_reply_that_has_the_write_told_of_meanwhile_is_kept() -> None:
    cache = opened()
    fill = begin(cache, b"k")
    cache.written(b"k", 2)
    end(cache, b"k", fill, Entry(2, b"new", inf, P))
    assert version_of(cache, b"k") == 2


def test_what_was_just_read_is_served_though_messages_of_other_keys_are_on_their_way(clock: Clock) -> None:
    cache = NearCache(entries_max=10, bytes_max=100, bound_ms=1_000)
    cache.turn_on()
    read(cache, b"first")
    clock.now += 2
    asked = begin(cache, b"k")
    end(cache, b"k", asked, Entry(2, b"new", inf, P, read_at=clock.now), counter=2)
    assert version_of(cache, b"k") == 2
    assert version_of(cache, b"first") is None
    cache.heard(b"x", P, 5)
    assert version_of(cache, b"k") is None, "a loss ends it at once"


def test_a_copy_that_redis_confirms_is_used_and_good_for_the_bound_again(clock: Clock) -> None:
    cache = NearCache(entries_max=2, bytes_max=100, bound_ms=1_000)
    cache.turn_on()
    read(cache, b"a")
    read(cache, b"b")
    clock.now += 2
    assert version_of(cache, b"a") is None
    asked = begin(cache, b"a").asked
    copy = cache.held(b"a")
    assert copy
    cache.answered(P, 9, asked)  # others were written, and are not heard of yet
    cache.confirm(b"a", copy, asked)
    assert version_of(cache, b"a") == 1
    assert version_of(cache, b"b") is None, "of which nothing was said"
    read(cache, b"c")
    assert cache.held(b"b") is None, "the one used last stays"


def test_a_copy_dropped_while_redis_confirmed_it_stays_dropped() -> None:
    cache = opened()
    read(cache, b"k")
    copy = cache.held(b"k")
    assert copy
    asked = begin(cache, b"k").asked
    cache.heard(b"k", P, 2)
    cache.confirm(b"k", copy, asked)
    assert cache.held(b"k") is None


def test_replies_that_overtake_each_other_leave_the_newer_value() -> None:
    cache = opened()
    one, two = begin(cache, b"k"), begin(cache, b"k")
    end(cache, b"k", two, Entry(2, b"new", inf, P))
    end(cache, b"k", one, Entry(1, b"old", inf, P))
    assert version_of(cache, b"k") == 2


def test_a_write_voids_all_reads_that_share_a_fill() -> None:
    cache = opened()
    fills = [begin(cache, b"k") for _ in range(3)]
    end(cache, b"k", fills[0], Entry(1, b"old", inf, P))
    cache.written(b"k", 2)
    for fill in fills[1:]:
        end(cache, b"k", fill, Entry(1, b"old", inf, P))
    assert cache.get(b"k", P) is None


def test_reads_leave_no_trace_when_they_end() -> None:
    cache = opened()
    fills = [begin(cache, b"k") for _ in range(3)]
    cache.written(b"k", 2)
    fills += [begin(cache, b"k")]
    for fill in fills:
        end(cache, b"k", fill, None)
    fresh = begin(cache, b"k")
    assert fresh.fill not in [one.fill for one in fills]
    assert fresh.fill.readers == 1


# -- the subscription


def test_while_the_subscription_is_down_nothing_is_kept() -> None:
    cache = opened()
    read(cache, b"k")
    cache.turn_off()
    assert cache.get(b"k", P) is None
    read(cache, b"k")
    assert cache.get(b"k", P) is None


def test_a_new_cache_is_off_until_it_hears() -> None:
    cache = NearCache(entries_max=10, bytes_max=100, bound_ms=HOUR_MS)
    read(cache, b"k")
    assert cache.get(b"k", P) is None


@pytest.mark.parametrize("gap", ["down and up", "up again", "another generation"])
def test_a_read_begun_before_a_gap_in_hearing_is_not_kept_after_it(gap: str) -> None:
    cache = opened()
    fill = begin(cache, b"k")
    if gap == "another generation":
        cache.begin_anew()
    else:
        if gap == "down and up":
            cache.turn_off()
        cache.turn_on()
    end(cache, b"k", fill, Entry(1, b"old", inf, P))
    assert cache.get(b"k", P) is None


def test_a_read_begun_while_it_was_deaf_is_not_kept() -> None:
    cache = opened()
    cache.turn_off()
    fill = begin(cache, b"k")
    cache.turn_on()
    end(cache, b"k", fill, Entry(1, b"old", inf, P))
    assert cache.get(b"k", P) is None
