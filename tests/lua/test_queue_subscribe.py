"""queue.subscribe: what a new subscription begins with."""

from tests.lua.runner import Runner
from tests.lua.test_queue_fan import A, fan, subscribe


def test_a_subscription_begins_now_and_with_what_is_set_for_the_topic(run: Runner) -> None:
    run.publish("before")
    run.configure(max_deliveries=1, paused_out=True)
    assert subscribe(run, "a", "a") == [("ok", [1]), ("ok", [0])]
    assert run.counts(A) == (0, 0, 0)
    assert run.counts() == (1, 0, 0)
    fan(run, "m1", to=("a",))
    assert run.hand_back(run.consume(topic=A)[0].receipt, topic=A).fields[0] == b"dead"


def test_a_topic_has_sixteen_subscriptions_at_the_most(run: Runner) -> None:
    subscribe(run, *(f"s{number}" for number in range(16)))
    before = run.snapshot()
    assert subscribe(run, "more") == [("subscriptions_full", [16])]
    assert run.snapshot() == before
