"""One line for one lock over all nodes: who is next, and what becomes of those who cannot be."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from service.lock.waiting import ATTEND_EVERY_S
from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, list[NodeProcess]]]:
    folder = tmp_path_factory.mktemp("waiting")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as nodes:
        yield server, nodes


Trio = tuple[RedisServer, list[NodeProcess]]


def acquire(node: NodeProcess, resource: str, owner: str, **more: Any) -> Any:
    return node.post("/lock/acquire", {"resource": resource, "owner": owner, "timeout": 0, **more}).json


def release(node: NodeProcess, resource: str, owner: str) -> None:
    assert node.post("/lock/release", {"resource": resource, "owner": owner}).status == 200


def line(node: NodeProcess, resource: str) -> list[str]:
    return [waiter["owner"] for waiter in node.get(f"/lock/{resource}").json["waiters"]]


class Waiter:
    """A request that waits, in a thread, and what it heard."""

    def __init__(self, node: NodeProcess, resource: str, owner: str, watch: NodeProcess, **more: Any) -> None:
        before = len(line(watch, resource))
        self.answer: Any = None
        self.answered_at = 0.0
        body = {"resource": resource, "owner": owner, "timeout": 10, **more}
        self.thread = threading.Thread(target=self._run, args=(node, body))
        self.thread.start()
        wait_until(lambda: len(line(watch, resource)) > before or self.answer, f"{owner} to wait")

    def _run(self, node: NodeProcess, body: dict[str, Any]) -> None:
        try:
            self.answer = node.post("/lock/acquire", body).json
        except OSError as error:
            self.answer = {"error": error}
        self.answered_at = time.monotonic()

    def result(self) -> Any:
        self.thread.join()
        return self.answer


def leaving(node: NodeProcess, resource: str, owner: str) -> socket.socket:
    """A client that can go away."""
    body = f'{{"resource":"{resource}","owner":"{owner}","timeout":60}}'.encode()
    client = socket.create_connection(("127.0.0.1", node.port))
    client.sendall(b"POST /lock/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    wait_until(lambda: owner in line(node, resource), f"{owner} to wait")
    return client


def test_a_lock_is_granted_in_the_order_of_arrival_over_three_nodes(trio: Trio) -> None:
    _, nodes = trio
    acquire(nodes[0], "fifo", "first")
    order: list[str] = []
    owners = [f"w{number}" for number in range(9)]
    waiters = [Waiter(nodes[number % 3], "fifo", owner, nodes[0]) for number, owner in enumerate(owners)]
    assert line(nodes[1], "fifo") == owners
    release(nodes[2], "fifo", "first")
    for owner, waiter in zip(owners, waiters, strict=True):
        granted = waiter.result()
        assert granted["granted"]
        order.append(granted["owner"])
        release(nodes[0], "fifo", owner)
    assert order == owners
    tokens = [waiter.answer["token"] for waiter in waiters]
    assert tokens == sorted(tokens)


def test_nobody_passes_those_who_wait(trio: Trio) -> None:
    _, (one, two, three) = trio
    acquire(one, "barge", "reader", mode="shared")
    writer = Waiter(two, "barge", "writer", one)
    refused = acquire(three, "barge", "late", mode="shared")
    assert (refused["code"], refused["waiters"], refused["held_mode"]) == ("lock_held", 1, "shared")
    release(one, "barge", "reader")
    assert writer.result()["granted"]


def test_a_wait_that_ends_in_vain_says_at_what_place(trio: Trio) -> None:
    _, (one, two, three) = trio
    acquire(one, "vain", "a")
    ahead = Waiter(two, "vain", "b", one)
    refused = Waiter(three, "vain", "c", one, timeout=0.3).result()
    assert (refused["code"], refused["position"], refused["waiters"]) == ("lock_held", 2, 1)
    assert line(one, "vain") == ["b"]
    release(one, "vain", "a")
    assert ahead.result()["granted"]


def test_a_client_that_left_is_passed_over(trio: Trio) -> None:
    _, (one, two, _) = trio
    acquire(one, "gone", "a")
    ghost = leaving(two, "gone", "ghost")
    waiter = Waiter(one, "gone", "b", one)
    ghost.close()
    wait_until(lambda: line(one, "gone") == ["b"], "the ghost to be withdrawn")
    release(one, "gone", "a")
    assert waiter.result()["granted"]


def end_the_session_that_nobody_keeps(client: redis.Redis) -> None:
    """As if its ten seconds were over: nothing else happens at their end. Of two, the one that stays behind."""

    def is_over() -> bool:
        for key in client.scan_iter("simpul:killed:*:sessions"):
            sessions: Any = client.zrange(key, 0, -1, withscores=True)
            if len(sessions) == 2 and sessions[1][1] - sessions[0][1] > 1.5 * ATTEND_EVERY_S * 1000:
                client.zadd(key, {sessions[0][0]: 1})
                return True
            if len(sessions) == 1:
                return True  # this machine was so busy that they were over
        return False

    wait_until(is_over, "the living node to keep its session, and nobody the dead one's")


def test_waiters_of_a_killed_node_cost_the_living_nothing(trio: Trio, tmp_path: Path) -> None:
    server, _ = trio
    with cluster(tmp_path, server.url, nodes=3, CLUSTER_NAME="killed") as (one, two, three):
        acquire(one, "k", "a")
        dead = [Waiter(three, "k", f"dead{number}", one) for number in range(5)]
        living = Waiter(two, "k", "living", one, timeout=30)
        three.signal(9)
        for waiter in dead:
            waiter.result()
        with server.client() as client:
            end_the_session_that_nobody_keeps(client)
        released_at = time.monotonic()
        release(one, "k", "a")
        assert living.result()["granted"]
        assert living.answered_at - released_at < 1.0


def test_a_grant_to_a_killed_node_passes_on_within_seconds(trio: Trio, tmp_path: Path) -> None:
    server, _ = trio
    with cluster(tmp_path, server.url, nodes=3, CLUSTER_NAME="granted") as (one, two, three):
        acquire(one, "k", "a")
        dead = Waiter(three, "k", "dead", one)
        living = Waiter(two, "k", "living", one)
        three.signal(9)
        dead.result()
        released_at = time.monotonic()
        release(one, "k", "a")
        assert living.result()["granted"]
        assert 1.5 < living.answered_at - released_at < 4.0, "two seconds to confirm, one until a node attends"


def test_a_grant_whose_message_was_lost_is_found(trio: Trio) -> None:
    server, (one, two, _) = trio
    acquire(one, "lost", "a")
    waiter = Waiter(two, "lost", "b", one)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-subscribe")
        try:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            wait_until(lambda: b"simpul_subscription_up 0.0" in two.get("/metrics").body, "the loss to be noticed")
            released_at = time.monotonic()
            release(one, "lost", "a")
            assert waiter.result()["granted"]
            assert waiter.answered_at - released_at < 2.0, "before the grant passes on"
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+subscribe")
    wait_until(lambda: b"simpul_subscription_up 1.0" in two.get("/metrics").body, "the subscription")


def test_a_retry_through_another_node_keeps_the_place_and_gets_the_one_grant(trio: Trio) -> None:
    _, (one, two, three) = trio
    acquire(one, "retry", "a")
    first = Waiter(two, "retry", "b", one, timeout=3, request_id="retry-1")
    behind = Waiter(one, "retry", "c", one, timeout=14)
    again: list[Any] = []
    ask = threading.Thread(target=lambda: again.append(acquire(three, "retry", "b", timeout=3, request_id="retry-1")))
    ask.start()
    wait_until(lambda: b"simpul_lock_waiters 1.0" in three.get("/metrics").body, "the retry to wait")
    assert line(one, "retry") == ["b", "c"]
    release(one, "retry", "a")
    ask.join()
    assert again[0]["granted"]
    assert acquire(one, "retry", "b", timeout=3, request_id="retry-1")["token"] == again[0]["token"]
    assert first.result()["token"] == again[0]["token"], "the earlier one at its deadline"
    release(one, "retry", "b")
    assert behind.result()["granted"]


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_a_lease_that_ends_is_handed_on_within_a_tenth_of_a_second(trio: Trio, mode: str) -> None:
    _, (one, two, three) = trio
    late_s = []
    for number in range(5):
        resource = f"expiry-{mode}-{number}"
        acquire(one, resource, "dead client", mode=mode, ttl_ms=400)
        ends_at = time.monotonic() + 0.4
        waiters = [Waiter(node, resource, f"w{at}", one) for at, node in enumerate((two, three))]
        waiters[0].result()
        late_s.append(waiters[0].answered_at - ends_at)
        release(one, resource, "w0")
        waiters[1].result()
    assert sorted(late_s)[2] < 0.1


def test_a_lease_that_was_shortened_is_handed_on_at_its_new_end(trio: Trio) -> None:
    _, (one, two, three) = trio
    token = acquire(one, "shorter", "a", ttl_ms=60_000)["token"]
    waiter = Waiter(two, "shorter", "b", one)
    three.post("/lock/renew", {"resource": "shorter", "owner": "a", "token": token, "ttl_ms": 300})
    began = time.monotonic()
    assert waiter.result()["granted"]
    assert waiter.answered_at - began < 2.0


def test_a_writer_is_served_while_readers_keep_coming(trio: Trio) -> None:
    _, nodes = trio
    stop = threading.Event()
    served: list[float] = []

    def read(number: int) -> None:
        while not stop.is_set():
            node = nodes[number % 3]
            if acquire(node, "stream", f"reader{number}", mode="shared", timeout=10).get("granted"):
                served.append(time.monotonic())
                time.sleep(0.02)  # so that reads overlap
                release(node, "stream", f"reader{number}")

    readers = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for reader in readers:
        reader.start()
    try:
        wait_until(lambda: len(served) > 30, "readers")
        for number in range(3):
            writer = acquire(nodes[number], "stream", "writer", timeout=5)
            assert writer["granted"], "it never starves"
            before = len(served)
            release(nodes[number], "stream", "writer")
            wait_until(lambda: len(served) > before + 6, "readers again")  # noqa: B023 - called in this turn only
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_those_who_wait_stand_in_line_again_after_a_loss_of_data(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server, cluster(tmp_path, server.url, nodes=3) as (one, two, _):
        assert acquire(one, "loss", "a", ttl_ms=1_500)["granted"]
        waiters = [Waiter(two, "loss", f"w{number}", one, timeout=14, ttl_ms=3_000) for number in range(3)]
        with server.client() as client:
            client.flushall()
        for number, waiter in enumerate(waiters):
            granted = waiter.result()
            assert (granted["granted"], granted.get("owner")) == (True, f"w{number}")
            release(one, "loss", f"w{number}")
        assert one.get("/lock/loss").json["waiter_count"] == 0


def test_a_node_that_stops_gives_up_its_places(trio: Trio, tmp_path: Path) -> None:
    server, _ = trio
    with cluster(tmp_path, server.url, nodes=3, CLUSTER_NAME="stopped") as (one, two, three):
        acquire(one, "s", "a")
        stopped = [Waiter(three, "s", f"stopped{number}", one) for number in range(3)]
        staying = Waiter(two, "s", "staying", one)
        assert three.stop() == 0
        assert {waiter.result()["code"] for waiter in stopped} == {"node_stopping"}
        assert line(one, "s") == ["staying"]
        release(one, "s", "a")
        assert staying.result()["granted"]
