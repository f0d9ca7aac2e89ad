"""What `appendfsync always` costs against `everysec`, on the embedded Valkey: python -m loadtest.durability [FOLDER]

Both servers run side by side on one disk and take turns, so that a slow minute of the machine falls on both;
the ratios of one run are what counts. Needs redis-benchmark (Debian: redis-tools).
"""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from service import embedded

REPEATS = 3
CLIENTS = 32
REQUESTS = {1: 40_000, 32: 400_000}
SCRIPT = "return redis.call('SET', KEYS[1], ARGV[1])"
VALUE = "x" * 100


async def main() -> None:
    if shutil.which("redis-benchmark") is None:
        sys.exit("redis-benchmark is not installed (Debian: apt-get install redis-tools)")
    on_disk = sys.argv[1] if sys.argv[1:] else None
    with tempfile.TemporaryDirectory(prefix="simpul-durability-", dir=on_disk) as folder:
        servers: dict[str, embedded.EmbeddedValkey] = {}
        try:
            for policy in embedded.FSYNC_POLICIES:
                servers[policy] = await embedded.start(Path(folder) / policy, appendfsync=policy)
            compare(servers)
        finally:
            for server in servers.values():
                await server.stop()


def compare(servers: dict[str, embedded.EmbeddedValkey]) -> None:
    print(f"{CLIENTS} connections, {REPEATS} repeats, medians\n")
    print("| call | pipeline | everysec req/s | always req/s | ratio | everysec p50/p99 ms | always p50/p99 ms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for call in ("SET", "EVALSHA"):
        for pipeline in REQUESTS:
            runs = [
                {policy: measure(server.port, call, pipeline) for policy, server in servers.items()}
                for _ in range(REPEATS)
            ]
            rate = {policy: median(run[policy][0] for run in runs) for policy in servers}
            shown = {
                policy: "/".join(f"{median(run[policy][column] for run in runs):.2f}" for column in (1, 2))
                for policy in servers
            }
            print(
                f"| {call} | {pipeline} | {rate['everysec']:,.0f} | {rate['always']:,.0f} "
                f"| {rate['always'] / rate['everysec']:.2f} | {shown['everysec']} | {shown['always']} |",
                flush=True,
            )


def measure(port: int, call: str, pipeline: int) -> tuple[float, float, float]:
    """Requests per second, and the median and 99th percentile of latency in ms."""
    command = ["redis-benchmark", "-p", str(port), "-c", str(CLIENTS), "-P", str(pipeline), "-r", "100000"]
    command += ["-n", str(REQUESTS[pipeline]), "--csv"]
    if call == "SET":
        command += ["SET", "key:__rand_int__", VALUE]
    else:
        command += ["EVALSHA", load(port), "1", "key:__rand_int__", VALUE]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # "test","rps","avg","min","p50","p95","p99","max"; the name of the test may hold commas of its own.
    row = re.findall(r'"([\d.]+)"', said.splitlines()[-1])[-7:]
    return float(row[0]), float(row[3]), float(row[5])


def load(port: int) -> str:
    said = subprocess.run(
        ["redis-cli", "-p", str(port), "SCRIPT", "LOAD", SCRIPT], capture_output=True, text=True, check=True
    ).stdout
    return said.strip()


if __name__ == "__main__":
    asyncio.run(main())
