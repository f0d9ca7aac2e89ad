"""cache.untag: the values of a tag go, and no others."""

from tests.lua.runner import CHANNEL, Runner, heard


def test_the_values_of_a_tag_go_and_every_near_cache_is_told(run: Runner) -> None:
    for key in "ab":
        run.store(key, tags=("t",))
    run.put("c")
    with heard(run, CHANNEL) as messages:
        assert run.untag("t", "a", "b", "c") == ("ok", [2])
    assert [message.partition(b" ")[2] for message in messages] == [run.key("entry", "a"), run.key("entry", "b")]
    assert (run.get("a"), run.get("b")) == (None, None)
    assert run.get("c")
    assert run.tagged("t") == [b"0"]


def test_a_value_stored_since_without_the_tag_stays(run: Runner) -> None:
    run.store("a", tags=("t",))
    version = run.put("a", b"2").fields[0]
    assert run.untag("t", "a") == ("ok", [0])
    assert run.get("a") == (version, b"2")
    assert run.tagged("t") == [b"0"]


def test_the_knowledge_that_there_is_none_can_be_removed_by_tag(run: Runner) -> None:
    run.store("a", b"", 5_000, tags=("t",))
    assert run.untag("t", "a") == ("ok", [1])


def test_a_lost_counter_removes_nothing(run: Runner) -> None:
    run.store("a", tags=("t",))
    run.redis.delete(run.key("versions"))
    before = run.snapshot()
    assert run.untag("t", "a") == ("fence_missing", [])
    assert run.snapshot() == before
