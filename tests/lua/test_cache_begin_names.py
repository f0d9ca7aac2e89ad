"""cache.begin_names: no name is kept before, every new one after."""

from tests.lua import groups
from tests.lua.runner import COUNTER_BITS, GENERATION, Runner

FLOOR = GENERATION << COUNTER_BITS
MARK = 1 << (COUNTER_BITS - 1)


def test_nothing_is_kept_until_names_are_begun(run: Runner) -> None:
    run.put("a")
    run.store("b", tags=("t",))
    run.put_many(c=(b"1", 0, ""))
    run.fill("d")
    assert "names" not in run.kinds()


def test_every_way_to_write_a_new_key_keeps_its_name(run: Runner) -> None:
    run.keep_names()
    run.store("b")
    run.put_many(c=(b"1", 0, ""), a=(b"1", 0, 0))
    run.fill("d")
    groups.apply(run, groups.put("e", tags=("t",)))
    assert run.named() == [b"a", b"b", b"c", b"d", b"e"]


def test_a_plain_put_is_sent_to_the_script_that_keeps_names_and_stores_nothing(run: Runner) -> None:
    run.keep_names()
    before = run.snapshot()
    assert run.put("a", request_id="r1") == ("ok", [0])
    assert run.snapshot() == before
    assert run.put("a", knows_names="").fields[0] > FLOOR + MARK, "from a node that knows nothing of names"


def test_versions_go_on_above_and_are_not_moved_twice(run: Runner) -> None:
    version = run.put("a").fields[0]
    run.keep_names("a")
    assert run.counter() == version + MARK
    assert run.begin_names("b2") == ("ok", [1])
    assert run.counter() == version + MARK
    assert run.store("a").fields == [version + MARK + 1]


def test_names_of_an_older_generation_are_not_trusted(run: Runner) -> None:
    run.keep_names()
    run.store("a")
    run.install(run.generation + 1)
    run.put("b")
    assert run.call("cache.named", "", prefix="", after="", max=9).fields[0] == 0
    assert run.begin_names("b2") == ("ok", [0])
    run.add_names("b", build="b2", is_last=1)
    assert run.named() == [b"b"], "what was kept before was dropped, to be found again"
