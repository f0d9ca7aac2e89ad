"""Schedules on three nodes: the owner of the partition publishes, and each tick comes once whoever that is."""

import signal
from pathlib import Path
from typing import Any

from tests.support import NodeProcess, RedisServer, cluster, wait_until

TOPIC = "beats"
EVERY_MS = 1_000


def owner_of(nodes: list[NodeProcess]) -> NodeProcess:
    """The node that does the duties of the topic's partition."""
    name = wait_until(lambda: nodes[0].get(f"/queue/{TOPIC}").json["owner"], "an owner of the partition")
    return next(node for node in nodes if node.name == name)


def ticks(node: NodeProcess, count: int) -> list[int]:
    """The planned times of the next messages."""
    found: list[int] = []
    while len(found) < count:
        taken: Any = node.post("/queue/consume", {"topic": TOPIC, "wait_ms": 20_000}).json
        assert taken.get("id"), "no tick came"
        found.append(int(taken["message"]["headers"]["scheduled-ms"]))
        node.post("/queue/ack", {"topic": TOPIC, "receipt": taken["receipt"]})
    return found


def test_no_tick_is_lost_or_doubled_when_the_owner_dies_or_sleeps(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url) as nodes:
        said = nodes[0].post(
            "/queue/schedule",
            {"topic": TOPIC, "name": "beat", "every_ms": EVERY_MS, "missed": "all", "data": 1},
        )
        owner = owner_of(nodes)
        other, third = (node for node in nodes if node is not owner)
        seen = ticks(other, 2)
        assert seen[0] == said.json["next_ms"][0]

        owner.signal(signal.SIGSTOP)
        seen += ticks(other, 3)
        # It wakes with the duties in mind that were its own.
        owner.signal(signal.SIGCONT)
        seen += ticks(other, 2)

        second = owner_of([other, third])
        survivor = next(node for node in nodes if node is not second)
        second.signal(signal.SIGKILL)
        seen += ticks(survivor, 3)
        assert seen == list(range(seen[0], seen[0] + EVERY_MS * len(seen), EVERY_MS))


def test_a_tick_reaches_every_subscription_also_of_one_made_through_another_node(
    tmp_path: Path, server: RedisServer
) -> None:
    with cluster(tmp_path, server.url) as nodes:
        said = {"topic": TOPIC, "name": "beat", "every_ms": EVERY_MS, "missed": "all", "data": 1}
        assert nodes[0].post("/queue/schedule", said).status == 200
        for node, name in zip(nodes, ("a", "b", "c"), strict=True):
            assert node.post("/queue/subscribe", {"topic": TOPIC, "subscription": name}).status == 200
        for node, name in zip(nodes, ("b", "c", "a"), strict=True):
            taken = node.post("/queue/consume", {"topic": TOPIC, "subscription": name, "wait_ms": 20_000})
            assert taken.json["id"].startswith("beat@")
