"""Three real nodes as Raft sees them: who leads, what is decided, and waiting for either."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support import DEADLINE_S, START_MOST_S, Answer, NodeProcess, wait_until

SETTING = "outcomes_kept"
"""A decision to make: harmless, and shown by GET /cluster."""


def state(node: NodeProcess) -> dict[str, Any]:
    """GET /raft/state; empty while the node does not answer."""
    try:
        answer: dict[str, Any] = node.get("/raft/state").json
    except OSError:
        return {}
    return answer


def leader_of(nodes: Iterable[NodeProcess], deadline_s: float = DEADLINE_S) -> NodeProcess:
    """The node that all of `nodes` follow; waits until there is one among them."""
    nodes = list(nodes)

    def agreed() -> NodeProcess | None:
        leaders = {state(node).get("leader") for node in nodes}
        return next((node for node in nodes if leaders == {node.url}), None)

    found = wait_until(agreed, f"a leader among {[node.url for node in nodes]}", deadline_s)
    assert found is not None
    return found


def joined(nodes: Iterable[NodeProcess]) -> NodeProcess:
    """The leader, once every one of `nodes` is registered and shows it; if that does not come, how each node stands and
    what it said last."""
    nodes = list(nodes)
    leader = leader_of(nodes, START_MOST_S)
    wanted = {node.url for node in nodes}
    try:
        wait_until(lambda: all(set(decided(node)["nodes"]) >= wanted for node in nodes), "registration", START_MOST_S)
    except AssertionError as late:
        stand = [f"{node.name}: {decided(node)}\n{state(node)}\n{node.log.read_text()[-2000:]}" for node in nodes]
        raise AssertionError("\n".join([str(late), *stand])) from None
    return leader


def lead(nodes: Iterable[NodeProcess], node: NodeProcess) -> None:
    """Make `node` the leader: whoever else leads is restarted, and hands over as it stops. Of two followers with equal
    logs the one with the greater URL gets it, so `node` has to be that one."""
    leader = joined(nodes)
    if leader is not node:
        leader.stop()
        leader.start()
    assert joined(nodes) is node


def others(nodes: Iterable[NodeProcess], *without: NodeProcess) -> list[NodeProcess]:
    return [node for node in nodes if node not in without]


def decide(node: NodeProcess, value: int, **fields: Any) -> Answer:
    """Ask for a decision through `node`, whoever leads."""
    return node.post("/cluster/settings", {"name": SETTING, "value": value, **fields})


def decided(node: NodeProcess) -> dict[str, Any]:
    answer: dict[str, Any] = node.get("/cluster").json
    return answer


def shows(node: NodeProcess, value: int) -> bool:
    return bool(decided(node)["settings"][SETTING] == value)


def wait_for_value(nodes: Iterable[NodeProcess], value: int) -> None:
    for node in nodes:
        wait_until(lambda node=node: shows(node, value), f"{node.url} to show {value}")  # type: ignore[misc]


def kill(node: NodeProcess) -> None:
    assert node.process
    node.process.kill()
    node.process.wait()


def ended(node: NodeProcess, deadline_s: float = DEADLINE_S) -> int:
    """The exit code of a node that ends by itself."""
    assert node.process
    try:
        return node.process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{node.url} still runs: {node.log.read_text()[-2000:]}") from None


def start_in_vain(node: NodeProcess) -> str:
    """Start a node that refuses to; what it said."""
    before = node.log.stat().st_size if node.log.exists() else 0
    node.spawn()
    assert ended(node) in (1, 2), "refused at once, or by the others"
    return node.log.read_text()[before:]


def pause(node: NodeProcess) -> None:
    node.signal(signal.SIGSTOP)


def resume(node: NodeProcess) -> None:
    node.signal(signal.SIGCONT)


def raft_file(folder: Path, node: NodeProcess) -> Path:
    (found,) = (folder / node.name).glob("raft-*.sqlite3")
    return found
