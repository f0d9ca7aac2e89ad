"""cache.remove_named: what was written up to a version goes, and every near cache is told."""

from tests.lua.runner import CHANNEL, COUNTER_BITS, GENERATION, Runner, heard

FLOOR = GENERATION << COUNTER_BITS


def test_values_go_and_every_near_cache_is_told(run: Runner) -> None:
    run.keep_names()
    for name in "abc":
        run.store(name)
    counter = run.counter()
    with heard(run, CHANNEL) as messages:
        assert run.remove_named("a", "b", "none") == ("ok", [2])
    assert messages == [b"%d %s" % (counter + n, run.key("entry", key)) for n, key in ((1, "a"), (2, "b"))]
    assert (run.get("a"), run.get("b"), run.named()) == (None, None, [b"c"])


def test_what_was_written_since_stays_with_its_name(run: Runner) -> None:
    run.keep_names()
    run.store("a")
    up_to = run.counter()
    version = run.store("a", b"2").fields[0]
    assert run.remove_named("a", up_to=up_to) == ("ok", [0])
    assert (run.get("a"), run.named()) == ((version, b"2"), [b"a"])


def test_a_lease_to_fill_ends_with_its_prefix(run: Runner) -> None:
    run.keep_names()
    token = run.granted_fill("a")
    assert run.remove_named("a") == ("ok", [0])
    assert run.store("a", fill_token=token).code == "fill_superseded"


def test_the_knowledge_that_there_is_no_value_goes_too(run: Runner) -> None:
    run.keep_names()
    run.store("a", b"", 5_000)
    assert run.remove_named("a") == ("ok", [0])
    assert run.read("a").fields[1:] == [b"", -1]


def test_names_of_keys_that_are_gone_are_swept_and_no_value_with_them(run: Runner) -> None:
    run.keep_names()
    run.store("a", ttl_ms=5_000)
    run.fill("b", 60_000)
    run.store("c")
    run.pass_time(5_001)
    assert run.remove_named("a", "b", "c", up_to=-1) == ("ok", [0])
    assert run.named() == [b"b", b"c"]
    assert run.get("c")


def test_a_lost_counter_removes_and_begins_nothing(run: Runner) -> None:
    run.keep_names()
    run.store("a")
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    assert run.remove_named("a", up_to=FLOOR) == ("fence_missing", [])
    assert run.begin_names("b2") == ("fence_missing", [])
    assert run.call("cache.named", "", prefix="", after="", max=9) == ("fence_missing", [])
    assert run.snapshot() == before


def test_a_thousand_go_in_one_call(run: Runner) -> None:
    run.keep_names()
    run.redis.mset({run.key("entry", f"k{number}"): b"%d x" % (FLOOR + 1) for number in range(1_000)})
    names = [f"k{number}" for number in range(1_000)]
    assert run.begin_names("b2") == ("ok", [1])
    assert run.remove_named(*names) == ("ok", [1_000])
