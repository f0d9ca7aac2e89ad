"""A primary found by sentinels: every operation works, and a failover is followed."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.traffic import consume_all, load, run_by_hand, use_every_operation
from tests.redis_servers import FLAVOURS, SERVICE, Watched, ask, watched
from tests.support import NodeProcess, cluster, wait_until

HEARD_WITHIN_S = 2.0
"""Sooner than the sentinels get round to demoting an old primary, which ends its subscriptions."""


def kill_the_primary(redis: Watched) -> None:
    redis.primary.kill()


def ask_for_a_failover(redis: Watched) -> None:
    ask(redis.sentinels[0], "SENTINEL", "FAILOVER", SERVICE)


def serves_from(node: NodeProcess, port: int) -> bool:
    is_put = node.post("/cache/put", {"key": "k", "value": 1}).status == 200
    return is_put and f"Redis at 127.0.0.1:{port} is up" in node.log.read_text()


def is_ready(node: NodeProcess) -> bool:
    return node.get("/readyz").status == 200


def reads(node: NodeProcess, value: Any) -> bool:
    return bool(node.post("/cache/get", {"key": "near"}).json["value"] == value)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("fail", [kill_the_primary, ask_for_a_failover])
def test_a_failover_is_followed_and_no_call_is_sent_twice(
    tmp_path: Path, flavour: str, fail: Callable[[Watched], None]
) -> None:
    with watched(tmp_path / "redis", flavour) as redis, cluster(tmp_path, redis.url, nodes=1) as (node,):
        use_every_operation(node, "before")
        with load(node, "t") as answers:
            wait_until(lambda: answers.statuses[200] > 50, "some traffic")
            fail(redis)
            wait_until(lambda: serves_from(node, redis.replica.port), "the replica to serve as primary")
        assert set(answers.statuses) <= {200, 503, 504}
        found = consume_all(node, "t")
        assert len(found) == len(set(found)), "a publish ran twice"
        never_sent = {number for number, status in answers.published.items() if status == 503}
        assert not never_sent & set(found), "what was refused as not sent has run"
        use_every_operation(node, "after")


def test_all_nodes_hear_each_other_through_the_new_primary(tmp_path: Path) -> None:
    """The old primary hangs, comes back, and still takes itself for the primary."""
    with watched(tmp_path / "redis", "valkey-9") as redis, cluster(tmp_path, redis.url) as nodes:
        one, two, _ = nodes
        if shutil.which("redis-cli"):
            assert run_by_hand(redis.url, "cache.put", "key=by-hand", "value=1").startswith("ok")
            assert one.post("/cache/get", {"key": "by-hand"}).json["value"] == 1
        else:
            print("evalsha not run: no redis-cli on this machine (Debian: redis-tools)")
        redis.primary.pause()
        for node in nodes:
            wait_until(partial(serves_from, node, redis.replica.port), "the new primary to serve")
        redis.primary.resume()
        for node in nodes:
            wait_until(partial(is_ready, node), "the subscription")
        for value in range(5):
            one.post("/cache/put", {"key": "near", "value": value})
            wait_until(partial(reads, two, value), "the invalidation", HEARD_WITHIN_S)
        assert ask(redis.primary, "INFO", "replication")["role"] == "master", "it has not heard of the failover yet"
        assert {node.post("/cache/put", {"key": "near", "value": "end"}).status for node in nodes} == {200}
        wait_until(partial(reads, two, "end"), "the last invalidation", HEARD_WITHIN_S)


def test_a_node_that_finds_no_sentinel_says_whom_it_asked(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "redis+sentinel://127.0.0.1:1,127.0.0.1:2/orders")
    try:
        node.start(ready=False)
        wait_until(lambda: "no sentinel names" in node.get("/readyz").json["detail"], "the reason")
        assert "127.0.0.1:1" in node.get("/readyz").json["detail"]
    finally:
        node.stop()
