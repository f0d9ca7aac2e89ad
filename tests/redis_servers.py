"""Sentinels, replicas and clusters from real server processes on free ports."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.keys import Partition
from service.store.cluster_map import slot_of
from tests.support import RedisServer, free_port, server_binaries, wait_until

SERVICE = "mymaster"
DOWN_AFTER_MS = 400
NODE_TIMEOUT_MS = 800
FLAVOURS = ("redis-7", "valkey-9")
_SLOTS = 16384


def require(flavour: str) -> str:
    if flavour not in server_binaries():
        pytest.skip(f"no {flavour} server on this machine (see README, Development)")
    return flavour


def ask(server: RedisServer, *parts: Any) -> Any:
    """One command to one server; except INFO, replies are as they come, for the words of a command are apart."""
    with server.client() as client:
        return client.execute_command(*parts)


def _is_in_step(replica: RedisServer) -> bool:
    return bool(ask(replica, "INFO", "replication").get("master_link_status") == "up")


class SentinelServer(RedisServer):
    """A sentinel; it keeps what it knows in a file of its own."""

    def __init__(self, folder: Path, flavour: str, primary: RedisServer, quorum: int) -> None:
        super().__init__(folder, flavour)
        folder.mkdir(parents=True)
        self._file = folder / "sentinel.conf"
        self._file.write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} {quorum}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )

    def command(self, *options: str) -> list[str]:
        files = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [self.binary, str(self._file), "--sentinel", *files, *options]


class Watched:
    """A primary, a replica and three sentinels that agree about them."""

    def __init__(self, folder: Path, flavour: str) -> None:
        options = ("--repl-diskless-sync-delay", "0")
        self.primary = RedisServer(folder / "a", flavour, *options)
        self.replica = RedisServer(folder / "b", flavour, *options, "--replicaof", f"127.0.0.1 {self.primary.port}")
        self.sentinels = [SentinelServer(folder / f"s{number}", flavour, self.primary, 2) for number in range(3)]
        self.servers = [self.primary, self.replica, *self.sentinels]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/{SERVICE}"

    def is_settled(self) -> bool:
        """Every sentinel knows the replica and the other two."""
        for sentinel in self.sentinels:
            flat = ask(sentinel, "SENTINEL", "MASTER", SERVICE)
            known = dict(zip(flat[::2], flat[1::2], strict=True))
            if (known[b"num-other-sentinels"], known[b"num-slaves"], known[b"flags"]) != (b"2", b"1", b"master"):
                return False
        return True


@contextmanager
def watched(folder: Path, flavour: str) -> Iterator[Watched]:
    made = Watched(folder, require(flavour))
    with ExitStack() as stack:
        for server in made.servers:
            stack.callback(server.kill)
            server.start()
            if server is made.replica:
                # Sentinels ask for replicas when they meet the primary, and then again after 10 s.
                wait_until(partial(_is_in_step, server), "the replica to be in step")
        wait_until(made.is_settled, "the sentinels to know each other and the replica")
        yield made


class RedisCluster:
    """Three primaries with a third of the slots each, `replicas` of each of them, and `empty` ones without slots."""

    def __init__(
        self,
        folder: Path,
        flavour: str,
        *,
        replicas: int = 0,
        empty: int = 0,
        full_coverage: str = "yes",
        options: tuple[str, ...] = (),
        with_tls: bool = False,
    ) -> None:
        """`with_tls`: every server listens on a port of its own for TLS too, with the files that `options` name."""
        primaries = 3
        options += ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS))
        options += ("--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0")
        options += ("--cluster-require-full-coverage", full_coverage)
        self.servers = []
        self.tls_ports = []
        for number in range(primaries * (1 + replicas) + empty):
            own = ["--cluster-port", str(free_port())]
            if with_tls:
                self.tls_ports.append(free_port())
                own += ["--tls-port", str(self.tls_ports[-1])]
            self.servers.append(RedisServer(folder / f"c{number}", flavour, *options, *own))
        self.primaries = self.servers[:primaries]
        self.replicas = self.servers[primaries : primaries * (1 + replicas)]
        self.empty = self.servers[primaries * (1 + replicas) :]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in self.primaries)}"

    def form(self) -> None:
        share = _SLOTS // len(self.primaries) + 1
        for number, server in enumerate(self.primaries):
            first, last = number * share, min((number + 1) * share, _SLOTS) - 1
            ask(server, "CLUSTER", "ADDSLOTSRANGE", first, last)
            ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        self._join()
        for number, server in enumerate(self.replicas):
            ask(server, "CLUSTER", "REPLICATE", self.id_of(self.primaries[number % len(self.primaries)]))
        wait_until(self.is_settled, "the cluster to be whole")

    def _join(self) -> None:
        first, *others = self.servers
        size = str(len(self.servers))
        introduced_at = -math.inf

        def know_each_other() -> bool:
            nonlocal introduced_at
            # A handshake that is not over within the timeout of the nodes is forgotten, and nobody begins it again.
            if time.monotonic() - introduced_at > NODE_TIMEOUT_MS / 1000:
                introduced_at = time.monotonic()
                self._introduce(first, others)
            return all(_info(one)["cluster_known_nodes"] == size for one in self.servers)

        wait_until(know_each_other, "the nodes to know each other")

    def _introduce(self, first: RedisServer, others: list[RedisServer]) -> None:
        """Those that it does not know yet."""
        known = ask(first, "CLUSTER", "NODES").decode()
        for server in others:
            if self.id_of(server) not in known:
                bus = ask(server, "CONFIG", "GET", "cluster-port")[1]
                ask(first, "CLUSTER", "MEET", "127.0.0.1", server.port, bus)

    def is_settled(self) -> bool:
        if any(_info(server)["cluster_state"] != "ok" for server in self.servers):
            return False
        return all(_is_in_step(replica) for replica in self.replicas)

    def id_of(self, server: RedisServer) -> str:
        return str(ask(server, "CLUSTER", "MYID").decode())

    def replica_of(self, primary: RedisServer) -> RedisServer:
        return self.replicas[self.primaries.index(primary)]

    def owner_of(self, partition: Partition, default: RedisServer | None = None) -> RedisServer:
        """By what the servers say of themselves; `default` when none of them does."""
        for server in self.servers:
            if server.process is not None and _owns(server, slot_of(partition)):
                return server
        assert default is not None, f"nobody owns partition {partition.number}"
        return default

    def migrate(
        self, partition: Partition, target: RedisServer, before_end: Callable[[], object] = lambda: None
    ) -> None:
        """Move a slot as `redis-cli --cluster reshard` does: keys one by one, then the ownership.

        `before_end` runs when the keys are over there and the slot is not.
        """
        slot, source = slot_of(partition), self.owner_of(partition)
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 10):
            for key in keys:
                ask(source, "MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        before_end()
        for server in (
            target,
            source,
            *(other for other in (*self.primaries, *self.empty) if other not in (target, source)),
        ):
            ask(server, "CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))


def _info(server: RedisServer) -> dict[str, str]:
    lines = ask(server, "CLUSTER", "INFO").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if line)


def _owns(server: RedisServer, slot: int) -> bool:
    lines = ask(server, "CLUSTER", "NODES").decode().splitlines()
    mine = next(line.split() for line in lines if "myself" in line)
    ranges = [word.split("-") for word in mine[8:] if not word.startswith("[")]
    return any(int(one[0]) <= slot <= int(one[-1]) for one in ranges)


@contextmanager
def redis_cluster(folder: Path, flavour: str, **kind: Any) -> Iterator[RedisCluster]:
    made = RedisCluster(folder, require(flavour), **kind)
    with ExitStack() as stack:
        for server in made.servers:
            stack.callback(server.kill)
            server.start()
        made.form()
        yield made
