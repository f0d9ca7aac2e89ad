"""A small cluster that faults can reach: three nodes, their Redis servers, and a proxy on every way between them.

    client ── node 1..3 ── a proxy each ── the primary ── a proxy ── the replica (where a nemesis wants one)
                 └──────── a proxy before each node ──── the other nodes

A node's name among its peers (SELF_URL) is its proxy, so that each way between two nodes can be cut in every run,
without network namespaces and root: the proxy finds out which process called.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.proxy import Proxy, ProxyThread, process_of
from tests.cluster.raft_cluster import joined, leader_of
from tests.support import START_MOST_S, NodeProcess, RedisServer, free_port, wait_until

NODES = 3
SETTINGS = {
    "SIMPUL_HEARTBEAT_MS": "75",
    "SIMPUL_ELECTION_MS": "500",
    "SIMPUL_STORE_TIMEOUT_MS": "1000",
    "SIMPUL_LEASE_COVER_MS": "1000",
}
"""Shorter than the default times, so that what takes a minute in the field fits a run of a few seconds."""
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@dataclass
class World:
    """Everything that a nemesis can reach."""

    folder: Path
    nodes: list[NodeProcess]
    primary: RedisServer
    replica: RedisServer | None
    spare: RedisServer
    to_redis: list[Proxy]
    to_node: list[Proxy]
    replication: Proxy | None

    @property
    def leader(self) -> int:
        """The number of the node that leads."""
        return self.nodes.index(leader_of(self.nodes))

    def move_to(self, server: RedisServer) -> None:
        """From now on the nodes' REDIS_URL reaches another server."""
        self.primary = server
        for proxy in self.to_redis:
            proxy.retarget(server.port)

    def cut_ways(self, ways: set[tuple[int, int]]) -> None:
        """Cut exactly these ways between nodes, as (from, to); the connections stay open and carry nothing."""
        for number, proxy in enumerate(self.to_node):
            sources = {source for source, target in ways if target == number}
            proxy.hold(self._comes_from(sources, proxy.port))

    def _comes_from(self, sources: set[int], to: int) -> Callable[[int], bool]:
        """Whether a client's port belongs to one of these nodes; remembered while the cut lasts."""
        if not sources:
            return lambda _: False
        pids = [node.process.pid for at, node in enumerate(self.nodes) if node.process and at in sources]
        known: dict[int, bool] = {}

        def comes(port: int) -> bool:
            if port not in known:
                known[port] = process_of(port, to, pids) is not None
            return known[port]

        return comes

    def faketime_file(self, number: int) -> Path:
        return self.folder / f"clock-{number}"


@contextmanager
def world(folder: Path, *, aof: bool = False, replica: bool = False, fake_clocks: bool = False) -> Iterator[World]:
    """A cluster that is ready: every node serves and all know one leader. Without `aof` Redis keeps nothing."""
    options = ["--appendonly", "yes" if aof else "no", "--appendfsync", "always"]
    # A replica that takes over is behind by what the link lost, not by a full copy of its own.
    options += ["--repl-diskless-sync-delay", "0", "--repl-timeout", "60"]
    with ExitStack() as stack:
        # Two loops: finding out who calls a node must not hold up the way to Redis.
        redis_ways, node_ways = ProxyThread(), ProxyThread()
        stack.callback(redis_ways.stop)
        stack.callback(node_ways.stop)
        primary = _server(stack, folder / "primary", *options)
        spare = _server(stack, folder / "spare", *options)
        replication = follower = None
        if replica:
            replication = Proxy(redis_ways, primary.port)
            follower = _server(stack, folder / "replica", *options, "--replicaof", f"127.0.0.1 {replication.port}")
            _wait_for_replica(follower)
        ports = [free_port() for _ in range(NODES)]
        to_node = [Proxy(node_ways, port) for port in ports]
        to_redis = [Proxy(redis_ways, primary.port) for _ in ports]
        made = World(folder, [], primary, follower, spare, to_redis, to_node, replication)
        for number, port in enumerate(ports):
            made.nodes.append(_node(made, number, port, fake_clocks=fake_clocks))
        stack.callback(_end, made)
        for node in made.nodes:
            node.spawn()
        for node in made.nodes:
            wait_until_ready(node)
        joined(made.nodes)
        yield made


def _server(stack: ExitStack, folder: Path, *options: str) -> RedisServer:
    server = RedisServer(folder, "valkey-9", *options)
    stack.callback(server.kill)
    return server.start()


def _wait_for_replica(replica: RedisServer) -> None:
    with replica.client() as client:
        wait_until(lambda: client.info("replication").get("master_link_status") == "up", "the replica to be in step")


def _node(made: World, number: int, port: int, *, fake_clocks: bool) -> NodeProcess:
    urls = [f"http://127.0.0.1:{proxy.port}" for proxy in made.to_node]
    clock = {}
    if fake_clocks:
        made.faketime_file(number).write_text("+0\n")
        clock = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(made.faketime_file(number)),
            "FAKETIME_NO_CACHE": "1",
            # A clock that is stepped moves the wall clock only.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    return NodeProcess(
        made.folder,
        f"redis://127.0.0.1:{made.to_redis[number].port}/0",
        NODE_ID=f"n{number + 1}",
        HTTP_PORT=str(port),
        METRICS_PORT="0",
        SELF_URL=urls[number],
        PEERS=",".join(urls),
        **SETTINGS,
        **clock,
    )


def wait_until_ready(node: NodeProcess) -> None:
    """Wait for a node that was spawned; if it does not come, say what it said last."""
    try:
        wait_until(lambda: _is_ready(node), f"{node.name}", START_MOST_S)
    except AssertionError as late:
        raise AssertionError(f"{late}: {node.log.read_text()[-2000:]}") from None


def _is_ready(node: NodeProcess) -> bool:
    assert node.process
    assert node.process.poll() is None, f"{node.name} ended: {node.log.read_text()[-2000:]}"
    try:
        return node.get("/readyz").status == 200
    except OSError:
        return False


def _end(made: World) -> None:
    for node in made.nodes:
        if node.process is not None and node.process.poll() is None:
            # A stopped process takes SIGKILL all the same.
            os.kill(node.process.pid, signal.SIGKILL)
            node.process.wait()
