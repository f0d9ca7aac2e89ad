"""Consumers that wait on one node for what is published through another: woken at once, one for each message."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import DEADLINE_S, NodeProcess, RedisServer, cluster, redis_server, wait_until

WAIT_MS = 30_000
"""Longer than any test waits for anything: an answer within the deadline was caused by a wake-up."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NodeProcess]]:
    folder = tmp_path_factory.mktemp("consumers")
    with redis_server(folder / "redis") as server, cluster(folder, server.url) as started:
        yield started


class Consumer(threading.Thread):
    """One request that waits."""

    def __init__(self, node: NodeProcess, topic: str, **more: Any) -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=2 * DEADLINE_S)
        self.body = {"topic": topic, "wait_ms": WAIT_MS, **more}
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # its client goes, or its node dies
            self.connection.request("POST", "/queue/consume", json.dumps(self.body))
            with self.connection.getresponse() as reply:
                self.answer = json.loads(reply.read())
        self.connection.close()

    def result(self) -> Any:
        self.join(DEADLINE_S)
        assert self.answer is not None, "nobody woke it"
        return self.answer


def waiting(node: NodeProcess, topic: str, count: int) -> None:
    wait_until(lambda: node.get(f"/queue/{topic}").json["consumers"] == count, f"{count} consumers to wait")


def park(nodes: list[NodeProcess], topic: str, count: int) -> list[Consumer]:
    """One after the other, on the nodes in turn."""
    parked = []
    for number in range(count):
        parked.append(Consumer(nodes[number % len(nodes)], topic, consumer=f"c{number}"))
        waiting(nodes[0], topic, number + 1)
    return parked


def publish(node: NodeProcess, topic: str, *data: Any, **more: Any) -> None:
    reply = node.post("/queue/publish", {"topic": topic, "messages": [{"data": one, **more} for one in data]})
    assert reply.status == 200, reply


def test_those_who_came_first_are_served_first_over_all_nodes(nodes: list[NodeProcess]) -> None:
    parked = park(nodes, "fair", 6)
    for number in range(6):
        publish(nodes[2], "fair", number)
        assert parked[number].result()["message"]["data"] == number


def test_a_batch_wakes_as_many_as_it_has_messages(nodes: list[NodeProcess]) -> None:
    parked = park(nodes, "batch", 4)
    publish(nodes[0], "batch", *"abc")
    got = sorted(one.result()["message"]["data"] for one in parked[:3])
    assert got == ["a", "b", "c"]
    assert parked[3].answer is None
    publish(nodes[1], "batch", "d")
    assert parked[3].result()["message"]["data"] == "d"


def test_a_group_wakes_as_many_as_it_publishes_and_a_refused_one_nobody(nodes: list[NodeProcess]) -> None:
    tag = "{group}"
    parked = park(nodes, f"{tag}:out", 3)
    publish_one = {"op": "queue.publish", "topic": f"{tag}:out", "data": "a"}
    put = {"op": "cache.put", "key": f"{tag}:k", "value": 1, "if_version": 0}
    group: list[dict[str, Any]] = [publish_one, put, {**publish_one, "data": "b"}]
    refused = nodes[0].post("/atomic", {"operations": [*group, {**put, "key": tag, "if_version": 1}]})
    assert refused.json["refusal"]["code"] == "version_mismatch"
    assert nodes[2].post("/atomic", {"operations": group}).status == 200
    assert sorted(one.result()["message"]["data"] for one in parked[:2]) == ["a", "b"]
    assert parked[2].answer is None
    publish(nodes[1], f"{tag}:out", "c")
    assert parked[2].result()["message"]["data"] == "c"


def test_a_delayed_message_wakes_at_its_time_through_the_owner(nodes: list[NodeProcess]) -> None:
    (parked,) = park(nodes, "later", 1)
    publish(nodes[1], "later", "x", delay_ms=300)
    assert parked.result()["message"]["data"] == "x"


def test_a_lapsed_delivery_wakes_a_consumer(nodes: list[NodeProcess]) -> None:
    publish(nodes[0], "lapse", "x")
    first = nodes[0].post("/queue/consume", {"topic": "lapse", "visibility_ms": 300}).json
    (parked,) = park(nodes, "lapse", 1)
    assert (parked.result()["id"], parked.result()["attempt"]) == (first["id"], 2)


def test_a_client_that_goes_takes_no_message_along(nodes: list[NodeProcess]) -> None:
    first, second = park(nodes, "gone", 2)
    assert first.connection.sock is not None
    first.connection.sock.shutdown(2)
    first.join(DEADLINE_S)
    waiting(nodes[0], "gone", 1)
    publish(nodes[2], "gone", "x")
    assert second.result()["message"]["data"] == "x"


def test_a_wait_in_vain_ends_at_its_time(nodes: list[NodeProcess]) -> None:
    reply = nodes[0].post("/queue/consume", {"topic": "nothing", "wait_ms": 100})
    assert reply.json == {"message": None}
    waiting(nodes[0], "nothing", 0)


def test_an_ack_may_wait_for_the_next_message(nodes: list[NodeProcess]) -> None:
    publish(nodes[0], "then", "a")
    receipt = nodes[0].post("/queue/consume", {"topic": "then"}).json["receipt"]
    answers: list[Any] = []
    body = {"topic": "then", "receipt": receipt, "then": "consume", "wait_ms": WAIT_MS}
    thread = threading.Thread(target=lambda: answers.append(nodes[1].post("/queue/ack", body).json))
    thread.start()
    waiting(nodes[0], "then", 1)
    publish(nodes[2], "then", "b")
    thread.join(DEADLINE_S)
    assert [one["message"]["data"] for one in answers[0]["next"]["messages"]] == ["b"]


def test_a_node_that_dies_keeps_no_message_from_the_others(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url) as nodes:
        on_dying = Consumer(nodes[2], "t")
        waiting(nodes[0], "t", 1)
        other = Consumer(nodes[0], "t")
        waiting(nodes[0], "t", 2)
        nodes[2].signal(9)
        publish(nodes[1], "t", "x")
        assert other.result()["message"]["data"] == "x"
        on_dying.join(DEADLINE_S)
        assert on_dying.answer is None
