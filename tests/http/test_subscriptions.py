"""Subscriptions of a topic over HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import NodeProcess, wait_until

NewName = Callable[[], str]


def post(node: NodeProcess, path: str, **body: Any) -> Any:
    answer = node.post(path, body)
    assert answer.status == 200, answer
    return answer.json


def subscribe(node: NodeProcess, topic: str, *names: str) -> None:
    for name in names:
        assert post(node, "/queue/subscribe", topic=topic, subscription=name)["created"]


def test_each_subscription_has_a_message_of_its_own_to_work_on(node: NodeProcess, name: NewName) -> None:
    topic = name()
    subscribe(node, topic, "a", "b")
    post(node, "/queue/publish", topic=topic, data={"x": 1}, id="m", headers={"h": "1"})
    found = {own: post(node, "/queue/consume", topic=topic, subscription=own) for own in ("a", "b")}
    assert [one["message"]["data"] for one in found.values()] == [{"x": 1}, {"x": 1}]
    receipt = found["a"]["receipt"]
    post(node, "/queue/extend", topic=topic, subscription="a", receipt=receipt, visibility_ms=90_000)
    assert post(node, "/queue/left", topic=topic, subscription="a", receipt=receipt)["left_ms"] > 60_000
    post(node, "/queue/ack", topic=topic, subscription="a", receipt=receipt)
    post(node, "/queue/bury", topic=topic, subscription="b", receipt=found["b"]["receipt"])
    state = node.get(f"/queue/{topic}").json
    assert {own: (one["inflight"], one["dead"]) for own, one in state["subscriptions"].items()} == {
        "a": (0, 0),
        "b": (0, 1),
    }
    assert node.get(f"/queue/{topic}?subscription=b").json["dead"] == 1


def test_dead_letters_of_a_subscription_take_their_payload_along(node: NodeProcess, name: NewName) -> None:
    topic, other, third = name(), name(), name()
    subscribe(node, topic, "a")
    post(node, "/queue/publish", topic=topic, messages=[{"data": [1], "id": "m"}])
    one = post(node, "/queue/consume", topic=topic, subscription="a")
    post(node, "/queue/bury", topic=topic, subscription="a", receipt=one["receipt"])
    assert post(node, "/queue/redrive", topic=topic, subscription="a", to=other) == {"redriven": 1, "left": 0}
    assert post(node, "/queue/consume", topic=other)["message"]["data"] == [1]
    post(node, "/queue/settings", topic=topic, subscription="a", dead_letter_topic=third)
    post(node, "/queue/publish", topic=topic, data=[2])
    one = post(node, "/queue/consume", topic=topic, subscription="a")
    post(node, "/queue/bury", topic=topic, subscription="a", receipt=one["receipt"])
    moved = post(node, "/queue/consume", topic=third, wait_ms=20_000)["message"]
    assert (moved["data"], moved["headers"]["dead-subscription"]) == ([2], "a")


def test_a_publish_after_the_last_subscription_went_is_for_the_topic(node: NodeProcess, name: NewName) -> None:
    topic = name()
    post(node, "/queue/publish", topic=topic, data=0, id="before")
    subscribe(node, topic, "a")
    post(node, "/queue/publish", topic=topic, data=1, id="during", request_id="r")
    assert post(node, "/queue/publish", topic=topic, data=1, id="during", request_id="r")["id"] == "during"
    refused = node.post("/queue/delete", {"topic": topic, "force": True})
    assert (refused.status, refused.json["code"]) == (409, "topic_in_use")
    gone = {"topic": topic, "subscription": "a", "request_id": "u"}
    assert post(node, "/queue/unsubscribe", **gone) == {"unsubscribed": True, "purged": 1}
    subscribe(node, topic, "a")
    post(node, "/queue/publish", topic=topic, data=2, id="anew")
    assert post(node, "/queue/unsubscribe", **gone) == {"unsubscribed": True, "purged": 0}
    assert node.get(f"/queue/{topic}").json["subscriptions"]["a"]["ready"] == 1
    post(node, "/queue/unsubscribe", topic=topic, subscription="a")
    post(node, "/queue/publish", topic=topic, data=3, id="after")
    messages = post(node, "/queue/consume", topic=topic, max=9)["messages"]
    assert [one["id"] for one in messages] == ["before", "after"]


def test_a_parked_consumer_of_each_subscription_is_woken(node: NodeProcess, name: NewName) -> None:
    topic = name()
    subscribe(node, topic, "a", "b")

    def take(own: str) -> Any:
        return post(node, "/queue/consume", topic=topic, subscription=own, wait_ms=30_000)

    def all_wait() -> bool:
        counts = node.get(f"/queue/{topic}").json["subscriptions"].values()
        return all(one["consumers"] == 1 for one in counts)

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(take, own) for own in ("a", "b")]
        wait_until(all_wait, "both to be parked")
        post(node, "/queue/publish", topic=topic, data=1, id="m")
        assert [one.result()["id"] for one in waiting] == ["m", "m"]


OPERATIONS: dict[str, dict[str, Any]] = {
    "consume": {},
    "ack": {"id": "m"},
    "nack": {"receipt": "1.1.5.m"},
    "extend": {"receipt": "1.1.5.m", "visibility_ms": 1_000},
    "bury": {"receipt": "1.1.5.m"},
    "left": {"receipt": "1.1.5.m"},
    "peek": {},
    "redrive": {"to": "other"},
    "kick": {},
    "purge": {"state": "dead"},
    "settings": {"max_deliveries": 1},
    "pause": {"consume": True},
    "unsubscribe": {},
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_subscription_that_is_not_there_is_named(node: NodeProcess, name: NewName, operation: str) -> None:
    topic = name()
    answer = node.post(f"/queue/{operation}", {"topic": topic, "subscription": "none", **OPERATIONS[operation]})
    assert (answer.status, answer.json["code"]) == (404, "subscription_unknown"), answer
    assert topic in answer.json["detail"]
    assert "none" in answer.json["detail"]
    assert node.get(f"/queue/{topic}?subscription=none").status == 404


def test_a_group_does_not_publish_to_subscriptions(node: NodeProcess, name: NewName) -> None:
    topic = name()
    subscribe(node, topic, "a")
    answer = node.post("/atomic", {"operations": [{"op": "queue.publish", "topic": topic, "data": 1}]})
    assert answer.status == 409, answer
    assert node.get(f"/queue/{topic}").json["ready"] == 0


def test_an_ack_takes_the_next_message_of_its_own_subscription(node: NodeProcess, name: NewName) -> None:
    topic = name()
    subscribe(node, topic, "a", "b")
    for number in (1, 2):
        post(node, "/queue/publish", topic=topic, data=number, id=f"m{number}")
    first = post(node, "/queue/consume", topic=topic, subscription="a")
    body = {
        "topic": topic,
        "subscription": "a",
        "receipt": first["receipt"],
        "then": "consume",
        "request_id": f"{topic}1",
    }
    done = post(node, "/queue/ack", **body)
    assert [(one["id"], one["message"]["data"]) for one in done["next"]["messages"]] == [("m2", 2)]
    assert post(node, "/queue/ack", **body) == done
    assert node.get(f"/queue/{topic}").json["subscriptions"]["b"]["ready"] == 2


def test_a_tick_of_a_timetable_goes_to_every_subscription(node: NodeProcess, name: NewName) -> None:
    topic = name()
    subscribe(node, topic, "a", "b")
    first = post(node, "/queue/schedule", topic=topic, name="s", every_ms=1_000, data={"x": 1})["next_ms"][0]
    for own in ("a", "b"):
        taken = post(node, "/queue/consume", topic=topic, subscription=own, wait_ms=10_000)
        assert (taken["id"], taken["message"]["data"]) == (f"s@{first}", {"x": 1})
    post(node, "/queue/unschedule", topic=topic, name="s")
    assert node.get(f"/queue/{topic}").json["ready"] == 0
