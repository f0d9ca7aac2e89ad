"""Raft on a network that is really cut, between processes in network namespaces."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.cluster.namespaces import Network, RemoteNode, why_not
from tests.cluster.raft_cluster import decide, joined, leader_of, others, state, wait_for_value
from tests.support import redis_server, wait_until

REASON = why_not()
if REASON:
    print(f"skipped: {REASON}")
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

SEVERAL_ELECTIONS_S = 3.0


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network(3) as made:
        yield made


@pytest.fixture(scope="module")
def nodes(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RemoteNode]]:
    folder = tmp_path_factory.mktemp("partitions")
    socket = folder / "redis.sock"
    peers = ",".join(f"http://{network.address(number)}:8000" for number in range(3))
    settings = {
        "PEERS": peers,
        "SIMPUL_CLUSTER_SECRET": "a-secret-for-partitions",
        "SIMPUL_HEARTBEAT_MS": "75",
        "SIMPUL_ELECTION_MS": "500",
    }
    # Redis by a socket file, which no partition cuts: only Raft's own connections are.
    with redis_server(folder / "redis", "valkey-9", "--unixsocket", str(socket)):
        made = [RemoteNode(network, number, folder, f"unix://{socket}", **settings) for number in range(3)]
        try:
            for node in made:
                node.spawn()
            for node in made:
                wait_until(lambda node=node: state(node), f"{node.url}")  # type: ignore[misc]
            joined(made)
            yield made
        finally:
            for node in made:
                node.end()


def test_an_isolated_leader_steps_down_and_the_majority_goes_on(network: Network, nodes: list[RemoteNode]) -> None:
    old = leader_of(nodes)
    assert isinstance(old, RemoteNode)
    rest = others(nodes, old)
    network.isolate(old.number)
    wait_until(lambda: state(old)["role"] != "leader", "the old leader to notice")
    assert leader_of(rest) is not old
    assert decide(rest[0], 111).status == 200
    assert decide(old, 999).status == 503
    network.rejoin(old.number)
    wait_for_value(nodes, 111)
    leader_of(nodes)


def test_an_isolated_follower_disturbs_nobody_when_it_returns(network: Network, nodes: list[RemoteNode]) -> None:
    leader = leader_of(nodes)
    term = state(leader)["term"]
    away = others(nodes, leader)[0]
    assert isinstance(away, RemoteNode)
    network.isolate(away.number)
    wait_until(lambda: state(away)["role"] == "candidate", "it to campaign in vain")
    assert decide(leader, 222).status == 200
    network.rejoin(away.number)
    wait_for_value(nodes, 222)
    assert [state(node)["term"] for node in nodes] == [term] * 3


def test_two_nodes_that_hear_the_third_but_not_each_other_keep_one_leader(
    network: Network, nodes: list[RemoteNode]
) -> None:
    leader = leader_of(nodes)
    assert isinstance(leader, RemoteNode)
    cut_off, middle = others(nodes, leader)
    assert isinstance(cut_off, RemoteNode)
    term = state(leader)["term"]
    network.cut(leader.number, cut_off.number)
    try:
        ends_at = time.monotonic() + SEVERAL_ELECTIONS_S
        value = 300
        while time.monotonic() < ends_at:
            value += 1
            assert decide(leader, value).status == 200
        assert state(leader)["term"] == state(middle)["term"] == term
    finally:
        network.mend(leader.number, cut_off.number)
    wait_for_value(nodes, value)
    assert leader_of(nodes) is leader
