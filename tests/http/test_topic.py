"""Topics over HTTP: settings, order, dead letters, and what is done to a topic as a whole."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import NodeProcess, wait_until

NewName = Callable[[], str]


def post(node: NodeProcess, path: str, **body: Any) -> Any:
    answer = node.post(path, body)
    assert answer.status == 200, answer
    return answer.json


def publish(node: NodeProcess, topic: str, *ids: str, **more: Any) -> None:
    post(node, "/queue/publish", topic=topic, messages=[{"data": name, "id": name, **more} for name in ids])


def consume(node: NodeProcess, topic: str, **more: Any) -> list[Any]:
    reply = post(node, "/queue/consume", topic=topic, **{"max": 10, **more})
    return list(reply["messages"]) if "messages" in reply else [reply] if "id" in reply else []


def ids(deliveries: list[Any]) -> list[str]:
    return [one["id"] for one in deliveries]


def state(node: NodeProcess, topic: str) -> Any:
    return node.get(f"/queue/{topic}").json


def test_what_belongs_to_a_message_comes_with_it(node: NodeProcess, name: NewName) -> None:
    topic = name()
    headers = {"trace": "ä 1", "": "empty"}
    post(node, "/queue/publish", topic=topic, data=[1], priority=4, key="k ä", ttl_ms=60_000, headers=headers)
    (one,) = consume(node, topic)
    assert one["message"] == {**one["message"], "data": [1], "priority": 4, "key": "k ä", "headers": headers}


def test_higher_priorities_come_first(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "low")
    publish(node, topic, "high", "high too", priority=9)
    assert ids(consume(node, topic)) == ["high", "high too", "low"]


def test_messages_of_a_key_come_one_at_a_time_in_order(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "a", "b", key="k")
    publish(node, topic, "c", key="other")
    first = consume(node, topic)
    assert ids(first) == ["a", "c"]
    assert state(node, topic)["waiting"] == 1
    post(node, "/queue/nack", topic=topic, receipt=first[0]["receipt"])
    (again,) = consume(node, topic)
    assert (again["id"], again["attempt"]) == ("a", 2)
    post(node, "/queue/ack", topic=topic, receipt=again["receipt"])
    assert ids(consume(node, topic)) == ["b"]


def test_an_expired_message_goes_by_itself(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "short", ttl_ms=50)
    publish(node, topic, "long")
    wait_until(lambda: state(node, topic)["expired"] == 1, "the owner to end a life, though nobody consumes")
    assert state(node, topic)["ready"] == 1


def test_settings_are_shown_changed_and_taken_back(node: NodeProcess, name: NewName) -> None:
    topic = name()
    assert state(node, topic)["settings"]["max_deliveries"] == 5
    changed = post(node, "/queue/settings", topic=topic, max_deliveries=2, rate_per_s=100, dead_letter_topic="d")
    assert changed["settings"] == state(node, topic)["settings"]
    assert (changed["settings"]["max_deliveries"], changed["settings"]["rate_per_s"]) == (2, 100)
    back = post(node, "/queue/settings", topic=topic, max_deliveries=None, rate_per_s=None)["settings"]
    assert (back["max_deliveries"], back["rate_per_s"], back["dead_letter_topic"]) == (5, None, "d")


def test_a_full_topic_answers_429_and_when_to_come_back(node: NodeProcess, name: NewName) -> None:
    topic = name()
    post(node, "/queue/settings", topic=topic, max_length=2)
    publish(node, topic, "a", "b")
    refused = node.post("/queue/publish", {"topic": topic, "data": 1})
    assert (refused.status, refused.json["code"], refused.json["length"]) == (429, "topic_full", 2)
    assert int(refused.headers["retry-after"]) >= 1
    assert state(node, topic)["ready"] == 2


def test_settings_that_would_harm_messages_under_way_are_refused(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "a", "b", key="k")
    for change in ({"max_length": 1}, {"key_concurrency": 4}):
        refused = node.post("/queue/settings", {"topic": topic, **change})
        assert (refused.status, refused.json["code"]) == (409, "topic_in_use")
    assert state(node, topic)["settings"]["max_length"] is None


def test_an_id_is_not_stored_again_within_its_window(node: NodeProcess, name: NewName) -> None:
    topic = name()
    post(node, "/queue/settings", topic=topic, dedup_ms=60_000)
    publish(node, topic, "a")
    post(node, "/queue/ack", topic=topic, receipt=consume(node, topic)[0]["receipt"])
    again = post(node, "/queue/publish", topic=topic, data=1, id="a")
    assert again == {"ok": True, "id": "a", "duplicate": True}


def test_a_paused_topic_takes_nothing_or_gives_nothing(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "a")
    paused = post(node, "/queue/pause", topic=topic, publish=True, consume=True)["settings"]
    assert (paused["paused_in"], paused["paused_out"]) == (True, True)
    refused = node.post("/queue/publish", {"topic": topic, "data": 1})
    assert (refused.status, refused.json["code"]) == (409, "topic_paused")
    assert consume(node, topic) == []
    post(node, "/queue/pause", topic=topic, publish=False, consume=False)
    publish(node, topic, "b")
    assert ids(consume(node, topic)) == ["a", "b"]


def test_a_message_dies_of_too_many_deliveries_and_may_be_redriven(node: NodeProcess, name: NewName) -> None:
    topic = name()
    post(node, "/queue/settings", topic=topic, max_deliveries=2)
    publish(node, topic, "a")
    assert post(node, "/queue/nack", topic=topic, receipt=consume(node, topic)[0]["receipt"]) == {"nack": True}
    last = consume(node, topic, consumer="worker-7")[0]["receipt"]
    assert post(node, "/queue/nack", topic=topic, receipt=last) == {"nack": True, "state": "dead"}
    (dead,) = post(node, "/queue/peek", topic=topic, state="dead")["messages"]
    assert (dead["id"], dead["reason"], dead["attempts"], dead["consumer"]) == ("a", "max_deliveries", 2, "worker-7")
    assert post(node, "/queue/redrive", topic=topic) == {"redriven": 1, "left": 0}
    assert consume(node, topic)[0]["attempt"] == 1


def test_a_buried_message_is_a_dead_letter_with_its_reason(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "a")
    receipt = consume(node, topic)[0]["receipt"]
    assert post(node, "/queue/bury", topic=topic, receipt=receipt, reason="no customer") == {"buried": True}
    assert post(node, "/queue/peek", topic=topic, state="dead")["messages"][0]["reason"] == "no customer"
    again = node.post("/queue/bury", {"topic": topic, "receipt": receipt})
    assert (again.status, again.json["code"], again.json["buried"]) == (409, "receipt_expired", False)


def test_dead_letters_are_redriven_into_another_topic(node: NodeProcess, name: NewName) -> None:
    topic, other = name(), name()
    publish(node, topic, *"abc", headers={"h": "v"}, priority=3)
    for one in consume(node, topic):
        post(node, "/queue/bury", topic=topic, receipt=one["receipt"])
    assert post(node, "/queue/redrive", topic=topic, to=other, max=2) == {"redriven": 2, "left": 1}
    moved = consume(node, other)
    assert [(one["message"]["data"], one["message"]["headers"], one["attempt"]) for one in moved] == [
        ("a", {"h": "v"}, 1),
        ("b", {"h": "v"}, 1),
    ]


def test_dead_letters_go_by_themselves_where_it_is_set_and_say_why(node: NodeProcess, name: NewName) -> None:
    topic, other = name(), name()
    post(node, "/queue/settings", topic=topic, dead_letter_topic=other)
    publish(node, topic, "a")
    receipt = consume(node, topic, consumer="w")[0]["receipt"]
    post(node, "/queue/bury", topic=topic, receipt=receipt, reason="bad")
    (moved,) = wait_until(lambda: consume(node, other), "the owner to move the dead letter")
    assert moved["message"]["headers"] == {
        "dead-topic": topic,
        "dead-reason": "bad",
        "dead-attempts": "1",
        "dead-consumer": "w",
    }
    assert state(node, topic)["dead"] == 0


def test_a_back_off_is_told(node: NodeProcess, name: NewName) -> None:
    topic = name()
    post(node, "/queue/settings", topic=topic, backoff_ms=60_000)
    publish(node, topic, "a")
    receipt = consume(node, topic)[0]["receipt"]
    reply = post(node, "/queue/nack", topic=topic, receipt=receipt)
    assert reply == {"nack": True, "state": "delayed", "delay_ms": 60_000}
    assert post(node, "/queue/kick", topic=topic) == {"kicked": 1, "left": 0}
    assert consume(node, topic)[0]["attempt"] == 2


@pytest.mark.parametrize("by", ["ids", "state"])
def test_messages_are_purged(node: NodeProcess, name: NewName, by: str) -> None:
    topic = name()
    publish(node, topic, "a", "b")
    body: dict[str, Any] = {"ids": ["a", "none"]} if by == "ids" else {"state": "ready"}
    purged = 1 if by == "ids" else 2
    assert post(node, "/queue/purge", topic=topic, **body) == {"purged": purged, "more": False}
    assert state(node, topic)["ready"] == 2 - purged


def test_a_topic_is_deleted_with_all_it_has(node: NodeProcess, name: NewName) -> None:
    topic = name()
    post(node, "/queue/settings", topic=topic, max_deliveries=2)
    publish(node, topic, "a", "b")
    consume(node, topic, max=1)
    refused = node.post("/queue/delete", {"topic": topic})
    assert (refused.status, refused.json["code"]) == (409, "topic_in_use")
    assert post(node, "/queue/delete", topic=topic, force=True) == {"deleted": True, "purged": 2}
    assert state(node, topic)["settings"]["max_deliveries"] == 5


def test_a_consumer_asks_how_long_it_has_left(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "a")
    receipt = consume(node, topic, visibility_ms=60_000)[0]["receipt"]
    left = post(node, "/queue/left", topic=topic, receipt=receipt)
    assert 0 < left["left_ms"] <= 60_000
    assert 60_000 < left["extendable_ms"] <= 43_200_000
    post(node, "/queue/ack", topic=topic, receipt=receipt)
    assert node.post("/queue/left", {"topic": topic, "receipt": receipt}).json["code"] == "already_acked"


def test_a_delivery_is_not_extended_beyond_twelve_hours(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "a")
    receipt = consume(node, topic)[0]["receipt"]
    wait_until(
        lambda: (
            node.post("/queue/extend", {"topic": topic, "receipt": receipt, "visibility_ms": 43_200_000}).json.get(
                "code"
            )
            == "extension_too_long"
        ),
        "a millisecond to pass",
    )


def test_an_ack_takes_the_next_message_along(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, *"abc")
    first = post(node, "/queue/consume", topic=topic)
    done = post(node, "/queue/ack", topic=topic, receipt=first["receipt"], then="consume", max=2)
    assert done["ack"] is True
    assert ids(done["next"]["messages"]) == ["b", "c"]
    refused = node.post("/queue/ack", {"topic": topic, "receipt": first["receipt"], "then": "consume"})
    assert refused.json["code"] == "already_acked"
    receipts = [one["receipt"] for one in done["next"]["messages"]]
    assert post(node, "/queue/ack", topic=topic, receipts=receipts, then="consume")["next"] == {"messages": []}


def test_a_retried_ack_gets_the_same_next_message(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, *"abc")
    first = post(node, "/queue/consume", topic=topic)
    body = {"topic": topic, "receipt": first["receipt"], "then": "consume", "request_id": name()}
    assert node.post("/queue/ack", body).json == node.post("/queue/ack", body).json
    assert ids(consume(node, topic)) == ["c"]


def test_a_whole_page_of_states_is_readable_json(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "a", "b")
    consume(node, topic, max=1)
    page = json.loads(node.post("/queue/peek", {"topic": topic, "state": "inflight"}).body)
    assert page["next"] is None
    assert [one["attempts"] for one in page["messages"]] == [1]
    assert post(node, "/queue/peek", topic=topic, max=1)["next"] == 1
