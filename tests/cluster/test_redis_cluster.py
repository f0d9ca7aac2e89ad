"""Partitions spread over a Redis Cluster: every operation works, and slots and primaries may move under load."""

import json
import shutil
import threading
from functools import partial
from pathlib import Path

import pytest

from service.keys import Keys, Partition
from service.store.cluster_map import slot_of
from tests.cluster.traffic import NAMES, Load, consume_all, load, ok, run_by_hand, use_every_operation
from tests.redis_servers import FLAVOURS, RedisCluster, ask, redis_cluster
from tests.support import Answer, NodeProcess, RedisServer, cluster, wait_until

KEYS = Keys("simpul")
TOPIC = "busy"
BUSY = KEYS.partition_of(TOPIC.encode())


def refusals(server: RedisServer, *kinds: str) -> int:
    """How many calls this server answered with these errors."""
    found = ask(server, "INFO", "errorstats")
    return sum(int(found[f"errorstat_{kind}"]["count"]) for kind in kinds if f"errorstat_{kind}" in found)


def test_the_line_that_evalsha_prints_runs_on_every_primary(tmp_path: Path) -> None:
    if not shutil.which("redis-cli"):
        pytest.skip("no redis-cli on this machine (Debian: redis-tools)")
    with redis_cluster(tmp_path / "redis", "valkey-9") as redis, cluster(tmp_path, redis.url, nodes=1) as (node,):
        for name in {redis.owner_of(partition_of(name)).port: name for name in NAMES}.values():
            assert run_by_hand(redis.url, "queue.publish", f"topic={name}", "id=m", "data=1").startswith("ok")
            assert ok(node.post("/queue/consume", {"topic": name}))["id"] == "m"
            group = [{"op": "cache.put", "key": name, "value": [1]}, {"op": "lock.check", "resource": name, "token": 1}]
            assert run_by_hand(redis.url, "atomic.apply", f"operations={json.dumps(group[:1])}").startswith("ok")
            assert run_by_hand(redis.url, "atomic.apply", f"operations={json.dumps(group)}").startswith("lock_lost\n1")


def progress(answers: Load, least: int = 30) -> None:
    target = answers.statuses[200] + least
    wait_until(lambda: answers.statuses[200] > target or answers.refusals, "the load to go on")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_operation_works_on_three_primaries(tmp_path: Path, flavour: str) -> None:
    with redis_cluster(tmp_path / "redis", flavour) as redis, cluster(tmp_path, redis.url) as nodes:
        for node in nodes:
            use_every_operation(node, node.name)
        for server in redis.primaries:
            assert ask(server, "DBSIZE") > 0
            assert refusals(server, "MOVED", "CROSSSLOT") == 0, "every call went to the right server at once"
        one, two, three = nodes
        held = ok(one.post("/lock/acquire", {"resource": "r", "owner": "one"}))
        got: list[Answer] = []
        request = {"resource": "r", "owner": "two"}
        waiting = threading.Thread(target=lambda: got.append(two.post("/lock/acquire", request)))
        waiting.start()
        wait_until(lambda: b"simpul_lock_waiters 1.0" in two.get("/metrics").body, "a waiter")
        ok(three.post("/lock/release", {"resource": "r", "owner": "one", "token": held["token"]}))
        waiting.join()
        assert got[0].json["waited_ms"] < 4000, "the wake-up crossed the servers and the nodes"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_busy_slot_moves_between_primaries_without_a_failed_request(tmp_path: Path, flavour: str) -> None:
    """To a primary that has other slots, and on to one that had none and was never spoken to."""
    with redis_cluster(tmp_path / "redis", flavour, empty=1) as redis, cluster(tmp_path, redis.url, nodes=1) as (node,):
        source = redis.owner_of(BUSY)
        neighbour = next(server for server in redis.primaries if server is not source)
        with load(node, TOPIC) as answers:
            progress(answers)
            for target in (neighbour, redis.empty[0]):
                # The keys are over there, the slot is not: new keys can be made on neither side.
                before = undecided(redis)
                redis.migrate(BUSY, target, partial(until_undecided, redis, before))
                assert redis.owner_of(BUSY) is target
                progress(answers)
        assert answers.refusals == []
        assert sorted(consume_all(node, TOPIC)) == sorted(answers.published), "each publish ran once"
        use_every_operation(node, "after")
        asked = {kind: sum(refusals(server, kind) for server in redis.servers) for kind in ("ASK", "MOVED", "TRYAGAIN")}
        assert all(asked.values()), asked


def until_undecided(redis: RedisCluster, before: int) -> None:
    wait_until(lambda: undecided(redis) > before, "a call that can run on neither side")


def undecided(redis: RedisCluster) -> int:
    return sum(refusals(server, "TRYAGAIN") for server in redis.servers)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_planned_failover_is_followed_by_moved(tmp_path: Path, flavour: str) -> None:
    with (
        redis_cluster(tmp_path / "redis", flavour, replicas=1) as redis,
        cluster(tmp_path, redis.url, nodes=1) as (node,),
    ):
        old = redis.owner_of(BUSY)
        replica = redis.replica_of(old)
        with load(node, TOPIC) as answers:
            progress(answers)
            ask(replica, "CLUSTER", "FAILOVER")
            wait_until(lambda: redis.owner_of(BUSY) is replica, "the replica to take over")
            progress(answers)
        assert answers.refusals == []
        assert sorted(consume_all(node, TOPIC)) == sorted(answers.published), "each publish ran once"
        assert refusals(old, "MOVED") > 0
        wait_until(lambda: not serves(old, node), "the link to the old primary to be closed")
        use_every_operation(node, "after")


def serves(server: RedisServer, node: NodeProcess) -> bool:
    names = [one["name"] for one in ask(server, "CLIENT LIST")]
    return f"simpul-{node.name}" in names


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_killed_primary_is_replaced_by_its_replica_while_the_others_serve(tmp_path: Path, flavour: str) -> None:
    with (
        redis_cluster(tmp_path / "redis", flavour, replicas=1, full_coverage="no") as redis,
        cluster(tmp_path, redis.url, nodes=1) as (node,),
    ):
        old = redis.owner_of(BUSY)
        elsewhere = next(f"k{n}" for n in range(99) if redis.owner_of(partition_of(f"k{n}")) is not old)
        with load(node, TOPIC) as answers:
            progress(answers)
            old.kill()
            readiness = []
            while redis.owner_of(BUSY, default=old) is old:
                readiness.append(node.get("/readyz").status)
                put = node.post("/cache/put", {"key": elsewhere, "value": 1})
                assert (put.status, put.json.get("code")) == (200, None)
            assert 200 in readiness, "a node that serves two of three primaries is worth asking"
            before = answers.statuses[200]
            wait_until(lambda: answers.statuses[200] > before + 30, "the replica to serve as primary")
        assert set(answers.statuses) <= {200, 503, 504}
        found = consume_all(node, TOPIC)
        assert len(found) == len(set(found)), "a publish ran twice"
        use_every_operation(node, "after")


def partition_of(name: str) -> Partition:
    return KEYS.partition_of(name.encode())


def test_a_slot_that_nobody_serves_is_a_typed_503(tmp_path: Path) -> None:
    with (
        redis_cluster(tmp_path / "redis", "valkey-9") as redis,
        cluster(tmp_path, redis.url, nodes=1, SIMPUL_STORE_TIMEOUT_MS="300") as (node,),
    ):
        ok(node.post("/queue/publish", {"topic": TOPIC, "data": 1}))
        ask(redis.owner_of(BUSY), "CLUSTER", "DELSLOTS", slot_of(BUSY))
        refused = node.post("/queue/publish", {"topic": TOPIC, "data": 2})
        assert (refused.status, refused.json["code"]) == (503, "store_unsettled")
        assert "CLUSTERDOWN" in refused.json["detail"]
        assert refused.headers["retry-after"] == "1"
