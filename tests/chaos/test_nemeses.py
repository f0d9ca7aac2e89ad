"""Each nemesis does what it says: seen from outside, without the clients of a run."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.chaos import nemeses
from tests.chaos.nemeses import NEMESES
from tests.chaos.world import World, world
from tests.cluster.raft_cluster import joined, state
from tests.support import wait_until

CHANCE = random.Random(1)
AN_HOUR_S = 3600
CLOCK = NEMESES["clock_jumps"]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For nemeses that leave the world as they found it."""
    with world(tmp_path_factory.mktemp("lasting"), replica=True, fake_clocks=not CLOCK.why_not) as made:
        yield made


def put_through(made: World) -> list[int]:
    return [node.post("/cache/put", {"key": "k", "value": 1}).status for node in made.nodes]


def test_an_isolated_leader_is_deposed_and_comes_back_a_follower(lasting: World) -> None:
    joined(lasting.nodes)
    old = lasting.leader
    nemeses.isolate_the_leader(lasting, CHANCE)
    assert joined(lasting.nodes) is not lasting.nodes[old]


def test_an_isolated_follower_hears_nothing_and_serves(lasting: World) -> None:
    joined(lasting.nodes)
    away = next(number for number in range(3) if number != lasting.leader)
    fault = threading.Thread(target=nemeses._isolate, args=(lasting, away))
    fault.start()
    wait_until(lambda: state(lasting.nodes[away])["role"] == "candidate", "it to miss its leader")
    assert lasting.nodes[away].post("/cache/put", {"key": "k", "value": 1}).status == 200
    fault.join()
    joined(lasting.nodes)


def test_a_leader_that_nobody_hears_steps_down(lasting: World) -> None:
    joined(lasting.nodes)
    term = state(lasting.nodes[0])["term"]
    nemeses.one_way_partition(lasting, CHANCE)
    joined(lasting.nodes)
    assert state(lasting.nodes[0])["term"] > term


@pytest.mark.skipif(bool(CLOCK.why_not), reason=CLOCK.why_not or "it can be done")
def test_the_clock_of_a_node_jumps_and_its_leases_do_not(lasting: World) -> None:
    node = lasting.nodes[0]

    def clock_s() -> float:
        return parsedate_to_datetime(node.get("/health").headers["date"]).timestamp()

    before = clock_s()
    # So long a lease is announced first, which may take a busy leader longer than the request waits.
    held = {"resource": "clock", "owner": "a", "ttl_ms": 60_000}
    wait_until(lambda: node.post("/lock/acquire", held).status == 200, "the lock")
    lasting.faketime_file(0).write_text(f"+{AN_HOUR_S}\n")
    wait_until(lambda: clock_s() - before > AN_HOUR_S / 2, "the node to live an hour later")
    refused = node.post("/lock/acquire", {"resource": "clock", "owner": "b", "timeout": 0})
    assert refused.json["code"] == "lock_held"
    lasting.faketime_file(0).write_text("+0\n")


def test_a_lagging_replica_misses_what_was_written_last(tmp_path: Path, lasting: World) -> None:
    assert lasting.replica
    assert lasting.replication
    with lasting.primary.client() as primary, lasting.replica.client() as replica:
        primary.set("early", 1)
        wait_until(lambda: replica.get("early"), "replication")
        lasting.replication.hold()
        primary.set("late", 1)
        assert replica.get("late") is None
        lasting.replication.heal()
        wait_until(lambda: replica.get("late"), "replication to go on")


def test_a_truncated_log_loses_the_tail_only(tmp_path: Path) -> None:
    with world(tmp_path, aof=True) as made, made.primary.client() as client:
        client.set("early", 1)
        for number in range(1000):
            client.set(f"ballast:{number}", "x" * 100)
        client.set("late", 1)
        nemeses.restart_with_truncated_aof(made, CHANCE)
        assert (client.get("early"), client.get("late")) == (b"1", None)
        wait_until(lambda: put_through(made) == [200] * 3, "the nodes to serve again")
        made.primary.kill()
        made.primary.start()
        assert client.get("early") == b"1"
        wait_until(lambda: put_through(made) == [200] * 3, "the nodes to serve again")
        nemeses.swapped_redis(made, CHANCE)
        with made.spare.client() as spare:
            wait_until(lambda: put_through(made) == [200] * 3 and spare.dbsize(), "the nodes to use the other server")
