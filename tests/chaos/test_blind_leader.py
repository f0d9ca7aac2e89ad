"""A leader that cannot reach Redis keeps nobody from a Redis that was restarted: it makes way for one that can."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.world import world
from tests.support import wait_until


def test_a_leader_without_redis_gives_leadership_to_a_node_that_has_it(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        blind = made.leader
        others = [node for number, node in enumerate(made.nodes) if number != blind]
        made.to_redis[blind].refuse()
        made.primary.kill()
        made.primary.start()
        for node in others:
            answers = lambda node=node: node.post("/cache/put", {"key": "k", "value": 1}).status == 200  # noqa: E731
            wait_until(answers, f"{node.name} to serve again")
        assert made.leader != blind
        made.to_redis[blind].heal()
        there = made.nodes[blind]
        wait_until(lambda: there.post("/cache/put", {"key": "k", "value": 2}).status == 200, "the blind one to serve")
