"""What one node does reaches the others: wake-ups, invalidations, and clients that leave."""

import itertools
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


def copy_on(node: NodeProcess, key: str) -> Any:
    """What the node has of its own: not after the first read, if the message of the put came while it read."""
    found = get(node, key)
    return found if found["source"] == "local" else None


def test_a_put_on_one_node_empties_the_copy_on_another(pair: Pair) -> None:
    _, one, two = pair
    one.post("/cache/put", {"key": "near", "value": 1})
    kept = wait_until(lambda: copy_on(two, "near"), "a copy")
    assert kept["value"] == 1
    one.post("/cache/put", {"key": "near", "value": 2})
    wait_until(lambda: get(two, "near")["value"] == 2, "the invalidation")


def test_a_group_on_one_node_empties_the_copies_on_another(pair: Pair) -> None:
    _, one, two = pair
    keys = [f"{{near}}:{number}" for number in range(3)]
    for key in keys:
        one.post("/cache/put", {"key": key, "value": "old"})
        get(two, key)
        wait_until(lambda key=key: get(two, key)["source"] == "local", "a copy")  # type: ignore[misc]
    put, remove = {"op": "cache.put", "key": keys[0], "value": "new"}, {"op": "cache.invalidate", "key": keys[1]}
    assert one.post("/atomic", {"operations": [put, remove]}).status == 200
    wait_until(lambda: get(two, keys[0])["value"] == "new", "the invalidation")
    wait_until(lambda: not get(two, keys[1])["found"], "the invalidation")
    assert get(two, keys[2]) == {**get(two, keys[2]), "value": "old", "source": "local"}


def test_a_group_repeated_through_another_node_is_done_once(pair: Pair) -> None:
    _, one, two = pair
    group = {
        "request_id": "g1",
        "operations": [
            {"op": "queue.publish", "topic": "{again}", "data": 1},
            {"op": "cache.put", "key": "{again}", "value": 1},
        ],
    }
    assert one.post("/atomic", group).json == two.post("/atomic", group).json
    assert one.get("/queue/{again}").json["ready"] == 1


def test_workers_that_get_messages_twice_have_each_effect_once(pair: Pair) -> None:
    """Every other visibility is shorter than the work now and then, and all of them change one value."""
    _, one, two = pair
    paid, mail, spent = "{once}:paid", "{once}:mail", "{once}:spent"
    orders = 24
    one.post("/queue/publish", {"topic": paid, "messages": [{"data": 1}] * orders})
    one.post("/queue/settings", {"topic": paid, "max_deliveries": 1_000})
    refusals: set[str] = set()
    visibilities = itertools.cycle((50, 30_000))

    def work(node: NodeProcess) -> None:
        while one.get(f"/queue/{mail}").json["ready"] < orders:
            order = node.post("/queue/consume", {"topic": paid, "visibility_ms": next(visibilities)}).json
            if order.get("id"):
                read = node.post("/cache/get", {"key": spent, "consistency": "strong"}).json
                total = (read["value"] or 0) + order["message"]["data"]
                operations = [
                    {"op": "queue.publish", "topic": mail, "data": total},
                    {"op": "queue.ack", "topic": paid, "receipt": order["receipt"]},
                    {"op": "cache.put", "key": spent, "value": total, "if_version": read.get("version", 0)},
                ]
                done = node.post("/atomic", {"operations": operations}).json
                if not done["ok"]:
                    refusals.add(done["refusal"]["code"])
                    node.post("/queue/nack", {"topic": paid, "receipt": order["receipt"]})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, [one, two] * 3, timeout=60))
    mails = two.post("/queue/consume", {"topic": mail, "max": 100}).json["messages"]
    assert [one["message"]["data"] for one in mails] == list(range(1, orders + 1))
    assert get(one, spent)["value"] == orders
    state = one.get(f"/queue/{paid}").json
    assert (state["ready"], state["inflight"], state["dead"]) == (0, 0, 0)
    assert refusals <= {"version_mismatch", "receipt_expired", "receipt_superseded", "already_acked"}


def test_a_node_that_lost_its_subscription_reads_from_redis_until_it_is_back(pair: Pair) -> None:
    server, one, two = pair
    one.post("/cache/put", {"key": "gap", "value": 1})
    wait_until(lambda: copy_on(two, "gap"), "a copy")
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
