"""When Redis may have lost data, the generation rises, and tokens and versions with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until


def token(node: NodeProcess, resource: str = "r") -> int:
    """Acquire and release, through any transient refusal."""

    def granted() -> Any:
        answer = node.post("/lock/acquire", {"resource": resource, "owner": "o", "timeout": 0})
        return answer.json if answer.status == 200 else None

    found = wait_until(granted, "a grant")
    node.post("/lock/release", {"resource": resource, "owner": "o"})
    return int(found["token"])


def generation(node: NodeProcess) -> int:
    return int(node.get("/raft/state").json["generation"])


def fence(node: NodeProcess) -> bytes:
    return str(node.get("/scripts").json["fence"]).encode()


def flush(server: RedisServer) -> None:
    with server.client() as client:
        client.flushall()


def drop_a_fence(server: RedisServer) -> None:
    with server.client() as client:
        client.delete(*client.keys("*fence"))


def drop_the_counters(server: RedisServer) -> None:
    with server.client() as client:
        client.delete(*client.keys("*tokens"))


def restart_empty(server: RedisServer) -> None:
    server.kill()
    server.start()


LOSSES: list[Callable[[RedisServer], None]] = [flush, drop_a_fence, drop_the_counters, restart_empty]


@pytest.mark.parametrize("lose", LOSSES)
def test_tokens_rise_across_a_loss_of_data(
    tmp_path: Path, server: RedisServer, lose: Callable[[RedisServer], None]
) -> None:
    with cluster(tmp_path, server.url, nodes=3) as nodes:
        before = [token(node) for node in nodes]
        assert before == sorted(set(before))
        lose(server)
        after = [token(node) for node in nodes]
        assert after == sorted(set(after))
        assert after[0] > before[-1]
        assert {generation(node) for node in nodes} == {2}, "three nodes that see one loss raise it once"


def test_tokens_rise_when_all_nodes_and_an_empty_redis_start_again(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        before = token(node)
        node.stop()
        restart_empty(server)
        node.start()
        assert token(node) > before


def test_the_tail_lost_by_a_restart_without_a_fresh_aof_does_not_repeat_tokens(
    tmp_path: Path, server: RedisServer
) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        token(node)
        with server.client() as client:
            client.config_set("appendonly", "no")
            client.save()
        lost_with_the_tail = [token(node) for _ in range(5)]
        server.kill()
        server.start()
        assert token(node) > max(lost_with_the_tail)


def test_versions_rise_across_a_loss_and_near_caches_are_emptied(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=3) as (one, two, _):
        before = one.post("/cache/put", {"key": "k", "value": "old"}).json["version"]
        for _ in range(2):
            two.post("/cache/get", {"key": "k"})
        flush(server)
        after = one.post("/cache/put", {"key": "k2", "value": "new"})
        assert after.status == 200
        assert two.post("/cache/put", {"key": "k", "value": "new"}).json["version"] > before
        assert two.post("/cache/get", {"key": "k"}).json["value"] == "new"


def test_a_receipt_from_before_the_loss_is_superseded(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        node.post("/queue/publish", {"topic": "t", "data": 1, "id": "m"})
        receipt = node.post("/queue/consume", {"topic": "t"}).json["receipt"]
        drop_a_fence(server)
        refused = node.post("/queue/ack", {"topic": "t", "receipt": receipt})
        assert (refused.status, refused.json["code"]) == (409, "receipt_superseded")


def test_a_fence_of_scripts_that_nobody_decided_is_put_right_unseen(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,), server.client() as client:
        for key in client.keys("*fence"):
            client.set(key, b"1.another-set")
        assert node.post("/cache/put", {"key": "k", "value": 1}).status == 200
        assert {client.get(key) for key in client.keys("*fence")} == {fence(node)}
        assert generation(node) == 1, "another script set loses no data"


def test_two_clusters_share_one_redis_without_meeting(tmp_path: Path, server: RedisServer) -> None:
    with (
        cluster(tmp_path / "a", server.url, nodes=1, CLUSTER_NAME="a") as (a,),
        cluster(tmp_path / "b", server.url, nodes=1, CLUSTER_NAME="b") as (b,),
    ):
        a.post("/lock/acquire", {"resource": "r", "owner": "o"})
        assert b.post("/lock/acquire", {"resource": "r", "owner": "o", "timeout": 0}).json["granted"] is True


def test_a_primary_that_followed_another_and_came_back_is_noticed_though_no_connection_was_lost(
    tmp_path: Path, server: RedisServer
) -> None:
    with (
        redis_server(tmp_path / "other") as other,
        cluster(tmp_path, server.url, nodes=1) as (node,),
        server.client() as client,
    ):
        before = token(node)
        with other.client() as copy:
            copy.replicaof("127.0.0.1", str(server.port))
            wait_until(lambda: copy.info("replication")["master_link_status"] == "up", "a copy")
            copy.replicaof("NO", "ONE")
        lost = token(node)
        client.replicaof("127.0.0.1", str(other.port))
        wait_until(lambda: client.info("replication").get("master_link_status") == "up", "the data of the copy")
        client.replicaof("NO", "ONE")
        wait_until(lambda: generation(node) == 2, "the new generation, without any call")
        assert token(node) > lost > before


def test_a_first_replica_is_no_loss(tmp_path: Path, server: RedisServer) -> None:
    with redis_server(tmp_path / "other") as other, cluster(tmp_path, server.url, nodes=1) as (node,):
        with other.client() as copy, server.client() as client:
            before = client.info("replication")["master_replid"]
            copy.replicaof("127.0.0.1", str(server.port))
            wait_until(lambda: copy.info("replication")["master_link_status"] == "up", "a copy")
            assert client.info("replication")["master_replid"] != before
            client.client_kill_filter(_type="normal", skipme=True)
        assert token(node)
        assert generation(node) == 1


def test_a_node_with_a_wrong_redis_url_is_refused_and_takes_nobody_along(tmp_path: Path, server: RedisServer) -> None:
    with redis_server(tmp_path / "wrong") as wrong, cluster(tmp_path, server.url, nodes=3) as (astray, *rest):
        astray.stop()
        astray.env["REDIS_URL"] = wrong.url
        astray.start(ready=False)

        def is_refused() -> bool:
            answer = astray.get("/readyz")
            return bool(answer.status == 503 and answer.json["code"] == "store_unblessed")

        wait_until(is_refused, "the refusal")
        assert all(token(node) for node in rest)
        assert {generation(node) for node in rest} == {1}
