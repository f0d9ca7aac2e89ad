"""Every partition has one live owner: a silent node loses its partitions, and gets them back when it is heard again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from service.keys import PARTITIONS
from tests.cluster.raft_cluster import joined, others, pause, resume
from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until


class Lasting(NamedTuple):
    server: RedisServer
    nodes: list[NodeProcess]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lasting]:
    folder = tmp_path_factory.mktemp("owners")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as made:
        joined(made)
        assert made[0].post("/cluster/settings", {"name": "owner_silent_ms", "value": 1_000}).status == 200
        yield Lasting(server, made)


@pytest.fixture
def nodes(lasting: Lasting) -> list[NodeProcess]:
    return lasting.nodes


def owners(node: NodeProcess) -> dict[int, str]:
    shown = node.get("/cluster").json["nodes"]
    return {number: url for url, one in shown.items() for number in one["partitions"]}


def wait_for_owners(node: NodeProcess, among: list[NodeProcess]) -> dict[int, str]:
    urls = {one.url for one in among}
    wait_until(lambda: set(owners(node).values()) == urls, f"partitions of {urls}")
    return owners(node)


def test_all_partitions_are_shared_out_and_every_node_shows_the_same_map(nodes: list[NodeProcess]) -> None:
    shown = [wait_for_owners(node, nodes) for node in nodes]
    assert set(shown[0]) == set(range(PARTITIONS))
    assert shown[0] == shown[1] == shown[2]


def test_a_silent_node_loses_its_partitions_and_nobody_elses_move(nodes: list[NodeProcess]) -> None:
    leader = joined(nodes)
    silent = others(nodes, leader)[0]
    rest = others(nodes, silent)
    before = wait_for_owners(leader, nodes)
    pause(silent)
    try:
        after = wait_for_owners(leader, rest)
    finally:
        resume(silent)
    assert all(after[number] == owner for number, owner in before.items() if owner != silent.url)
    wait_until(lambda: owners(silent) == owners(leader) == before, "all of them to be back where they were")


def test_the_owner_of_each_partition_has_taken_up_its_duties(lasting: Lasting) -> None:
    server, nodes = lasting
    shown = wait_for_owners(nodes[0], nodes)
    assignment = nodes[0].get("/cluster").json["assignment"]

    def on_duty() -> dict[int, str]:
        with server.client() as client:
            found = {key: client.get(key) for key in client.keys("simpul:simpul:*:duty")}
        return {int(key.split(b"{p")[1][:2]): value.decode() for key, value in found.items()}

    wait_until(lambda: on_duty() == {p: f"{assignment} {owner}" for p, owner in shown.items()}, "all duties taken up")


def test_a_topic_names_its_partition_and_the_node_that_does_its_duties(nodes: list[NodeProcess]) -> None:
    shown = wait_for_owners(nodes[0], nodes)
    names = {node.url: node.name for node in nodes}
    for topic in ("a", "b", "c"):
        for node in nodes:
            state = node.get(f"/queue/{topic}").json
            assert state["owner"] == names[shown[state["partition"]]]
