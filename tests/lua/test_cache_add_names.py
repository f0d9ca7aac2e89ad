"""cache.add_names: names are whole once every key was looked at, and not before."""

from tests.lua.runner import Runner


def test_names_are_not_told_before_they_are_whole(run: Runner) -> None:
    run.put("old")
    run.begin_names()
    run.store("new")
    assert run.call("cache.named", "", prefix="", after="", max=9).fields[0] == 0
    run.add_names("old", "gone")
    assert run.call("cache.named", "", prefix="", after="", max=9).fields[0] == 0
    run.add_names(is_last=1)
    assert run.named() == [b"new", b"old"]


def test_a_look_that_began_before_the_names_did_is_refused(run: Runner) -> None:
    run.put("a")
    run.begin_names("b1")
    run.redis.delete(run.key("names"))
    run.install(run.generation + 1)
    run.begin_names("b2")
    before = run.snapshot()
    assert run.add_names("a", build="b1", is_last=1) == ("ok", [0])
    assert run.snapshot() == before
    assert run.add_names("a", build="b2", is_last=1) == ("ok", [1])
