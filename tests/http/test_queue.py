"""Queues over HTTP: what a client sees."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import NodeProcess, wait_until

NewName = Callable[[], str]


def consume(node: NodeProcess, topic: str, **more: object) -> Any:
    answer = node.post("/queue/consume", {"topic": topic, "consumer": "c1", **more})
    assert answer.status == 200, answer
    return answer.json


def publish(node: NodeProcess, topic: str, data: object, **more: object) -> str:
    answer = node.post("/queue/publish", {"topic": topic, "data": data, **more})
    assert answer.status == 200, answer
    return str(answer.json["id"])


def test_messages_come_in_the_order_they_were_published(node: NodeProcess, name: NewName) -> None:
    topic = name()
    ids = [publish(node, topic, number) for number in range(5)]
    assert [consume(node, topic)["id"] for _ in ids] == ids
    assert consume(node, topic) == {"message": None}


def test_a_delivery_carries_payload_time_attempt_and_receipt(node: NodeProcess, name: NewName) -> None:
    topic = name()
    message_id = publish(node, topic, {"x": 1})
    delivery = consume(node, topic)
    assert delivery["id"] == message_id
    assert delivery["attempt"] == 1
    assert delivery["receipt"].endswith(message_id)
    assert delivery["message"]["data"] == {"x": 1}
    assert delivery["message"]["ts"] > 1_600_000_000


def test_a_payload_comes_back_byte_for_byte(node: NodeProcess, name: NewName) -> None:
    topic = name()
    payload = b'{"a": [] ,"b":{},"n":12345678901234567890.123450,"s":"\\u0000\\ud83d\\ude00","e":1E+2}'
    assert node.post("/queue/publish", b'{"topic":"%s","data":%s}' % (topic.encode(), payload)).status == 200
    reply = node.post("/queue/consume", {"topic": topic}).body
    assert payload in reply


def test_acknowledged_by_id_by_receipt_or_by_receipts(node: NodeProcess, name: NewName) -> None:
    topic = name()
    for number in range(4):
        publish(node, topic, number)
    by_id, by_receipt = consume(node, topic), consume(node, topic)
    assert node.post("/queue/ack", {"topic": topic, "id": by_id["id"]}).json == {"ack": True}
    assert node.post("/queue/ack", {"topic": topic, "receipt": by_receipt["receipt"]}).json == {"ack": True}
    rest = [delivery["receipt"] for delivery in consume(node, topic, max=10)["messages"]]
    done = node.post("/queue/ack", {"topic": topic, "receipts": rest})
    assert done.json == {"ack": True, "acked": 2, "refused": []}
    assert node.get(f"/queue/{topic}").json["inflight"] == 0


def test_a_mixed_batch_of_receipts_acks_the_good_ones_and_names_the_others(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, 1)
    good = consume(node, topic)["receipt"]
    reply = node.post("/queue/ack", {"topic": topic, "receipts": [good, "1.1.1763890000123.never-was"]}).json
    assert (reply["ack"], reply["acked"]) == (False, 1)
    assert [(refused["receipt"], refused["code"]) for refused in reply["refused"]] == [
        ("1.1.1763890000123.never-was", "already_acked")
    ]


def test_an_ack_may_take_the_next_messages_along(node: NodeProcess, name: NewName) -> None:
    topic = name()
    for number in range(4):
        publish(node, topic, number)
    first = consume(node, topic)["receipt"]
    reply = node.post("/queue/ack", {"topic": topic, "receipt": first, "then": "consume"}).json
    assert reply["ack"] is True
    (second,) = reply["next"]["messages"]
    assert (second["message"]["data"], second["attempt"]) == (1, 1)
    reply = node.post("/queue/ack", {"topic": topic, "id": second["id"], "then": "consume", "max": 9}).json
    assert [one["message"]["data"] for one in reply["next"]["messages"]] == [2, 3]
    receipts = [one["receipt"] for one in reply["next"]["messages"]]
    reply = node.post("/queue/ack", {"topic": topic, "receipts": receipts, "then": "consume"}).json
    assert reply == {"ack": True, "acked": 2, "refused": [], "next": {"messages": []}}


def test_a_refused_ack_takes_nothing_along_but_a_list_does(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "next")
    never = "1.1.1763890000123.never-was"
    refused = node.post("/queue/ack", {"topic": topic, "receipt": never, "then": "consume"})
    assert (refused.status, refused.json["code"], refused.json["ack"]) == (409, "already_acked", False)
    assert node.get(f"/queue/{topic}").json["ready"] == 1
    reply = node.post("/queue/ack", {"topic": topic, "receipts": [never], "then": "consume"}).json
    assert (reply["ack"], reply["acked"], len(reply["refused"])) == (False, 0, 1)
    assert [one["message"]["data"] for one in reply["next"]["messages"]] == ["next"]


@pytest.mark.parametrize("wait_ms", [0, 60_000])
def test_an_ack_that_is_repeated_brings_the_same_messages(node: NodeProcess, name: NewName, wait_ms: int) -> None:
    topic = name()
    for number in range(3):
        publish(node, topic, number)
    receipt = consume(node, topic)["receipt"]
    body = {"topic": topic, "receipt": receipt, "then": "consume", "wait_ms": wait_ms, "request_id": name()}
    first = node.post("/queue/ack", body).json
    assert node.post("/queue/ack", body).json == first
    state = node.get(f"/queue/{topic}").json
    assert (state["ready"], state["inflight"]) == (1, 1)
    reused = node.post("/queue/ack", {**body, "max": 2})
    assert (reused.status, reused.json["code"]) == (422, "request_id_reused")


def test_an_unacknowledged_message_comes_again_with_a_higher_attempt(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "again")
    first = consume(node, topic, visibility_ms=50)
    second = wait_until(lambda: (got := consume(node, topic)).get("id") and got, "the visibility timeout")
    assert (second["id"], second["attempt"]) == (first["id"], 2)
    stale = node.post("/queue/ack", {"topic": topic, "receipt": first["receipt"]})
    assert (stale.status, stale.json["code"], stale.json["ack"]) == (409, "receipt_superseded", False)
    assert node.post("/queue/ack", {"topic": topic, "receipt": second["receipt"]}).json == {"ack": True}


def test_an_ack_after_the_visibility_timeout_is_refused(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "late")
    receipt = consume(node, topic, visibility_ms=50)["receipt"]
    wait_until(lambda: node.get(f"/queue/{topic}").json["ready"] == 1, "the visibility timeout")
    late = node.post("/queue/ack", {"topic": topic, "receipt": receipt})
    assert (late.status, late.json["code"]) == (409, "receipt_expired")


def test_a_second_ack_says_already_acked(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, 1)
    receipt = consume(node, topic)["receipt"]
    node.post("/queue/ack", {"topic": topic, "receipt": receipt})
    assert node.post("/queue/ack", {"topic": topic, "receipt": receipt}).json["code"] == "already_acked"


def test_nack_gives_the_message_back_now_or_later(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, 1)
    first = consume(node, topic)
    assert node.post("/queue/nack", {"topic": topic, "receipt": first["receipt"]}).json == {"nack": True}
    second = consume(node, topic)
    assert second["attempt"] == 2
    node.post("/queue/nack", {"topic": topic, "receipt": second["receipt"], "delay_ms": 60_000})
    state = node.get(f"/queue/{topic}").json
    assert (state["ready"], state["delayed"], state["inflight"]) == (0, 1, 0)


def test_extend_keeps_a_message_invisible(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, 1)
    receipt = consume(node, topic, visibility_ms=500)["receipt"]
    extended = node.post("/queue/extend", {"topic": topic, "receipt": receipt, "visibility_ms": 60_000})
    assert extended.json == {"extended": True, "visibility_ms": 60_000}
    assert node.post("/queue/ack", {"topic": topic, "receipt": receipt}).json == {"ack": True}


def test_a_delayed_message_stays_invisible_until_it_is_due(node: NodeProcess, name: NewName) -> None:
    topic = name()
    publish(node, topic, "later", delay_ms=200)
    publish(node, topic, "now")
    assert consume(node, topic)["message"]["data"] == "now"
    assert node.get(f"/queue/{topic}").json["delayed"] == 1
    due = wait_until(lambda: (got := consume(node, topic)).get("id") and got, "the delay to pass")
    assert due["message"]["data"] == "later"


def test_a_batch_is_published_whole_and_in_order(node: NodeProcess, name: NewName) -> None:
    topic = name()
    reply = node.post("/queue/publish", {"topic": topic, "messages": [{"data": n} for n in range(1000)]}).json
    assert len(set(reply["ids"])) == 1000
    got = [d["message"]["data"] for _ in range(10) for d in consume(node, topic, max=100)["messages"]]
    assert got == list(range(1000))


def test_a_chosen_id_is_stored_once(node: NodeProcess, name: NewName) -> None:
    topic = name()
    assert publish(node, topic, 1, id="order-17") == "order-17"
    again = node.post("/queue/publish", {"topic": topic, "data": 2, "id": "order-17"}).json
    assert again == {"ok": True, "id": "order-17", "duplicate": True}
    assert node.get(f"/queue/{topic}").json["ready"] == 1


def test_a_retried_publish_is_one_message_with_one_id(node: NodeProcess, name: NewName) -> None:
    topic, request_id = name(), name()
    body = {"topic": topic, "data": 1}
    first = node.post("/queue/publish", body, Idempotency_Key=request_id).json
    assert node.post("/queue/publish", body, Idempotency_Key=request_id).json == first
    assert node.get(f"/queue/{topic}").json["ready"] == 1


def test_a_retried_consume_gets_the_same_delivery(node: NodeProcess, name: NewName) -> None:
    topic, request_id = name(), name()
    publish(node, topic, 1)
    publish(node, topic, 2)
    first = consume(node, topic, request_id=request_id)
    assert consume(node, topic, request_id=request_id) == first
    assert consume(node, topic)["message"]["data"] == 2


def test_one_request_id_on_two_requests_is_refused(node: NodeProcess, name: NewName) -> None:
    topic, request_id = name(), name()
    publish(node, topic, 1, request_id=request_id)
    refused = node.post("/queue/publish", {"topic": topic, "data": 2, "request_id": request_id})
    assert (refused.status, refused.json["code"]) == (422, "request_id_reused")


def test_the_topic_and_consumer_have_defaults(node: NodeProcess) -> None:
    assert node.post("/queue/publish", {"data": "for default"}).status == 200
    wait_until(lambda: node.get("/queue/default").json["ready"] >= 1, "the message in topic default")
    assert json.loads(node.post("/queue/consume", {}).body)["message"]["data"] == "for default"
