"""Script sets on real nodes of different releases: staged, activated, taken back, refused; clients never feel it."""

import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from service.decisions.replicated.rules.script_sets import SETS_KEPT
from service.store.bundle import ScriptSet, shipped
from tests.cluster.releases import (
    STEP_OF_TWO,
    activate,
    active,
    release,
    scripts_of,
    sets,
    simpul,
    stage,
)
from tests.cluster.upgrade_load import Load
from tests.support import ROOT, NodeProcess, RedisServer, cluster, wait_until


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("newer") / "simpul", STEP_OF_TWO)


def step(*nodes: NodeProcess) -> int:
    """By how much the version of a key rises from one put to the next; the same through all the nodes."""
    versions = [node.post("/cache/put", {"key": "k", "value": 1}).json["version"] for node in (*nodes, nodes[0])]
    steps = {after - before for before, after in pairwise(versions)}
    assert len(steps) == 1, versions
    return int(steps.pop())


def follower(nodes: list[NodeProcess]) -> NodeProcess:
    leader = nodes[0].get("/raft/state").json["leader_url"]
    return next(node for node in nodes if node.url != leader)


def not_loaded(node: NodeProcess, script_set: ScriptSet, because: str) -> str:
    """Ask for an activation until the refusal says why: what the leader was not told yet is refused for that."""

    def reason() -> str:
        refused = activate(node, script_set)
        assert (refused.status, refused.json["code"]) == (409, "script_set_not_loaded")
        said = str(refused.json["reason"])
        return said if because in said else ""

    return wait_until(reason, f"a refusal that speaks of {because}")


def test_nodes_of_different_releases_run_the_same_scripts_through_a_roll_out(
    tmp_path: Path, server: RedisServer, newer: Path
) -> None:
    old, new = shipped().version, scripts_of(newer).version
    with cluster(tmp_path, server.url) as nodes:
        nodes[2].stop()
        nodes[2].install(newer)
        nodes[2].start()
        at = ("--url", nodes[0].url)
        assert nodes[2].get("/scripts").json["shipped"] == new
        assert step(*nodes) == 1, "the new release calls the old scripts"

        staged = simpul(newer, "scripts", "stage", *at)
        assert staged.stdout == f"script set {new} is staged; next: simpul scripts activate {new}\n", staged.stderr
        wait_until(lambda: sets(nodes[1]).get(new, {}).get("loaded") == "", "the set in Redis")
        assert {active(node) for node in nodes} == {old}
        assert step(*nodes) == 1, "staged is not active"

        shown = simpul(newer, "scripts", "list", *at).stdout
        assert re.search(rf"^{old}  active .* n1 n2 n3$", shown, re.MULTILINE), shown
        assert re.search(rf"^{new}  staged .* n1 n2 n3$", shown, re.MULTILINE), shown
        changed = simpul(newer, "scripts", "diff", *at).stdout.splitlines()
        assert f"--- {old}/cache.put.lua" in changed
        assert f"+++ {new}/cache.put.lua" in changed
        assert sum(line.startswith(("---", "+++")) for line in changed) == 2, "nothing else changed"
        assert [line for line in changed if line.startswith("-local")] == [
            '-local version = redis.call("INCR", KEYS[3])'
        ]

        assert simpul(ROOT, "scripts", "activate", new, *at).stdout.startswith(f"script set {new} is active")
        assert step(*nodes) == 2, "the old release calls the new scripts"
        assert {active(node) for node in nodes} == {new}

        assert simpul(ROOT, "scripts", "rollback", *at).stdout == f"script set {old} is active again\n"
        assert step(*nodes) == 1
        assert sets(nodes[0])[new]["state"] == "former"
        assert simpul(ROOT, "scripts", "rollback", *at).stdout == f"script set {new} is active again\n"
        assert step(*nodes) == 2, "a rollback is taken back in the same way"


def test_what_the_active_set_lacks_is_refused_by_name_until_it_is_activated(
    tmp_path: Path, server: RedisServer
) -> None:
    older = release(tmp_path / "older", {}, without=("lua/lock/inspect.lua",))
    with cluster(tmp_path, server.url, nodes=1, PYTHONPATH=str(older)) as (node,):
        node.stop()
        node.install(ROOT)
        node.start()
        refused = node.get("/lock/r")
        assert (refused.status, refused.json["code"]) == (503, "script_absent")
        assert (refused.json["script"], refused.json["version"]) == ("lock.inspect", scripts_of(older).version)
        assert node.post("/lock/acquire", {"resource": "r", "owner": "o", "timeout": 10}).status == 200
        assert stage(node, shipped()).status == 200
        wait_until(lambda: activate(node, shipped()).status == 200, "a set that is loaded")
        assert node.get("/lock/r").json["holder_count"] == 1


def test_no_set_is_activated_that_a_live_node_has_not_loaded(tmp_path: Path, server: RedisServer, newer: Path) -> None:
    wanted = scripts_of(newer)
    with cluster(tmp_path, server.url) as nodes:
        hung = follower(nodes)
        other = next(node for node in nodes if node is not hung)
        # So long it counts as live, however slow this machine is.
        assert other.post("/cluster/settings", {"name": "owner_silent_ms", "value": 600_000}).status == 200
        hung.signal(signal.SIGSTOP)
        assert stage(other, wanted).status == 200
        wait_until(lambda: wanted.version in sets(other) and sets(other)[wanted.version]["loaded"] == "", "the set")
        assert not_loaded(other, wanted, hung.name) == f"{hung.name}: it was not told of it yet"
        assert active(other) == shipped().version
        hung.signal(signal.SIGCONT)
        wait_until(lambda: activate(other, wanted).status == 200, "all nodes to have it")
        assert step(hung, other) == 2


def test_a_set_that_redis_cannot_compile_never_activates(tmp_path: Path, server: RedisServer) -> None:
    broken = scripts_of(release(tmp_path / "broken", {"lua/cache/get.lua": (("return", "this is no Lua; return"),)}))
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        assert stage(node, broken).status == 200
        reason = not_loaded(node, broken, "compiling")
        assert reason.startswith(f"n1: cache.get at 127.0.0.1:{server.port}: ")
        told = simpul(ROOT, "scripts", "activate", broken.version, "--url", node.url, "--wait", "0")
        assert told.returncode == 1
        assert reason in told.stderr
        assert active(node) == shipped().version
        assert step(node) == 1


def test_a_set_that_cannot_read_the_data_is_refused_forwards_and_backwards(tmp_path: Path, server: RedisServer) -> None:
    layout, ours = "lua/layout.toml", "writes = 2\nreads = [1, 2]"
    apart = scripts_of(release(tmp_path / "2", {layout: ((ours, "writes = 3\nreads = [3]"),)}))
    bridge = scripts_of(release(tmp_path / "3", {layout: ((ours, "writes = 3\nreads = [2, 3]"),)}))
    with cluster(tmp_path, server.url, nodes=1) as (node,):

        def settled(version: str) -> bool:
            assert version in sets(node)
            answer = node.post("/scripts/activate", {"version": version})
            return bool(answer.json.get("code") != "script_set_not_loaded")

        assert stage(node, apart).status == stage(node, bridge).status == 200
        wait_until(lambda: settled(apart.version), "an answer about the layout")
        refused = activate(node, apart)
        assert (refused.status, refused.json["code"]) == (409, "script_set_strands_data")
        assert active(node) == shipped().version
        wait_until(lambda: settled(bridge.version), "the set that reads both")
        assert active(node) == bridge.version
        back = node.post("/scripts/rollback", {})
        assert (back.status, back.json["code"]) == (409, "script_set_strands_data"), "the data has the new layout now"
        assert active(node) == bridge.version


def test_old_sets_are_pruned_but_neither_the_active_one_nor_what_rollback_needs(
    tmp_path: Path, server: RedisServer, newer: Path
) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,):
        assert stage(node, scripts_of(newer)).status == 200
        wait_until(lambda: activate(node, scripts_of(newer)).status == 200, "a set that is loaded")
        many = []
        for number in range(SETS_KEPT + 2):
            edits = {"lua/cache/get.lua": (("return", f"-- {number}\nreturn"),)}
            one = scripts_of(release(tmp_path / str(number), edits))
            assert stage(node, one).status == 200
            many.append(one.version)
        kept = sets(node)
        assert len(kept) == SETS_KEPT
        assert {name: one["state"] for name, one in kept.items() if one["state"] != "staged"} == {
            scripts_of(newer).version: "active",
            shipped().version: "former",
        }
        assert [name for name in many if name in kept] == many[-(SETS_KEPT - 2) :]
        gone = node.post("/scripts/activate", {"version": many[0]})
        assert (gone.status, gone.json["code"]) == (404, "script_set_unknown")
        for _ in range(2):
            back = node.post("/scripts/rollback", {"request_id": "once"})
            assert (back.status, back.json.get("version")) == (200, shipped().version), "a repeat does not go forward"
        assert step(node) == 1


def test_an_upgrade_of_all_nodes_and_a_roll_out_under_load_fail_no_request(
    tmp_path: Path, server: RedisServer, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = shipped(), scripts_of(newer)
    with cluster(tmp_path, server.url) as nodes, Load(nodes).running() as load:
        load.goes_on()
        for node in nodes:
            # Still in rotation while it stops: what it was sent it answers, and whoever comes later goes elsewhere.
            assert node.stop() == 0
            load.leave(node)
            node.install(newer)
            node.start()
            load.join(node)
            load.goes_on()
        assert {active(node) for node in nodes} == {old.version}
        at = ("--url", nodes[0].url)
        for words, version in (
            (("stage",), old.version),
            (("activate", new.version), new.version),
            (("rollback",), old.version),
            (("activate", new.version), new.version),
        ):
            done = simpul(newer, "scripts", *words, *at)
            assert done.returncode == 0, done.stderr
            load.goes_on()
            assert {active(node) for node in nodes} == {version}
    assert load.failures == []
    load.judge_queue()
    with capsys.disabled():
        print(f"\nrounds of work {dict(load.done)}, asked another node after {dict(load.retried)}, failures 0")
