"""Removal by prefix on a Redis Cluster and behind sentinels: of keys on every primary, and as the topology changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from service.keys import Keys
from tests.redis_servers import RedisCluster, redis_cluster, watched
from tests.support import Answer, NodeProcess, cluster, wait_until

KEYS = Keys("simpul")
GONE, STAYING = [f"job:{number}" for number in range(40)], [f"other:{number}" for number in range(10)]


def put_all(nodes: Sequence[NodeProcess]) -> None:
    for number, key in enumerate([*GONE, *STAYING]):
        wait_until(partial(is_put, nodes[number % len(nodes)], key), f"{key} to be put")


def is_put(node: NodeProcess, key: str) -> bool:
    return node.post("/cache/put", {"key": key, "value": key}).status == 200


def remove(node: NodeProcess) -> None:
    """Asked until there are no more; on the way a primary may be changed."""

    def is_done() -> bool:
        answer = node.post("/cache/invalidate", {"prefix": "job:"})
        return answer.status == 200 and not answer.json.get("more")

    wait_until(is_done, "everything with the prefix to be removed")


def found(node: NodeProcess, keys: Sequence[str]) -> list[str]:
    def answered() -> Answer | None:
        answer = node.post("/cache/mget", {"keys": list(keys), "consistency": "strong"})
        return answer if answer.status == 200 else None

    answer = wait_until(answered, f"{node.name} to answer")
    assert answer is not None
    return [key for key, entry in zip(keys, answer.json["entries"], strict=True) if entry["found"]]


def all_are_removed(nodes: Sequence[NodeProcess], by: NodeProcess) -> None:
    """Those that are there, and nothing else."""
    remove(by)
    for node in nodes:
        assert found(node, GONE) == []
        assert found(node, STAYING) == STAYING


def test_keys_on_every_primary_are_removed_also_after_a_slot_has_moved(tmp_path: Path) -> None:
    with redis_cluster(tmp_path / "redis", "valkey-9") as redis, cluster(tmp_path, redis.url) as nodes:
        owners = {redis.owner_of(KEYS.partition_of(key.encode())).port for key in GONE}
        assert len(owners) == 3
        put_all(nodes)
        all_are_removed(nodes, by=nodes[0])
        put_all(nodes)
        move_one_of(redis)
        all_are_removed(nodes, by=nodes[1])
        put_all(nodes)
        all_are_removed(nodes, by=nodes[2])


def move_one_of(redis: RedisCluster) -> None:
    partition = KEYS.partition_of(GONE[0].encode())
    redis.migrate(partition, next(one for one in redis.primaries if one is not redis.owner_of(partition)))


def test_behind_sentinels_all_are_removed_also_by_the_names_of_a_replica_that_took_over(tmp_path: Path) -> None:
    with watched(tmp_path / "redis", "valkey-9") as redis, cluster(tmp_path, redis.url) as nodes:
        put_all(nodes)
        all_are_removed(nodes, by=nodes[0])
        put_all(nodes)
        with redis.primary.client() as client:
            assert client.wait(1, 5000) == 1
        redis.primary.kill()
        for node in nodes:
            wait_until(partial(is_put, node, STAYING[0]), f"{node.name} to work with the replica")
        all_are_removed(nodes, by=nodes[1])
        put_all(nodes)
        all_are_removed(nodes, by=nodes[2])
