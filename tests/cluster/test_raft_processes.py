"""Raft on real processes: killed, stopped, stalled, wiped, damaged and lied to."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.raft import wire
from service.raft.messages import Heartbeat
from tests.cluster.raft_cluster import (
    decide,
    decided,
    ended,
    joined,
    kill,
    lead,
    leader_of,
    others,
    pause,
    raft_file,
    resume,
    start_in_vain,
    state,
    wait_for_value,
)
from tests.raft.slow_disk_node import HANGS_WHILE
from tests.support import NodeProcess, RedisServer, call, cluster, redis_server, wait_until

STALL_S = 0.5
BRISK = {"SIMPUL_HEARTBEAT_MS": "75", "SIMPUL_ELECTION_MS": "500"}
"""Half the default times, where a test does not speak of them."""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("raft-redis")) as server:
        yield server.url


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[list[NodeProcess]]:
    """Nodes for tests that leave them as they were."""
    with cluster(tmp_path_factory.mktemp("lasting"), redis_url, CLUSTER_NAME="lasting") as nodes:
        joined(nodes)
        yield nodes


@pytest.fixture
def nodes(tmp_path: Path, redis_url: str, request: pytest.FixtureRequest) -> Iterator[list[NodeProcess]]:
    """Three joined nodes of the test's own; their data is in tmp_path/n1 and so on."""
    name = f"c{abs(hash(request.node.name))}"
    with cluster(tmp_path, redis_url, 3, CLUSTER_NAME=name, **BRISK) as nodes:
        joined(nodes)
        yield nodes


# Deciding


def test_every_node_takes_decisions_whoever_leads(lasting: list[NodeProcess]) -> None:
    for number, node in enumerate(lasting):
        assert decide(node, 100 + number).json == {"ok": True, "name": "outcomes_kept", "value": 100 + number}
        wait_for_value(lasting, 100 + number)


def lags(leader: NodeProcess) -> list[int]:
    seen = state(leader)
    return [seen["last_index"] - peer["match"] for peer in seen["peers"].values() if not peer["self"]]


def test_raft_state_shows_what_an_operator_looks_for(lasting: list[NodeProcess]) -> None:
    leader = leader_of(lasting)
    decide(leader, 5000)
    wait_until(lambda: all(lag == 0 for lag in lags(leader)), "both followers to have everything")
    seen = state(leader)
    assert (seen["role"], seen["leader_url"]) == ("leader", leader.url)
    assert seen["commit_index"] == seen["applied_index"] == seen["last_index"]
    assert [peer["name"] for url, peer in seen["peers"].items() if peer["self"]] == [seen["node"]]
    assert all(peer["self"] or peer["last_contact_ms"] < 1000 for peer in seen["peers"].values())
    assert any("became leader of term" in moment["event"] for moment in seen["history"])
    assert {"generation", "script_set"} <= set(seen)


def test_a_retried_decision_is_applied_once(lasting: list[NodeProcess]) -> None:
    one, two, three = lasting
    first = decide(one, 700, request_id="once")
    decide(two, 800)
    assert decide(three, 700, request_id="once").json == first.json
    wait_for_value(lasting, 800)
    reused = decide(two, 701, request_id="once")
    assert (reused.status, reused.json["code"]) == (422, "request_id_reused")


def test_a_strong_read_on_any_node_shows_what_was_decided_before_it(lasting: list[NodeProcess]) -> None:
    for value in range(600, 612):
        assert decide(lasting[value % 3], value).status == 200
        seen = lasting[(value + 1) % 3].get("/cluster?consistency=strong").json
        assert seen["settings"]["outcomes_kept"] == value


def test_a_decision_that_breaks_a_rule_is_refused_on_every_node(lasting: list[NodeProcess]) -> None:
    for node in lasting:
        refusal = decide(node, 3)
        assert (refusal.status, refusal.json["code"], refusal.json["field"]) == (422, "field_invalid", "value")


def test_raft_is_in_the_metrics(lasting: list[NodeProcess]) -> None:
    page = leader_of(lasting).get("/metrics").body.decode()
    for name in ("simpul_raft_role 3.0", "simpul_raft_has_leader 1.0", "simpul_raft_write_seconds_bucket{disk="):
        assert name in page
    for name in ("term", "commit_index", "applied_index", "commit_lag", "elections_total", "proposals_total"):
        assert f"simpul_raft_{name}" in page


@pytest.mark.parametrize(
    "path", ["/raft/request_vote", "/raft/append", "/raft/snapshot", "/raft/propose", "/raft/waits"]
)
@pytest.mark.parametrize("body", [b"", b"{}", b"\x91\x02", b"\xff" * 100, b"\x98" + b"\xc0" * 8])
def test_bytes_that_are_no_message_get_a_4xx(lasting: list[NodeProcess], path: str, body: bytes) -> None:
    answer = call(lasting[0].url + path, "POST", body)
    assert (answer.status, answer.json["code"]) == (400, "raft_message_invalid")


def test_a_message_of_a_stranger_is_refused(lasting: list[NodeProcess]) -> None:
    for cluster_name, sender, to in (
        ("other", lasting[1].url, lasting[0].url),
        ("lasting", "http://127.0.0.1:1", lasting[0].url),
        ("lasting", lasting[1].url, lasting[2].url),
    ):
        beat = wire.to_wire(Heartbeat(sender, to, 99, 0, 0))
        parcel = wire.Parcel(wire.VERSION, cluster_name, sender, "disk", to, "", 1, [beat])
        answer = call(lasting[0].url + "/raft/append", "POST", wire.encode(parcel))
        assert (answer.status, answer.json["code"]) == (409, "raft_stranger")
    assert state(lasting[0])["term"] < 99


def test_a_known_node_with_another_disk_is_refused(lasting: list[NodeProcess]) -> None:
    leader = leader_of(lasting)
    # Every follower has met the leader, but maybe not the other follower.
    follower = others(lasting, leader)[0]
    beat = wire.to_wire(Heartbeat(leader.url, follower.url, 99, 0, 0))
    parcel = wire.Parcel(wire.VERSION, "lasting", leader.url, "wiped", follower.url, "", 1, [beat])
    answer = call(follower.url + "/raft/append", "POST", wire.encode(parcel))
    assert (answer.status, answer.json["code"]) == (409, "raft_disk_replaced")
    assert state(follower)["term"] < 99


# Stalls


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_stall_of_half_a_second_causes_no_election(lasting: list[NodeProcess], role: str) -> None:
    leader = leader_of(lasting)
    term = state(leader)["term"]
    stalled = leader if role == "leader" else others(lasting, leader)[0]
    for value in (900, 901, 902):
        pause(stalled)
        time.sleep(STALL_S)  # the stall itself
        resume(stalled)
        assert decide(stalled, value).status == 200
        wait_for_value(lasting, value)
    assert [state(node)["term"] for node in lasting] == [term] * 3
    assert leader_of(lasting) is leader


# Losing nodes


def test_after_kill_9_of_the_leader_another_one_decides(nodes: list[NodeProcess]) -> None:
    leader = leader_of(nodes)
    assert decide(nodes[0], 111).status == 200
    kill(leader)
    rest = others(nodes, leader)
    assert decide(rest[0], 222).status == 200
    wait_for_value(rest, 222)
    leader.start()
    wait_for_value(nodes, 222)
    assert leader_of(nodes) is not leader


def test_a_leader_that_was_stopped_finds_its_successor(nodes: list[NodeProcess]) -> None:
    old = leader_of(nodes)
    rest = others(nodes, old)
    pause(old)
    wait_until(lambda: state(rest[0])["leader"] in {node.url for node in rest}, "a successor")
    assert decide(rest[1], 333).status == 200
    resume(old)
    wait_for_value(nodes, 333)
    assert leader_of(nodes) is not old


def test_a_majority_that_is_gone_is_said_to_be(nodes: list[NodeProcess]) -> None:
    leader = leader_of(nodes)
    last = others(nodes, leader)[0]
    gone = others(nodes, last)
    for node in gone:
        kill(node)
    wait_until(lambda: state(last)["leader"] is None, "it to miss the leader")
    refusal = decide(last, 444)
    assert (refusal.status, refusal.json["code"]) == (503, "not_committed")
    assert last.post("/lock/acquire", {"resource": "r", "owner": "o"}).json["granted"] is True
    for node in gone:
        node.start()
    assert decide(last, 555).status == 200


def disks(cluster: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {url: (node["name"], node["disk"]) for url, node in cluster["nodes"].items()}


def test_a_restart_of_all_keeps_everything(nodes: list[NodeProcess]) -> None:
    decide(nodes[0], 666)
    before, term = decided(nodes[0]), state(nodes[0])["term"]
    for node in nodes:
        kill(node)
    for node in nodes:
        node.start()
    joined(nodes)
    wait_for_value(nodes, 666)
    after = decided(nodes[0])
    assert (after["cluster_id"], disks(after)) == (before["cluster_id"], disks(before))
    assert state(nodes[0])["term"] > term


def test_sigterm_hands_leadership_over_within_300_ms(nodes: list[NodeProcess]) -> None:
    old = leader_of(nodes)
    rest = others(nodes, old)
    started = time.monotonic()
    assert old.process
    old.process.terminate()
    wait_until(lambda: state(rest[0])["leader"] in {node.url for node in rest}, "the next leader")
    assert time.monotonic() - started < 0.3
    assert ended(old) == 0
    assert decide(rest[0], 777).status == 200


def test_a_straggler_gets_a_snapshot(nodes: list[NodeProcess]) -> None:
    straggler = others(nodes, leader_of(nodes))[0]
    kill(straggler)
    rest = others(nodes, straggler)
    rest[0].post("/cluster/settings", {"name": "snapshot_entries", "value": 100})
    with ThreadPoolExecutor(16) as pool:
        # More than the 1000 entries that are kept for a follower a little behind.
        assert {answer.status for answer in pool.map(lambda n: decide(rest[n % 2], 1000 + n), range(1300))} == {200}
    decide(rest[0], 888)
    straggler.start()
    wait_for_value([straggler], 888)
    assert state(straggler)["snapshot_index"] > 1000


def test_a_single_node_decides_at_once(tmp_path: Path, redis_url: str) -> None:
    with cluster(tmp_path, redis_url, nodes=1, CLUSTER_NAME="single") as (node,):
        started = time.monotonic()
        assert decide(node, 99).status == 200
        assert time.monotonic() - started < 0.5
        assert state(node)["role"] == "leader"


# Disks


def test_a_wiped_disk_is_refused_until_the_cluster_declares_the_old_one_lost(
    tmp_path: Path, nodes: list[NodeProcess]
) -> None:
    decide(nodes[0], 1234)
    wiped = others(nodes, leader_of(nodes))[0]
    rest = others(nodes, wiped)
    wiped.stop()
    shutil.rmtree(tmp_path / wiped.name)
    said = start_in_vain(wiped)
    assert "this cluster knows it with disk" in said
    assert "A lost disk" in said
    lost = decided(rest[0])["nodes"][wiped.url]["disk"]
    assert rest[0].post("/cluster/replace-disk", {"url": wiped.url, "lost": lost}).status == 200
    wait_until(lambda: all(decided(node)["nodes"][wiped.url]["disk"] == "" for node in rest), "the decision")
    wiped.start()
    wait_for_value([wiped], 1234)
    wait_until(lambda: decided(rest[0])["nodes"][wiped.url]["disk"] not in ("", lost), "its new disk to be known")


def test_damage_is_named_and_the_node_does_not_start(tmp_path: Path, nodes: list[NodeProcess]) -> None:
    damaged = nodes[0]
    file = raft_file(tmp_path, damaged)
    damaged.stop()
    content = bytearray(file.read_bytes())
    at = content.rfind(b"register_node")
    content[at + 15] ^= 1
    file.write_bytes(content)
    said = start_in_vain(damaged)
    assert "of table entries does not match its CRC" in said
    assert "does not start" in said


def test_two_processes_cannot_share_a_folder(tmp_path: Path, redis_url: str) -> None:
    with cluster(tmp_path, redis_url, nodes=1, CLUSTER_NAME="shared") as (node,):
        second = NodeProcess(tmp_path, redis_url, NODE_ID="n1", CLUSTER_NAME="shared")
        assert "in use by another process" in start_in_vain(second)
        assert node.get("/readyz").status == 200


def test_other_members_than_before_are_refused(tmp_path: Path, nodes: list[NodeProcess]) -> None:
    node = nodes[0]
    node.stop()
    node.env["PEERS"] = ""
    assert "was made with PEERS" in start_in_vain(node)


def test_a_leader_whose_disk_fails_ends_and_another_takes_over(nodes: list[NodeProcess]) -> None:
    old = leader_of(nodes)
    assert old.process
    # The kernel refuses every write that makes a file larger, as a full disk does.
    resource.prlimit(old.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
    rest = others(nodes, old)
    assert decide(rest[0], 2345).status == 200
    assert ended(old) == 1
    last_line = old.log.read_text().splitlines()[-1]
    assert "can no longer take part" in last_line
    assert "cannot be written" in last_line
    wait_for_value(rest, 2345)


def _on_hanging_disk(node: NodeProcess, hangs: Path, disk_hung_ms: int) -> None:
    """Start `node` again on a disk that hangs while the file `hangs` exists."""
    node.stop()
    node.command = (sys.executable, "-W", "error", "-m", "tests.raft.slow_disk_node")
    node.env |= {HANGS_WHILE: str(hangs), "SIMPUL_DISK_HUNG_MS": str(disk_hung_ms)}
    node.start()


def test_a_leader_whose_disk_hangs_steps_down_and_returns_when_it_answers(
    tmp_path: Path, nodes: list[NodeProcess]
) -> None:
    hangs = tmp_path / "hangs"
    node = max(others(nodes, leader_of(nodes)), key=lambda other: other.url)
    _on_hanging_disk(node, hangs, 60_000)
    rest = others(nodes, node)
    lead(nodes, node)
    hangs.touch()
    assert decide(rest[0], 3456).status == 200, "the others decide under a new leader"
    assert leader_of(rest) is not node
    assert "its own storage has not answered" in json.dumps(state(node)["history"])
    assert node.post("/lock/acquire", {"resource": "r", "owner": "o"}).json["granted"] is True
    hangs.unlink()
    wait_for_value(nodes, 3456)
    assert node.process
    assert node.process.poll() is None


def test_a_node_whose_disk_hangs_for_good_ends_and_says_so(tmp_path: Path, nodes: list[NodeProcess]) -> None:
    hangs = tmp_path / "hangs"
    node = others(nodes, leader_of(nodes))[0]
    _on_hanging_disk(node, hangs, 1000)
    hangs.touch()
    assert decide(others(nodes, node)[0], 4567).status == 200
    assert ended(node) == 1
    assert "the disk has not answered a write for" in node.log.read_text().splitlines()[-1]


# Secrets


def test_a_node_with_another_secret_is_not_heard(tmp_path: Path, server: RedisServer) -> None:
    shared = "one-word-of-the-cluster"
    with cluster(tmp_path, server.url, SIMPUL_CLUSTER_SECRET=shared) as nodes:
        joined(nodes)
        stranger = others(nodes, leader_of(nodes))[0]
        stranger.stop()
        stranger.env.update({"SIMPUL_CLUSTER_SECRET": "another-word-altogether"})
        stranger.start()
        wait_until(lambda: "the cluster secret is wrong" in stranger.log.read_text(), "it to be told")
        assert decide(others(nodes, stranger)[0], 321).status == 200
        assert state(stranger)["leader"] is None
        for headers, reason in (({}, "missing"), ({"x-simpul-secret": "wrong"}, "wrong")):
            answer = call(nodes[0].url + "/raft/append", "POST", b"", headers)
            assert (answer.status, answer.json["code"]) == (403, "raft_forbidden")
            assert reason in answer.json["detail"]
        assert shared not in json.dumps([node.log.read_text() for node in nodes])
