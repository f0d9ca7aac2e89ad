"""A node that no leader answers stops granting locks and goes on with the rest; long leases are announced first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.raft_cluster import joined, others, pause, resume
from tests.support import NodeProcess, cluster, redis_server, wait_until


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NodeProcess]]:
    folder = tmp_path_factory.mktemp("delegation")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as made:
        joined(made)
        assert made[0].post("/cluster/settings", {"name": "delegation_ms", "value": 1_000}).status == 200
        yield made


def acquire(node: NodeProcess, resource: str, **more: Any) -> dict[str, Any]:
    body = {"resource": resource, "owner": "alice", "timeout": 0, **more}
    answer: dict[str, Any] = node.post("/lock/acquire", body).json
    return answer


@pytest.mark.parametrize("place", [0, 1], ids=["leader", "follower"])
def test_a_node_alone_grants_and_renews_nothing_and_serves_the_rest(nodes: list[NodeProcess], place: int) -> None:
    leader = joined(nodes)
    alone = (leader, *others(nodes, leader))[place]
    resource = f"alone-{place}"
    held = wait_until(lambda: acquire(alone, resource).get("token"), "a grant while all are there")
    rest = others(nodes, alone)
    for node in rest:
        pause(node)
    try:
        refused = wait_until(lambda: refused_without_delegation(alone, resource), "the end of the delegation")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        renewal = alone.post("/lock/renew", {"resource": resource, "owner": "alice", "token": held})
        assert (renewal.status, renewal.json["code"]) == (503, "no_delegation")
        assert alone.post("/queue/publish", {"topic": "t", "data": 1}).status == 200
        assert alone.post("/queue/consume", {"topic": "t"}).status == 200
        assert alone.post("/cache/put", {"key": "k", "value": 1}).status == 200
        assert alone.post("/lock/release", {"resource": resource, "owner": "alice"}).json["released"]
    finally:
        for node in rest:
            resume(node)
    joined(nodes)
    wait_until(lambda: acquire(alone, resource).get("granted"), "grants again")
    alone.post("/lock/release", {"resource": resource, "owner": "alice"})


def refused_without_delegation(node: NodeProcess, resource: str) -> Any:
    answer = node.post("/lock/acquire", {"resource": f"{resource}-other", "owner": "bob", "timeout": 0})
    return answer if answer.status == 503 and answer.json["code"] == "no_delegation" else None


def cover_ms(node: NodeProcess) -> int:
    return int(node.get("/cluster?consistency=strong").json["nodes"][node.url]["lease_cover_ms"])


def test_a_long_lease_is_announced_before_it_is_granted_and_taken_back_after(nodes: list[NodeProcess]) -> None:
    joined(nodes)
    node = nodes[1]
    assert cover_ms(node) == 60_000
    assert wait_until(lambda: acquire(node, "long", ttl_ms=300_000).get("granted"), "a grant")
    assert cover_ms(node) == 600_000
    node.post("/lock/release", {"resource": "long", "owner": "alice"})
    wait_until(lambda: cover_ms(node) == 60_000, "the announcement to be taken back")


def test_a_long_renewal_is_announced_too(nodes: list[NodeProcess]) -> None:
    joined(nodes)
    one, two, _ = nodes
    token = wait_until(lambda: acquire(one, "renewed").get("token"), "a grant")
    renewal = {"resource": "renewed", "owner": "alice", "token": token, "ttl_ms": 4_000_000}
    # With a delegation of a second only, a machine that stalls is told to come again.
    wait_until(lambda: two.post("/lock/renew", renewal).json.get("renewed"), "the renewal")
    assert cover_ms(two) == 24 * 60 * 60 * 1000
    two.post("/lock/release", {"resource": "renewed", "owner": "alice"})
    wait_until(lambda: cover_ms(two) == 60_000, "the announcement to be taken back")
