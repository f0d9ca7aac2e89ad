"""What one node does reaches the others: wake-ups, invalidations, and clients that leave."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, NodeProcess, NodeProcess]]:
    folder = tmp_path_factory.mktemp("pair")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as (one, two, _):
        yield server, one, two


Pair = tuple[RedisServer, NodeProcess, NodeProcess]


def get(node: NodeProcess, key: str) -> Any:
    return node.post("/cache/get", {"key": key}).json


def test_a_release_on_one_node_wakes_a_waiter_on_another(pair: Pair) -> None:
    _, one, two = pair
    one.post("/lock/acquire", {"resource": "far", "owner": "alice"})
    got: list[Any] = []
    body = {"resource": "far", "owner": "bob", "timeout": 10}
    waiter = threading.Thread(target=lambda: got.append(two.post("/lock/acquire", body).json))
    waiter.start()
    wait_until(lambda: b"simpul_lock_waiters 1.0" in two.get("/metrics").body, "bob to wait on the other node")
    one.post("/lock/release", {"resource": "far", "owner": "alice"})
    waiter.join()
    assert got[0]["granted"]
    assert got[0]["waited_ms"] < 5_000


def test_a_waiter_whose_client_left_is_withdrawn(pair: Pair) -> None:
    _, one, _ = pair
    one.post("/lock/acquire", {"resource": "left", "owner": "alice"})
    body = b'{"resource":"left","owner":"ghost","timeout":60}'
    with socket.create_connection(("127.0.0.1", one.port)) as client:
        client.sendall(b"POST /lock/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        wait_until(lambda: b"simpul_lock_waiters 1.0" in one.get("/metrics").body, "ghost to wait")
    wait_until(lambda: b"simpul_lock_waiters 0.0" in one.get("/metrics").body, "ghost to be withdrawn")
    one.post("/lock/release", {"resource": "left", "owner": "alice"})
    assert one.get("/lock/left").json["holders"] == []


def test_a_put_on_one_node_empties_the_copy_on_another(pair: Pair) -> None:
    _, one, two = pair
    one.post("/cache/put", {"key": "near", "value": 1})
    get(two, "near")
    assert get(two, "near") == {**get(two, "near"), "value": 1, "source": "local"}
    one.post("/cache/put", {"key": "near", "value": 2})
    wait_until(lambda: get(two, "near")["value"] == 2, "the invalidation")


def test_a_node_that_lost_its_subscription_reads_from_redis_until_it_is_back(pair: Pair) -> None:
    server, one, two = pair
    one.post("/cache/put", {"key": "gap", "value": 1})
    get(two, "gap")
    assert get(two, "gap")["source"] == "local"
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-subscribe")
        try:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            wait_until(lambda: b"simpul_subscription_up 0.0" in two.get("/metrics").body, "the loss to be noticed")
            one.post("/cache/put", {"key": "gap", "value": 2})
            assert get(two, "gap")["value"] == 2, "the invalidation was lost, and must not be needed"
            assert get(two, "gap")["source"] == "redis"
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+subscribe")
    wait_until(lambda: get(two, "gap")["source"] == "local", "the near cache to be on again")


def test_many_ask_the_leader_through_one_node_at_once(pair: Pair) -> None:
    _, one, two = pair
    leader = wait_until(lambda: one.get("/raft/state").json["leader_url"], "a leader")
    node = two if leader == one.url else one
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(node.get, ["/cluster", "/locks/waits"] * 24)]
    assert {answer.status for answer in answers} == {200}
    assert all(state["heard_ms"] is not None for one in answers[::2] for state in one.json["nodes"].values())


def test_a_stopping_node_answers_those_who_wait_and_ends_with_zero(pair: Pair, tmp_path: Any) -> None:
    server, *_ = pair
    node = NodeProcess(tmp_path, server.url, NODE_ID="n9", CLUSTER_NAME="stopping").start()
    node.post("/lock/acquire", {"resource": "stop", "owner": "alice"})
    got: list[Any] = []
    body = {"resource": "stop", "owner": "bob", "timeout": 60}
    waiter = threading.Thread(target=lambda: got.append(node.post("/lock/acquire", body)))
    waiter.start()
    wait_until(lambda: b"simpul_lock_waiters 1.0" in node.get("/metrics").body, "bob to wait")
    assert node.stop() == 0
    waiter.join()
    assert (got[0].status, got[0].json["code"]) == (503, "node_stopping")
    assert got[0].headers["retry-after"] == "1"
