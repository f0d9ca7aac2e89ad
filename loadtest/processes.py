"""What is measured: a Redis-compatible server, nodes and echoes, as child processes that end with us."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from service import child, embedded
from service.child import Child
from service.embedded import EmbeddedValkey

ROOT = Path(__file__).resolve().parent.parent
START_S = 15.0
STOP_GRACE_S = 8.0
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
    """CPU time a process has used, all its threads together; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def machine_busy_s() -> float:
    """CPU time used on the whole machine, by anybody."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / _TICKS_PER_S


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def valkey(folder: Path, appendfsync: str) -> AsyncIterator[EmbeddedValkey]:
    running = await embedded.start(folder, appendfsync=appendfsync)
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def node(folder: Path, redis_url: str, node_id: str = "n1", source: Path = ROOT) -> AsyncIterator[Served]:
    """A node with its default settings, run from `source` (a tree to compare with) if that is given."""
    port = free_port()
    settings = {
        "NODE_ID": node_id,
        "HTTP_PORT": str(port),
        "REDIS_URL": redis_url,
        "SIMPUL_DATA": str(folder / node_id),
        "SIMPUL_LOG_LEVEL": "warning",
    }
    async with _served(node_id, "-c", _NODE, port=port, ready="/readyz", source=source, **settings) as served:
        yield served


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
