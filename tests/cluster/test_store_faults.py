"""Every way Redis can fail is a typed answer, and the node comes back by itself."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until

PUT = {"key": "k", "value": 1}


def put(node: NodeProcess) -> Any:
    return node.post("/cache/put", PUT)


def test_a_killed_redis_gives_503_and_a_restarted_one_serves_again(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        server.kill()
        refused = wait_until(lambda: (got := put(node)).status == 503 and got, "the loss to be noticed")
        assert refused.json["code"] == "store_unavailable"
        assert refused.headers["retry-after"] == "1"
        assert str(server.port) in refused.json["detail"]
        assert node.get("/readyz").status == 503
        assert node.get("/livez").status == 200
        server.start()
        wait_until(lambda: put(node).status == 200, "the node to serve again")
        wait_until(lambda: node.get("/readyz").status == 200, "the node to be ready")


def test_a_hung_redis_gives_504_outcome_unknown_within_the_timeout(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1, SIMPUL_STORE_TIMEOUT_MS="300") as (node,):
        server.pause()
        try:
            unknown = put(node)
            assert (unknown.status, unknown.json["code"]) == (504, "outcome_unknown")
            assert "did not answer" in unknown.json["detail"]
            assert unknown.json["retry"] == "same-id"
            wait_until(lambda: put(node).json["code"] == "store_unavailable", "the hung server to be given up")
        finally:
            server.resume()
        wait_until(lambda: put(node).status == 200, "the node to serve again")


def test_a_connection_cut_between_call_and_reply_gives_504_and_is_not_sent_again(
    tmp_path: Path, server: RedisServer
) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,), server.client() as client:
        put(node)
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        client.execute_command("CLIENT", "PAUSE", "600", "ALL")
        got: list[Any] = []
        caller = threading.Thread(target=lambda: got.append(put(node)))
        caller.start()
        wait_until(lambda: b"simpul_store_in_flight 1.0" in node.get("/metrics").body, "the call to be in flight")
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            other.sendall(b"CLIENT KILL TYPE normal\r\n")
            caller.join()
        assert (got[0].status, got[0].json["code"]) == (504, "outcome_unknown")
    with server.client() as client:
        puts = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
        # The call itself at most once, and the 64 fence installations of the new connection.
        assert puts <= 1 + 64


def test_a_loading_redis_is_told_apart_from_an_absent_one(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis", "valkey-9", "--appendonly", "yes") as server:
        with server.client() as client:
            # Slow to load: the server looks at its sockets after every 1024 commands, 0.3 s apart.
            pipe = client.pipeline(transaction=False)
            for number in range(10_000):
                pipe.set(f"ballast:{number}", "x" * 100)
            pipe.execute()
        with cluster(tmp_path, server.url, nodes=1) as (node,):
            server.kill()
            wait_until(lambda: put(node).status == 503, "the loss to be noticed")
            server.start("--key-load-delay", "300", wait=False)
            codes = set()

            def loaded() -> Any:
                answer = put(node)
                codes.add(answer.json.get("code"))
                return answer.status == 200

            wait_until(loaded, "Redis to have loaded", deadline_s=30)
            assert "store_loading" in codes


def test_a_full_redis_refuses_writes_with_503_and_still_serves_reads(tmp_path: Path, any_server: RedisServer) -> None:
    with cluster(tmp_path, any_server.url, nodes=1) as (node,), any_server.client() as client:
        put(node)
        client.config_set("maxmemory", "1mb")
        try:
            full = put(node)
            assert (full.status, full.json["code"]) == (503, "store_out_of_memory")
            assert node.post("/cache/get", {"key": "k", "consistency": "strong"}).json["value"] == 1
        finally:
            client.config_set("maxmemory", "0")
        assert put(node).status == 200


def refused_with(node: NodeProcess, code: str) -> bool:
    answer = put(node)
    assert answer.status == 503, answer
    return bool(answer.json["code"] == code)


def test_a_primary_that_became_a_replica_gets_no_traffic(tmp_path: Path, server: RedisServer) -> None:
    with (
        redis_server(tmp_path / "other") as primary,
        cluster(tmp_path, server.url, nodes=1) as (node,),
        server.client() as client,
    ):
        client.replicaof("127.0.0.1", primary.port)
        # A duty of the node may find it out first: then there is no connection for a moment.
        wait_until(lambda: refused_with(node, "store_read_only"), "puts to be refused for it")
        wait_until(lambda: "slave" in node.get("/readyz").json.get("detail", ""), "the role to be seen")
        client.replicaof("NO", "ONE")
        wait_until(lambda: put(node).status == 200, "the node to serve again")


def test_forgotten_scripts_are_loaded_again_unseen_by_the_client(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,), server.client() as client:
        client.script_flush()
        assert put(node).status == 200


def test_a_node_starts_without_redis_and_serves_when_it_comes(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    node = NodeProcess(tmp_path, server.url)
    try:
        node.start(ready=False)
        assert node.get("/readyz").json["code"] == "store_unavailable"
        server.start()
        wait_until(lambda: put(node).status == 200, "the node to find Redis")
    finally:
        node.stop()
        server.kill()


def test_a_wrong_password_is_named(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis", "valkey-9") as server:
        with server.client() as client:
            client.config_set("requirepass", "secret")
        node = NodeProcess(tmp_path, server.url)
        try:
            node.start(ready=False)
            wait_until(lambda: "uthentication" in node.get("/readyz").json["detail"], "the reason")
        finally:
            node.stop()
        right = NodeProcess(tmp_path, f"redis://:secret@127.0.0.1:{server.port}/0", NODE_ID="right")
        try:
            right.start()
            assert put(right).status == 200
        finally:
            right.stop()


def test_more_calls_than_the_bound_are_refused_before_they_are_sent(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1, SIMPUL_STORE_IN_FLIGHT="100") as (node,):
        server.pause()
        try:
            body = b'{"key":"k","value":1}'
            request = b"POST /cache/put HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            waiting = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(100)]
            for client in waiting:
                client.sendall(request)
            wait_until(lambda: b"simpul_store_in_flight 100.0" in node.get("/metrics").body, "the line to be full")
            busy = put(node)
            assert (busy.status, busy.json["code"]) == (503, "store_busy")
            for client in waiting:
                client.close()
        finally:
            server.resume()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis+unknown://x", "127.0.0.1:6379"])
def test_a_redis_url_that_cannot_be_used_ends_the_start_with_its_name(tmp_path: Path, url: str) -> None:
    node = NodeProcess(tmp_path, url)
    with pytest.raises(AssertionError, match="REDIS_URL"):
        node.start(ready=False)
