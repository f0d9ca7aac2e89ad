"""A client written for the service whose API we keep works unchanged, against any of three nodes."""

import re
from collections.abc import Iterator

import pytest

from tests.support import NodeProcess, call, cluster, redis_server, wait_until


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NodeProcess]]:
    folder = tmp_path_factory.mktemp("wire")
    with (
        redis_server(folder / "redis") as server,
        cluster(folder, server.url, nodes=3, QUORUM="2", CLUSTER_NAME="original") as nodes,
    ):
        yield nodes


def test_publish_consume_ack_through_three_different_nodes(nodes: list[NodeProcess]) -> None:
    one, two, three = nodes
    published = one.post("/queue/publish", {"topic": "t", "data": {"x": 1}})
    assert published.status == 200
    assert published.json["ok"] is True
    consumed = two.post("/queue/consume", {"topic": "t", "consumer": "c1"}).json
    assert consumed["message"]["data"] == {"x": 1}
    assert isinstance(consumed["message"]["ts"], float)
    assert three.post("/queue/ack", {"topic": "t", "id": consumed["id"]}).json == {"ack": True}
    assert one.post("/queue/consume", {"topic": "t", "consumer": "c1"}).json == {"message": None}


def test_a_lock_taken_through_one_node_is_held_on_the_others(nodes: list[NodeProcess]) -> None:
    one, two, three = nodes
    granted = one.post("/lock/acquire", {"resource": "r1", "owner": "alice", "mode": "exclusive"})
    assert (granted.status, granted.json["granted"]) == (200, True)
    refused = two.post("/lock/acquire", {"resource": "r1", "owner": "bob", "mode": "exclusive", "timeout": 0.2})
    assert (refused.status, refused.json["granted"]) == (409, False)
    released = three.post("/lock/release", {"resource": "r1", "owner": "alice"})
    assert (released.status, released.json) == (200, {"released": True})


def test_shared_locks_are_shared_between_nodes(nodes: list[NodeProcess]) -> None:
    for owner, node in zip(("a", "b", "c"), nodes, strict=True):
        body = {"resource": "doc", "owner": owner, "mode": "shared", "timeout": 2}
        assert node.post("/lock/acquire", body).json["granted"] is True


def test_put_get_invalidate_through_three_different_nodes(nodes: list[NodeProcess]) -> None:
    one, two, three = nodes
    assert one.post("/cache/put", {"key": "k", "value": {"x": 1}}).json["ok"] is True
    assert two.post("/cache/get", {"key": "k"}).json["value"] == {"x": 1}
    assert three.post("/cache/invalidate", {"key": "k"}).json["ok"] is True
    assert three.post("/cache/get", {"key": "k"}).json["value"] is None


def test_health_names_the_node(nodes: list[NodeProcess]) -> None:
    assert [node.get("/health").json for node in nodes] == [{"ok": True, "node": f"n{number}"} for number in (1, 2, 3)]


def test_raft_state_has_role_term_and_leader_and_one_node_leads(nodes: list[NodeProcess]) -> None:
    wait_until(lambda: all(node.get("/raft/state").json["leader"] for node in nodes), "a leader")
    states = [node.get("/raft/state").json for node in nodes]
    assert sorted(state["role"] for state in states) == ["follower", "follower", "leader"]
    assert {state["leader"] for state in states} == {state["leader_url"] for state in states}
    assert len({state["leader"] for state in states}) == 1
    assert all(isinstance(state["term"], int) for state in states)


def test_metrics_are_on_the_api_port_and_on_metrics_port(nodes: list[NodeProcess]) -> None:
    for node in nodes:
        node.post("/cache/put", {"key": "measured", "value": 1})
    pages = [node.get("/metrics").body.decode() for node in nodes]
    port = nodes[2].env["METRICS_PORT"]
    pages.append(call(f"http://127.0.0.1:{port}/metrics").body.decode())
    for page in pages:
        assert re.search(r"^simpul_store_up 1\.0$", page, re.MULTILINE)
        assert "simpul_request_seconds_bucket" in page
        assert "simpul_script_seconds_bucket" in page
        assert "simpul_event_loop_lag_seconds_bucket" in page


def test_a_body_without_a_json_content_type_is_read_as_curl_sends_it(nodes: list[NodeProcess]) -> None:
    sent = nodes[0].post("/cache/put", b'{"key":"curl","value":1}', Content_Type="application/x-www-form-urlencoded")
    assert sent.json["ok"] is True
