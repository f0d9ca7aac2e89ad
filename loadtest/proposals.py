"""`python -m loadtest.proposals`: decisions a second on three nodes, and what 100 000 of them leave behind.

Each is a POST /cluster/settings with a request id of its own, committed by a majority and flushed by it before it is
answered. Before the load the idle cost of each node is measured.
"""

import argparse
import asyncio
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep

from loadtest.processes import cpu_s
from tests.cluster.raft_cluster import joined, state
from tests.support import NodeProcess, cluster, redis_server, wait_until

BAR = 40
_REQUESTS = re.compile(rb"^simpul_raft_requests(?:_received)?_total\{.*\} ([0-9.]+)$", re.MULTILINE)


@dataclass(slots=True)
class Load:
    """`left` requests to send; `took_s` of those answered."""

    total: int
    left: int
    took_s: list[float] = field(default_factory=list)
    failures: int = 0


async def client(url: str, name: int, load: Load) -> None:
    """One kept connection, one request at a time."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    while load.left > 0:
        load.left -= 1
        body = b'{"name":"snapshot_entries","value":4096,"request_id":"load-%d-%d"}' % (name, load.left)
        started = perf_counter()
        writer.write(b"POST /cluster/settings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length
        await reader.readexactly(int(length[1]))
        load.took_s.append(perf_counter() - started)
        if not head.startswith(b"HTTP/1.1 200"):
            load.failures += 1
    writer.close()


async def progress(load: Load) -> None:
    while True:
        done = len(load.took_s)
        print(f"\r[{'#' * (BAR * done // load.total):<{BAR}}] {done}/{load.total} ", end="", file=sys.stderr)
        await asyncio.sleep(0.5)


async def run_load(urls: list[str], total: int, connections: int) -> tuple[Load, float]:
    load = Load(total, total)
    showing = asyncio.create_task(progress(load))
    started = perf_counter()
    await asyncio.gather(*(client(urls[number % len(urls)], number, load) for number in range(connections)))
    took_s = perf_counter() - started
    showing.cancel()
    print(file=sys.stderr)
    return load, took_s


def rss_mib(node: NodeProcess) -> float:
    assert node.process
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def disk_mib(folder: Path, node: NodeProcess) -> float:
    return sum(file.stat().st_size for file in (folder / node.name).glob("raft-*")) / 2**20


def requests(node: NodeProcess) -> float:
    """Requests between nodes that this one has sent or answered."""
    return sum(map(float, _REQUESTS.findall(node.get("/metrics").body)))


def cpu_of(node: NodeProcess) -> float:
    assert node.process
    return cpu_s(node.process.pid)


def idle(nodes: list[NodeProcess], seconds: float) -> None:
    before = {node.name: (cpu_of(node), requests(node)) for node in nodes}
    sleep(seconds)
    for node in nodes:
        cpu_before, requests_before = before[node.name]
        cpu, rpcs = (cpu_of(node) - cpu_before) / seconds, (requests(node) - requests_before) / seconds
        print(f"idle {node.name} ({state(node)['role']}): {cpu:.1%} of a core, {rpcs:.1f} RPC/s sent and answered")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds")
    parser.add_argument("--spread", action="store_true", help="ask all three nodes instead of the leader")
    parser.add_argument("--folder", type=Path, help="where the nodes keep their data; a temporary folder by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name, redis_server(Path(name) / "redis") as server:
        folder = Path(name)
        with cluster(folder, server.url) as nodes:
            leader = joined(nodes)
            idle(nodes, asked.idle)
            before = {node.name: (rss_mib(node), cpu_of(node)) for node in nodes}
            urls = [node.url for node in nodes] if asked.spread else [leader.url]
            load, took_s = asyncio.run(run_load(urls, asked.count, asked.connections))
            ordered = sorted(load.took_s)
            p50, p99 = ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000
            print(
                f"{len(ordered)} decisions in {took_s:.1f} s: {len(ordered) / took_s:.0f}/s, "
                f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {load.failures} refused"
            )
            last = state(leader)["last_index"]
            wait_until(lambda: all(state(node)["applied_index"] >= last for node in nodes), "all to have them")
            for node in nodes:
                rss, cpu = before[node.name]
                print(
                    f"{node.name}: CPU {(cpu_of(node) - cpu) / took_s:.0%} of a core, memory {rss:.0f} -> "
                    f"{rss_mib(node):.0f} MiB, Raft files {disk_mib(folder, node):.1f} MiB, "
                    f"terms {state(node)['term']}"
                )


if __name__ == "__main__":
    main()
