"""The commands that speak with nodes, on real ones."""

import json
import shlex
from pathlib import Path
from typing import Any

from service.store.bundle import shipped
from tests.cluster.releases import STEP_OF_TWO, activate, release, scripts_of, simpul, stage
from tests.support import ROOT, NodeProcess, RedisServer, cluster, wait_until


def status(node: NodeProcess) -> str:
    done = simpul(ROOT, "status", "--url", node.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def foreign(node: NodeProcess) -> dict[str, Any]:
    answer = node.get("/readyz").json
    return dict(answer) if answer.get("code") == "cluster_foreign" else {}


def test_status_tells_of_a_loss_why_and_for_how_long_locks_are_held_back(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        assert node.post("/lock/acquire", {"resource": "r", "owner": "o", "ttl_ms": 60_000}).status == 200
        before = status(node)
        assert "quarantine  none, locks are granted" in before
        assert f"fences      1.{shipped().version} in 64 partitions" in before
        with server.client() as client:
            client.flushall()
        assert node.post("/cache/put", {"key": "k", "value": 1}).status == 200
        shown = status(node)
        lines = shown.splitlines()
        assert lines[0].startswith("warning     "), "warnings come first"
        assert [line.partition(" since ")[0] for line in lines if " since " in line] == [
            "generation  2",
            "before      1",
        ]
        assert f"fences      2.{shipped().version} in 64 partitions" in lines
        assert any(line.startswith("quarantine  no new lock is granted for ") for line in lines)
        assert any(line.startswith("n1 ") and line.endswith(node.url) for line in lines)
        assert max(map(len, lines)) <= 100
        assert "\x1b" not in shown, "colour is for terminals"


def test_status_names_fences_that_are_not_as_decided_and_a_redis_that_is_away(
    tmp_path: Path, server: RedisServer
) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        with server.client() as client:

            def shows_the_astray() -> bool:
                # Again each time: a duty of the node may find it first, and then it is as decided once more.
                client.set("simpul:simpul:{p07}:fence", "1.another")
                return "\nastray      p07 has 1.another\n" in status(node)

            wait_until(shows_the_astray, "a fence that is not as decided to be named")
        server.kill()
        address = f"127.0.0.1:{server.port}"
        wait_until(lambda: "is not connected" in status(node), "a warning")
        shown = status(node)
        assert shown.startswith("warning     ")
        assert f"{address}  not connected" in shown
        assert "fences      not seen: no Redis is connected" in shown


def test_the_data_of_a_cluster_that_is_gone_is_adopted_by_command(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path / "a", server.url, nodes=1) as (gone,):
        version = gone.post("/cache/put", {"key": "k", "value": "kept"}).json["version"]
    node = NodeProcess(tmp_path / "b", server.url)
    try:
        node.start(ready=False)
        refused = wait_until(lambda: foreign(node), "a refusal that names the other cluster")
        told = simpul(ROOT, "adopt", refused["cluster_id"], "--quarantine-ms", "60000", "--url", node.url)
        assert told.stdout == f"the data of cluster {refused['cluster_id']} is adopted\n", told.stderr
        node.wait_for("/readyz")
        assert node.post("/cache/get", {"key": "k"}).json["value"] == "kept"
        assert node.post("/cache/put", {"key": "k", "value": "new"}).json["version"] > version
        held = node.post("/lock/acquire", {"resource": "r", "owner": "o", "timeout": 0})
        assert (held.status, held.json["code"]) == (409, "lock_quarantine")
        assert 50_000 < held.json["left_ms"] <= 70_000
        own = simpul(ROOT, "adopt", node.get("/cluster").json["cluster_id"], "--quarantine-ms", "0", "--url", node.url)
        assert own.returncode == 1
        assert "this very cluster" in own.stderr
    finally:
        node.stop()


def test_evalsha_takes_the_scripts_that_the_cluster_runs(tmp_path: Path, server: RedisServer) -> None:
    newer = release(tmp_path / "newer", STEP_OF_TWO)
    words = ("cache.put", "key=k", "value=1", "--redis-url", server.url)
    with cluster(tmp_path, server.url, nodes=1) as (node,):

        def version_after(line: str) -> int:
            """Of the line that was printed, run as redis-cli would."""
            with server.client() as client:
                code, version = client.execute_command(*shlex.split(line)[3:])
            assert code == b"ok"
            return int(version)

        own = simpul(ROOT, "evalsha", *words, "--url", node.url)
        assert own.stderr == ""
        assert version_after(own.stdout) > 0
        assert stage(node, scripts_of(newer)).status == 200
        wait_until(lambda: activate(node, scripts_of(newer)).status == 200, "a set that is loaded")
        first = node.post("/cache/put", {"key": "k", "value": 1}).json["version"]  # and with it the fence in Redis
        line = simpul(ROOT, "evalsha", *words, "stride=7", "--url", node.url)
        assert f"the cluster runs script set {scripts_of(newer).version}" in line.stderr
        assert version_after(line.stdout) == first + 7
        unknown = simpul(ROOT, "evalsha", *words, "--url", "http://127.0.0.1:1")
        assert "Redis may not know this script (NOSCRIPT)" in unknown.stderr
        assert "no node answers at http://127.0.0.1:1" in unknown.stderr
        assert shipped().scripts["cache.put"].sha in unknown.stdout


def test_the_sets_of_the_cluster_are_listed_for_programs_too(tmp_path: Path, server: RedisServer) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        listed = json.loads(simpul(ROOT, "scripts", "--json", "--url", node.url).stdout)
        assert listed["script_set"] == shipped().version
        assert listed["cluster"]["sets"][shipped().version]["state"] == "active"
        assert listed["cluster"]["sets"][shipped().version]["loaded"] == {"n1": ""}
        shown = json.loads(simpul(ROOT, "status", "--json", "--url", node.url).stdout)
        assert shown.keys() == node.get("/cluster").json.keys()
