"""queue.schedules: the schedules of a topic, in order and in pages."""

from tests.lua.runner import Runner


def test_those_of_a_topic_are_listed_in_order_and_in_pages(run: Runner) -> None:
    for name in ("c", "a", "b"):
        run.schedule(5, name)
        run.schedule(5, name, topic="topic2")
    assert [one[0] for one in run.schedules(limit=2)] == [b"a", b"b"]
    assert [one[0] for one in run.schedules("b", limit=2)] == [b"c"]
