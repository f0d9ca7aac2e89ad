"""What is measured: a Redis-compatible server, nodes and echoes, as child processes that end with us."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import clock_gettime, monotonic
from typing import NamedTuple

import httpx2

from service import child, embedded
from service.child import Child
from service.embedded import EmbeddedValkey
from tests.support import free_port, free_ports

ROOT = Path(__file__).resolve().parent.parent
START_S = 15.0
UP_S = 40.0
STOP_GRACE_S = 8.0
_PROCESS_CPU_CLOCK = 2
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_NODE = "import sys; from service import config, node; sys.exit(node.run(config.load()))"


class ServeError(Exception):
    """A process under measurement did not start; its last lines are on the screen."""


class Served:
    """A child process that answers HTTP."""

    def __init__(self, process: Child, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    @property
    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)


def cpu_s(pid: int) -> float:
    """CPU time that a running process has used, all its threads together. By the clock of clock_getcpuclockid(3), as
    Linux numbers it: /proc/pid/stat counts in steps of 10 ms."""
    return clock_gettime((~pid << 3) | _PROCESS_CPU_CLOCK)


def children_cpu_s() -> float:
    """CPU time of children that have ended."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine_busy_s() -> float:
    """CPU time used on the whole machine, by anybody."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / _TICKS_PER_S


class Others:
    """CPU time that went to neither us nor what we started: a figure taken on a busy machine should say so."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._began = monotonic()
        self._before_s = self._others_s()

    @property
    def cores(self) -> float:
        return max(0.0, self._others_s() - self._before_s) / (monotonic() - self._began)

    def _others_s(self) -> float:
        return machine_busy_s() - children_cpu_s() - sum(map(cpu_s, self._pids))


def cpu_ns(pid: int) -> int:
    """CPU time that the living threads of a process have used; exact, where `cpu_s` counts in steps."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


def wake_ups(pid: int) -> int:
    """How often the threads of a process have gone to sleep, and so been woken."""
    return sum(
        int(line.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


@asynccontextmanager
async def valkey(folder: Path, appendfsync: str) -> AsyncIterator[EmbeddedValkey]:
    running = await embedded.start(folder, appendfsync=appendfsync)
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def node(folder: Path, redis_url: str, node_id: str = "n1", source: Path = ROOT) -> AsyncIterator[Served]:
    """A node with its default settings, run from `source` (a tree to compare with) if that is given: -P, or the current
    folder would come before it."""
    port = free_port()
    settings = {
        "NODE_ID": node_id,
        "HTTP_PORT": str(port),
        "REDIS_URL": redis_url,
        "SIMPUL_DATA": str(folder / node_id),
        "SIMPUL_LOG_LEVEL": "warning",
    }
    async with _served(node_id, "-P", "-c", _NODE, port=port, ready="/readyz", source=source, **settings) as served:
        yield served


class Up(NamedTuple):
    """A running `simpul up`: its processes by name (`valkey`, `n1`, ...), and where its nodes answer."""

    pids: dict[str, int]
    urls: dict[str, str]


@asynccontextmanager
async def up(folder: Path, nodes: int = 3) -> AsyncIterator[Up]:
    """The development cluster under its own launcher, with default settings."""
    ports = free_ports(nodes)
    command = (sys.executable, "-P", "-m", "service.cli", "up", "--nodes", str(nodes), "--port", str(ports[0]))
    ours = {key: value for key, value in os.environ.items() if not key.startswith("SIMPUL_")}
    ready = asyncio.Event()
    launcher = await child.start(
        "simpul up",
        (*command, "--metrics-port", "0", "--data", str(folder)),
        env={**ours, "PYTHONPATH": str(ROOT)},
        on_line=lambda line: ready.set() if "Simpul is ready" in line else None,
    )
    try:
        try:
            await asyncio.wait_for(ready.wait(), UP_S)
        except TimeoutError:
            raise ServeError("simpul up was not ready in time: " + " | ".join(launcher.tail)) from None
        urls = {f"n{number}": f"http://127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
        yield Up(_named_children(launcher.pid), urls)
    finally:
        await launcher.stop(STOP_GRACE_S)


def _named_children(pid: int) -> dict[str, int]:
    found = {}
    for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        environment = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
        names = [entry.removeprefix(b"NODE_ID=").decode() for entry in environment if entry.startswith(b"NODE_ID=")]
        found[names[0] if names else "valkey"] = int(number)
    return dict(sorted(found.items()))


@asynccontextmanager
async def echo(kind: str) -> AsyncIterator[Served]:
    port = free_port()
    async with _served(f"{kind} echo", "-m", "loadtest.echo", kind, str(port), port=port, ready="/echo") as served:
        yield served


@asynccontextmanager
async def _served(
    name: str, *arguments: str, port: int, ready: str, source: Path = ROOT, **settings: str
) -> AsyncIterator[Served]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("SIMPUL_")}
    env = {**ours, **settings, "PYTHONPATH": str(source)}
    running = await child.start(
        name, (sys.executable, *arguments), env=env, on_line=lambda line: print(f"{name}: {line}")
    )
    try:
        served = Served(running, port)
        try:
            await _until_answers(served, ready)
        except TimeoutError:
            raise ServeError(f"{name} did not answer {ready} within {START_S:g} s") from None
        yield served
    finally:
        await running.stop(STOP_GRACE_S)


async def _until_answers(served: Served, path: str) -> None:
    async with asyncio.timeout(START_S), httpx2.AsyncClient() as client:
        while served.process.exit_code is None:
            try:
                if (await client.get(served.url + path)).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise ServeError(f"{served.process.name} {child.how_it_ended(served.process.exit_code or 0)}")
