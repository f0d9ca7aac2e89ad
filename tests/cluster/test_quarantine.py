"""After Redis lost its data no lock has two holders: new grants wait until every lease from before must have ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster.raft_cluster import joined, kill
from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until


class Lasting(NamedTuple):
    server: RedisServer
    nodes: list[NodeProcess]

    def lose(self) -> None:
        """Everything, without a connection being lost."""
        with self.server.client() as client:
            client.flushall()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lasting]:
    folder = tmp_path_factory.mktemp("quarantine")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as nodes:
        yield Lasting(server, nodes)


def acquire(node: NodeProcess, resource: str, owner: str, **more: Any) -> dict[str, Any]:
    body = {"resource": resource, "owner": owner, "timeout": 0, **more}
    answer: dict[str, Any] = node.post("/lock/acquire", body).json
    return answer


def renew(node: NodeProcess, grant: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"resource": grant["resource"], "owner": grant["owner"], "token": grant["token"], **more}
    answer: dict[str, Any] = node.post("/lock/renew", body).json
    return answer


def end_quarantine(node: NodeProcess) -> None:
    wait_until(lambda: node.get("/cluster").json["partitions"]["quarantine_left_ms"] == 0, "the end of the quarantine")


def test_a_lost_lock_is_not_granted_again_while_its_lease_may_run(lasting: Lasting) -> None:
    one, two, _ = lasting.nodes
    assert acquire(one, "held", "alice", ttl_ms=2_000)["granted"]
    began = time.monotonic()
    lasting.lose()
    assert acquire(two, "held", "bob")["code"] == "lock_quarantine"
    # At first the worst is reckoned with, until every node has said how long its leases run.
    wait_until(lambda: acquire(two, "held", "bob").get("left_ms", 0) <= 2_000, "the nodes' word")
    got = acquire(two, "held", "bob", timeout=10, ttl_ms=100)
    assert got["granted"]
    assert time.monotonic() - began >= 2.0, "alice believed to hold it for so long"
    assert time.monotonic() - began < 3.0, "a wait ends with the quarantine"


def test_a_holder_keeps_its_lost_lock_by_renewing_through_any_node(lasting: Lasting) -> None:
    one, two, three = lasting.nodes
    end_quarantine(one)
    grants = [acquire(one, f"kept-{mode}", "alice", mode=mode, ttl_ms=3_000) for mode in ("exclusive", "shared")]
    lasting.lose()
    for grant in grants:
        assert renew(three, grant, ttl_ms=15_000)["renewed"]
        blocked = acquire(two, grant["resource"], "bob")
        assert blocked["code"] == "lock_held"
        assert [(h["owner"], h["token"], h["mode"]) for h in blocked["holders"]] == [
            ("alice", grant["token"], grant["mode"])
        ]
    end_quarantine(one)
    for grant in grants:
        assert renew(two, grant)["renewed"], "its lease outlives the quarantine"


def test_a_token_whose_lease_ended_before_the_loss_is_taken_up_by_nobody(lasting: Lasting) -> None:
    one, two, _ = lasting.nodes
    end_quarantine(one)
    ended = acquire(one, "ended", "alice", ttl_ms=50)
    assert acquire(two, "ended", "bob", ttl_ms=3_000, timeout=5)["granted"]
    lasting.lose()
    assert renew(one, ended)["code"] == "lock_lost", "bob holds it now"


def test_queues_and_caches_go_on_in_a_quarantine(lasting: Lasting) -> None:
    one, two, three = lasting.nodes
    end_quarantine(one)
    acquire(one, "long", "alice", ttl_ms=1_500)
    lasting.lose()
    assert two.post("/queue/publish", {"topic": "t", "data": 1}).status == 200
    assert three.post("/cache/put", {"key": "k", "value": 1}).status == 200
    assert acquire(one, "other", "bob")["code"] == "lock_quarantine"


def test_what_was_released_holds_nothing_back(lasting: Lasting) -> None:
    one, two, _ = lasting.nodes
    end_quarantine(one)
    assert acquire(one, "over", "alice", ttl_ms=60_000)["granted"]
    one.post("/lock/release", {"resource": "over", "owner": "alice"})
    lasting.lose()
    began = time.monotonic()
    assert acquire(two, "over", "bob", timeout=10, ttl_ms=100)["granted"]
    assert time.monotonic() - began < 5, "alice's minute is not waited for"


def test_without_quarantine_a_lost_lock_is_granted_at_once_and_the_status_warns(lasting: Lasting) -> None:
    one, two, _ = lasting.nodes
    end_quarantine(one)
    assert two.post("/cluster/settings", {"name": "quarantine", "value": 0}).status == 200
    assert acquire(one, "unsafe", "alice", ttl_ms=1_000)["granted"]
    lasting.lose()
    wait_until(lambda: acquire(two, "unsafe", "bob", ttl_ms=100).get("granted"), "a grant", 1.0)
    assert any("quarantine is off" in sentence for sentence in one.get("/cluster").json["warnings"])
    assert two.post("/cluster/settings", {"name": "quarantine", "value": 1}).status == 200


def test_a_node_that_died_with_leases_counts_with_the_longest_it_may_have_granted(
    tmp_path: Path, server: RedisServer
) -> None:
    with cluster(tmp_path, server.url, nodes=3) as nodes, server.client() as client:
        joined(nodes)
        victim, *rest = nodes
        assert acquire(victim, "held", "alice", ttl_ms=30_000)["granted"]
        kill(victim)
        client.flushall()
        refused = wait_until(lambda: quarantined(rest[0]), "a quarantine") or {}
        assert 30_000 < refused["left_ms"] <= 70_000, "delegation and the longest unannounced lease"


def quarantined(node: NodeProcess) -> dict[str, Any] | None:
    answer = acquire(node, "held", "bob")
    return answer if answer.get("code") == "lock_quarantine" else None


@pytest.mark.parametrize(
    ("ending", "holds_back"), [(signal.SIGTERM, False), (signal.SIGKILL, True)], ids=["stopped", "killed"]
)
def test_a_node_that_stopped_as_asked_remembers_that_nothing_is_held(
    tmp_path: Path, server: RedisServer, ending: signal.Signals, *, holds_back: bool
) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        assert acquire(node, "r", "alice")["granted"]
        node.post("/lock/release", {"resource": "r", "owner": "alice"})
        assert node.process
        node.signal(ending)
        node.process.wait()
        server.kill()
        server.start()
        node.start()
        answer = acquire(node, "r", "bob")
        assert answer.get("code", "granted") == ("lock_quarantine" if holds_back else "granted")


def test_a_lease_that_outlives_its_node_is_remembered_over_a_stop(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        acquire(node, "r", "alice", ttl_ms=8_000)
        assert node.stop() == 0
        server.kill()
        server.start()
        node.start()
        left_ms = acquire(node, "r", "bob")["left_ms"]
        assert 0 < left_ms <= 8_000


def lagging_replica(primary: RedisServer, folder: Path, lost: Callable[[], None]) -> RedisServer:
    """A replica of `primary` that never heard of what `lost` did, promoted on the primary's port."""
    replica = RedisServer(folder)
    replica.start("--replicaof", f"127.0.0.1 {primary.port}")
    with replica.client() as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica to be in step")
        # From here on it hears no more of the primary, as one whose link hangs.
        client.replicaof("NO", "ONE")
        lost()
        primary.kill()
        client.save()
    replica.kill()
    return replica


def test_after_a_failover_to_a_lagging_replica_the_later_holder_stays(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        first = acquire(node, "r", "alice", ttl_ms=20_000)
        second: dict[str, Any] = {}

        def hand_over() -> None:
            node.post("/lock/release", {"resource": "r", "owner": "alice"})
            second.update(acquire(node, "r", "bob", ttl_ms=20_000))

        behind = lagging_replica(server, tmp_path / "replica", hand_over)
        server.start("--dir", str(tmp_path / "replica"), "--dbfilename", "dump.rdb")
        assert behind.process is None
        held = wait_until(lambda: acquire(node, "r", "carol").get("holders"), "Redis to be back") or []
        assert [holder["owner"] for holder in held] == ["alice"], "the replica lagged"
        assert second["token"] > first["token"]
        assert renew(node, second)["renewed"]
        assert renew(node, first)["code"] == "lock_lost"
        assert acquire(node, "r", "carol")["holders"][0]["owner"] == "bob"


def test_a_redis_of_another_cluster_is_refused_until_its_data_is_adopted(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path / "old", server.url, nodes=1, CLUSTER_NAME="handed-on") as (old,):
        token = acquire(old, "r", "alice", ttl_ms=60_000)["token"]
        old.post("/queue/publish", {"topic": "t", "data": "kept"})
        old_id = old.get("/cluster").json["cluster_id"]
    new = NodeProcess(tmp_path / "new", server.url, CLUSTER_NAME="handed-on")
    try:
        new.start(ready=False)
        refused = wait_until(lambda: refusal(new, "cluster_foreign"), "the refusal") or {}
        assert refused["cluster_id"] == old_id
        assert "simpul adopt" in refused["action"]
        adopted = new.post("/cluster/adopt", {"cluster_id": old_id, "quarantine_ms": 500})
        assert adopted.status == 200
        new.wait_for("/readyz")
        assert new.post("/queue/consume", {"topic": "t"}).json["message"]["data"] == "kept"
        assert acquire(new, "free", "bob")["code"] == "lock_quarantine"
        assert acquire(new, "free", "bob", timeout=5)["token"] >> 36 > token >> 36
        assert acquire(new, "r", "bob")["code"] == "lock_held", "what Redis still has goes on"
    finally:
        kill(new)


def refusal(node: NodeProcess, code: str) -> dict[str, Any] | None:
    answer = node.get("/readyz")
    return answer.json if answer.status != 200 and answer.json["code"] == code else None


def test_a_lease_that_was_shortened_through_another_node_is_vouched_for_by_nobody(lasting: Lasting) -> None:
    """n1 granted a minute, n2 cut it to a moment: after the loss n1 must not remember the minute."""
    one, two, three = lasting.nodes
    end_quarantine(one)
    long = acquire(one, "shortened", "alice", ttl_ms=5_000)
    assert renew(two, long, ttl_ms=50)["renewed"]
    assert acquire(three, "shortened", "bob", ttl_ms=3_000, timeout=5)["granted"]
    lasting.lose()
    assert renew(one, long)["code"] == "lock_lost"


def test_a_hold_taken_up_again_for_a_shorter_time_is_not_taken_up_after_it(lasting: Lasting) -> None:
    one, two, three = lasting.nodes
    end_quarantine(one)
    long = acquire(one, "again", "alice", ttl_ms=5_000)
    lasting.lose()
    assert renew(two, long, ttl_ms=50)["renewed"]
    wait_until(lambda: acquire(three, "again", "probe").get("code") == "lock_quarantine", "the end of the short lease")
    assert renew(one, long)["code"] == "lock_lost"
