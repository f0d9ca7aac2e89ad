"""A cluster in which nothing happens: what it says to itself is counted, for what that costs is mostly being woken."""

from __future__ import annotations

import re
from pathlib import Path
from time import perf_counter, sleep

import redis

from tests.cluster.raft_cluster import joined
from tests.support import NodeProcess, RedisServer, cluster, wait_until

_REQUESTS = re.compile(rb"^simpul_raft_requests(?:_received)?_total\{.*\} ([0-9.]+)$", re.MULTILINE)
_DELEGATION_LEFT = re.compile(rb"^simpul_delegation_left_seconds ([0-9.]+)$", re.MULTILINE)
OBSERVED_S = 3.0
HEARTBEAT_S = 0.15
EXTENDED_S = 30.0


def requests(node: NodeProcess) -> float:
    """Between nodes, sent and answered by this one."""
    return sum(map(float, _REQUESTS.findall(node.get("/metrics").body)))


def delegation_left_s(node: NodeProcess) -> float:
    found = _DELEGATION_LEFT.search(node.get("/metrics").body)
    assert found
    return float(found[1])


def wait_for_extensions(node: NodeProcess, times: int) -> None:
    """Of its delegation: what is left of it falls but for them."""
    left_s, seen = delegation_left_s(node), 0

    def look() -> bool:
        nonlocal left_s, seen
        before_s, left_s = left_s, delegation_left_s(node)
        seen += left_s > before_s
        return seen >= times

    wait_until(look, f"the delegation to be extended {times} times", EXTENDED_S)


def scripts_called(client: redis.Redis) -> int:
    return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


def test_an_idle_leader_sends_heartbeats_and_answers_reports_and_redis_is_asked_twice_a_second_by_each_node(
    tmp_path: Path, server: RedisServer
) -> None:
    with cluster(tmp_path, server.url) as nodes, server.client() as client:
        leader = joined(nodes)
        wait_until(lambda: all(delegation_left_s(node) > 0 for node in nodes), "all nodes to be at work")
        called = -1
        while called != (called := scripts_called(client)):
            sleep(1)  # the partitions get their owners, who look at them once
        began, asked, commands = perf_counter(), requests(leader), client.info("stats")["total_commands_processed"]
        sleep(OBSERVED_S)  # nothing is waited for: it is a time in which nothing happens
        commands = client.info("stats")["total_commands_processed"] - commands
        asked = requests(leader) - asked
        took_s = perf_counter() - began
    heartbeats, reports = 2 * (took_s / HEARTBEAT_S + 1), 2 * (took_s + 1)
    assert asked <= heartbeats + reports, "a report causes no round of its own"
    assert commands <= 3 * 2 * (took_s + 1) + 2, "of each node: is it still the same Redis, and is it still heard"


def test_reports_are_confirmed_in_time_where_heartbeats_are_slow(tmp_path: Path, server: RedisServer) -> None:
    slow = {"SIMPUL_HEARTBEAT_MS": "2500", "SIMPUL_ELECTION_MS": "15000"}
    with cluster(tmp_path, server.url, nodes=1, **slow) as (node,):
        # The first report brings news, which never waits; those after it do not.
        wait_for_extensions(node, 3)
