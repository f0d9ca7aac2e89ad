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


def test_a_leader_that_is_led_to_another_redis_takes_nobody_along(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        astray = made.leader
        others = [node for number, node in enumerate(made.nodes) if number != astray]
        assert others[0].post("/cache/put", {"key": "k", "value": "kept"}).status == 200
        made.to_redis[astray].retarget(made.spare.port)
        wait_until(lambda: made.leader != astray, "another leader")
        for node in others:
            assert node.post("/cache/get", {"key": "k", "consistency": "strong"}).json["value"] == "kept"
        assert others[0].get("/cluster").json["generation"] == 1
        with made.spare.client() as client:
            assert client.dbsize() == 0, "nothing was fenced there"
