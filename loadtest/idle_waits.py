"""What do waits cost that just go on? `python -m loadtest.idle_waits`.

Ten thousand requests wait for a thousand locks whose holders keep them, over three nodes. Once the leader knows of all,
nothing is to happen: no message of a node about its waits, no line read to find deadlocks. The processor time of the
nodes is taken with and without the waits; what it is spent on otherwise are heartbeats, reports, and one call a second
for each partition that keeps the places of a node alive.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from loadtest.processes import cpu_s
from tests.chaos.http_client import Connection
from tests.support import NodeProcess, cluster, redis_server, wait_until

CALL_S = 30.0
PATIENCE_S = 280
_OPENED_AT_ONCE = 200
_QUIET_S = 2.0


def _figure(node: NodeProcess, name: str) -> float:
    lines = node.get("/metrics").body.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def _sum(nodes: list[NodeProcess], name: str) -> int:
    return round(sum(_figure(node, name) for node in nodes))


def _spent(nodes: list[NodeProcess]) -> list[int]:
    return [_sum(nodes, name) for name in ("simpul_lock_tellings_total", "simpul_deadlock_lines_read_total")]


def _settled(nodes: list[NodeProcess]) -> list[int]:
    """Once all that were told are explored."""
    spent: list[int] = []
    while spent != (spent := _spent(nodes)):
        time.sleep(_QUIET_S)
    return spent


async def _hold(port: int, locks: int) -> None:
    client = Connection(port)
    for number in range(locks):
        body = {"resource": f"r{number}", "owner": f"h{number}", "ttl_ms": 600_000}
        await client.post("/lock/acquire", body, CALL_S)
    client.close()


async def _wait(port: int, number: int, locks: int) -> asyncio.StreamWriter:
    """The connection of a request that waits; nobody reads its answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"resource": f"r{number % locks}", "owner": f"w{number}", "timeout": PATIENCE_S}).encode()
    writer.write(b"POST /lock/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    return writer


def _used(nodes: list[NodeProcess], seconds: float) -> float:
    """Processor time of all nodes, in per cent of one core."""
    pids = [node.process.pid for node in nodes if node.process]
    before = sum(map(cpu_s, pids))
    time.sleep(seconds)
    return (sum(map(cpu_s, pids)) - before) / seconds * 100


async def _measure(nodes: list[NodeProcess], waits: int, locks: int, seconds: float) -> bool:
    idle = await asyncio.to_thread(_used, nodes, seconds)
    await _hold(nodes[0].port, locks)
    writers: list[asyncio.StreamWriter] = []
    for first in range(0, waits, _OPENED_AT_ONCE):
        numbers = range(first, min(waits, first + _OPENED_AT_ONCE))
        writers += await asyncio.gather(*(_wait(nodes[n % len(nodes)].port, n, locks) for n in numbers))
    try:
        for name, what in (("simpul_lock_waiters", "all to wait"), ("simpul_lock_waits_told", "all to be told")):
            await asyncio.to_thread(wait_until, lambda n=name: _sum(nodes, n) == waits, what, 60.0)
        before = await asyncio.to_thread(_settled, nodes)
        waiting = await asyncio.to_thread(_used, nodes, seconds)
        after = _spent(nodes)
    finally:
        for writer in writers:
            writer.transport.abort()
    print(f"{waits} waits for {locks} locks were told in {before[0]} messages, and {before[1]} lines were read.")
    print(f"In {seconds:g} s in which they went on: {after[0] - before[0]} messages, {after[1] - before[1]} lines.")
    print(f"Processor time of the three nodes: {idle:.1f} % of a core without waits, {waiting:.1f} % with them.")
    return before == after


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.idle_waits", description=__doc__)
    parser.add_argument("--waits", type=int, default=10_000)
    parser.add_argument("--locks", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-idle-waits-") as made:
        folder = Path(made)
        with redis_server(folder / "redis") as server, cluster(folder, server.url, SIMPUL_LOG_LEVEL="warning") as nodes:
            is_quiet = asyncio.run(_measure(nodes, asked.waits, asked.locks, asked.seconds))
    return 0 if is_quiet else 1


if __name__ == "__main__":
    sys.exit(main())
