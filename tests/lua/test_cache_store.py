"""cache.store: what a put with more than a value stores."""

from tests.lua.runner import CHANNEL, COUNTER_BITS, GENERATION, Runner, heard

FLOOR = GENERATION << COUNTER_BITS


def test_without_more_it_stores_what_a_plain_put_stores(run: Runner) -> None:
    run.store("a", b"v", 60_000)
    assert run.redis.get(run.key("entry", "a")) == b"%d v" % (FLOOR + 1)


def test_it_is_published_like_every_write(run: Runner) -> None:
    with heard(run, CHANNEL) as messages:
        version = run.store("a", stale_ms=5, ttl_ms=5_000).fields[0]
    assert messages == [b"%d %s" % (version, run.key("entry", "a"))]


def test_the_time_that_making_took_stands_with_the_value(run: Runner) -> None:
    token = run.granted_fill("a")
    granted_ms, _, nonce = token.partition("-")
    earlier = f"{int(granted_ms) - 250}-{nonce}"
    entry = run.redis.get(run.key("entry", "a"))
    run.redis.set(run.key("entry", "a"), entry.replace(token.encode(), earlier.encode()))
    run.store("a", b"v", 60_000, fill_token=earlier)
    delta_ms = int(run.read("a").fields[1].split(b".")[1])
    assert 250 <= delta_ms < 15_000


def test_that_there_is_no_value_is_known_until_its_time_is_over(run: Runner) -> None:
    version = run.store("a", b"", 5_000).fields[0]
    assert run.get("a") is None
    told, left_ms = run.read("a").fields[1:]
    assert told.endswith(b".%d " % version)
    assert 0 < left_ms <= 5_000
    assert run.fill("a").fields[1] == b"fresh", "nobody is to make it"
    assert run.compare(a=version).fields[1] == 1
    assert run.read("a", known=[version]).fields[1] == b"="
    assert run.put("a", if_version=0).code == "ok", "it does not exist"
    run.store("a", b"", 5_000)
    run.pass_time(5_001)
    assert run.fill("a").fields[1] == b"granted"


def test_if_version_and_a_lost_counter_are_refused_untouched(run: Runner) -> None:
    version = run.put("a").fields[0]
    before = run.snapshot()
    assert run.store("a", if_version=version + 1, tags=("t",)) == ("version_mismatch", [b"%d" % version])
    assert run.snapshot() == before
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    assert run.store("a", tags=("t",)) == ("fence_missing", [])
    assert run.snapshot() == before


def test_a_value_that_layout_1_wrote_is_served_compared_and_replaced(run: Runner) -> None:
    run.redis.set(run.key("entry", "a"), b"%d old" % (FLOOR + 1))
    run.redis.set(run.key("versions"), FLOOR + 1)
    assert run.get("a") == (FLOOR + 1, b"old")
    assert run.read("a").fields == [b"%d" % (FLOOR + 1), b"%d old" % (FLOOR + 1), -1]
    assert run.compare(a=FLOOR + 1).fields[1] == 1
    assert run.fill("a").fields[1] == b"fresh"
    assert run.store("a", b"new", if_version=FLOOR + 1, tags=("t",)).code == "ok"
