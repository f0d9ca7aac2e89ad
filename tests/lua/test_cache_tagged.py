"""cache.tagged: which keys have a tag."""

from tests.lua.runner import Runner


def test_keys_are_named_in_the_order_they_were_tagged(run: Runner) -> None:
    for key in "bca":
        run.store(key, tags=("t", "u"))
    run.store("d", tags=("u",))
    assert run.tagged("t") == [b"3", b"b", b"c", b"a"]
    assert run.tagged("t", 2) == [b"3", b"b", b"c"]
    assert run.tagged("none") == [b"0"]


def test_a_tag_lives_as_long_as_its_longest_lived_key(run: Runner) -> None:
    run.store("a", ttl_ms=5_000, tags=("t",))
    run.store("b", ttl_ms=9_000, stale_ms=1_000, tags=("t",))
    run.store("c", ttl_ms=1_000, tags=("t",))
    assert 9_000 < run.redis.pttl(run.key("tag", "t")) <= 10_000
    run.store("d", tags=("t",))
    run.store("e", ttl_ms=1_000, tags=("t",))
    assert run.redis.pttl(run.key("tag", "t")) == -1
