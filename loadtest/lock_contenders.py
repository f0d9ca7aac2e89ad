"""The locks that are compared: how each is started, and how a client takes it (see lock_comparison)."""

from __future__ import annotations

import asyncio
import functools
import importlib
import shutil
import subprocess
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import redis

from tests.chaos.http_client import Connection
from tests.support import NodeProcess, cluster, free_port, redis_server, wait_until

WAIT_S = 60
LEASE_S = 30


class Missing(Exception):
    """What this lock needs is not installed."""


class Client(ABC):
    """One party. It asks for one lock, over one connection of its own."""

    @abstractmethod
    async def acquire(self) -> None: ...

    @abstractmethod
    async def release(self) -> None: ...


class Contender(ABC):
    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def running(cls, folder: Path) -> AbstractAsyncContextManager[Contender]:
        """Started, and stopped afterwards. Raises Missing."""

    @abstractmethod
    def client(self, number: int, resource: str) -> AbstractAsyncContextManager[Client]: ...


async def _post(http: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await http.post(path, body, WAIT_S + 10)
    if reply.status != 200:
        raise RuntimeError(f"{path} {body} was answered {reply}")
    return reply.body


# Simpul


class _SimpulClient(Client):
    def __init__(self, http: Connection, body: dict[str, Any]) -> None:
        self._http, self._body = http, body

    async def acquire(self) -> None:
        await _post(self._http, "/lock/acquire", {**self._body, "timeout": WAIT_S, "ttl_ms": LEASE_S * 1000})

    async def release(self) -> None:
        await _post(self._http, "/lock/release", self._body)


class Simpul(Contender):
    name = "Simpul, three nodes"

    def __init__(self, nodes: list[NodeProcess]) -> None:
        self._nodes = nodes

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Contender]:
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            yield cls(nodes)

    @asynccontextmanager
    async def client(self, number: int, resource: str) -> AsyncIterator[Client]:
        http = Connection(self._nodes[number % len(self._nodes)].port)
        try:
            yield _SimpulClient(http, {"resource": resource, "owner": f"c{number}"})
        finally:
            http.close()


# etcd


def _coded(text: str) -> str:
    return b64encode(text.encode()).decode()


class _EtcdClient(Client):
    def __init__(self, http: Connection, resource: str, lease: str) -> None:
        self._http, self._resource, self._lease = http, resource, lease
        self._key = ""

    async def acquire(self) -> None:
        body = {"name": _coded(self._resource), "lease": self._lease}
        self._key = (await _post(self._http, "/v3/lock/lock", body))["key"]

    async def release(self) -> None:
        await _post(self._http, "/v3/lock/unlock", {"key": self._key})


class Etcd(Contender):
    name = "etcd, three members"
    MEMBERS = 3

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Contender]:
        if not shutil.which("etcd"):
            raise Missing("etcd (Debian: etcd-server)")
        ports = [free_port() for _ in range(cls.MEMBERS)]
        with _etcd_members(folder, ports):
            await asyncio.to_thread(wait_until, lambda: all(map(_is_healthy, ports)), "etcd to elect a leader", 30)
            yield cls(ports)

    @asynccontextmanager
    async def client(self, number: int, resource: str) -> AsyncIterator[Client]:
        http = Connection(self._ports[number % len(self._ports)])
        try:
            lease = await _post(http, "/v3/lease/grant", {"TTL": WAIT_S + LEASE_S})
            yield _EtcdClient(http, resource, lease["ID"])
        finally:
            http.close()


@contextmanager
def _etcd_members(folder: Path, ports: list[int]) -> Iterator[None]:
    peers = [free_port() for _ in ports]
    initial = ",".join(f"e{at}=http://127.0.0.1:{peer}" for at, peer in enumerate(peers))
    started = []
    try:
        for at, (port, peer) in enumerate(zip(ports, peers, strict=True)):
            client_url, peer_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
            options = {
                "name": f"e{at}",
                "data-dir": folder / f"e{at}",
                "listen-client-urls": client_url,
                "advertise-client-urls": client_url,
                "listen-peer-urls": peer_url,
                "initial-advertise-peer-urls": peer_url,
                "initial-cluster": initial,
                "log-level": "error",
            }
            command = ["etcd", *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
            with (folder / f"e{at}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=log))
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def _is_healthy(port: int) -> bool:
    async def ask() -> bool:
        http = Connection(port)
        try:
            return bool((await http.post("/v3/maintenance/status", {}, 2)).body.get("leader"))
        finally:
            http.close()

    with suppress(Exception):
        return asyncio.run(ask())
    return False


# Straight on Redis, from threads


class _ThreadClient(Client):
    def __init__(self, lock: Any, pool: ThreadPoolExecutor) -> None:
        self._lock = lock
        self._call = functools.partial(asyncio.get_running_loop().run_in_executor, pool)

    async def acquire(self) -> None:
        if not await self._call(self._lock.acquire):
            raise RuntimeError("the lock was not granted in time")

    async def release(self) -> None:
        await self._call(self._lock.release)


class OnRedis(Contender):
    """A library that talks to Redis itself; one connection and one thread a client."""

    def __init__(self, url: str) -> None:
        self._url = url

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Contender]:
        with redis_server(folder / "redis") as server:
            yield cls(server.url)

    @asynccontextmanager
    async def client(self, number: int, resource: str) -> AsyncIterator[Client]:
        with redis.Redis.from_url(self._url) as connection, ThreadPoolExecutor(1) as pool:
            yield _ThreadClient(self.lock(connection, resource, f"c{number}"), pool)

    @abstractmethod
    def lock(self, connection: redis.Redis, resource: str, owner: str) -> Any: ...


class PythonRedisLock(OnRedis):
    name = "python-redis-lock"

    def lock(self, connection: redis.Redis, resource: str, owner: str) -> Any:
        try:
            library = importlib.import_module("redis_lock")
        except ImportError as error:
            raise Missing("python-redis-lock (PyPI)") from error
        return library.Lock(connection, resource, id=owner, expire=LEASE_S)


class RedisPyLock(OnRedis):
    name = "redis-py Lock"

    def lock(self, connection: redis.Redis, resource: str, owner: str) -> Any:
        # thread_local off: a client's calls come from its own thread anyhow.
        return connection.lock(resource, timeout=LEASE_S, blocking_timeout=WAIT_S, thread_local=False)


CONTENDERS: tuple[type[Contender], ...] = (Simpul, Etcd, PythonRedisLock, RedisPyLock)
