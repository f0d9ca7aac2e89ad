"""`python -m tests.raft.failover --kills 30`: how long the cluster cannot decide when its leader dies or leaves.

Three real nodes with default settings. A kill is measured from SIGKILL to the answer of a decision asked of a
survivor at that moment; a transfer from SIGTERM to a survivor that names another leader.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.raft_cluster import decide, ended, joined, kill, others, state
from tests.support import NodeProcess, cluster, redis_server, wait_until

BUCKET_S = 0.25
BAR = 40


def after_kill(nodes: list[NodeProcess], value: int) -> float:
    leader = joined(nodes)
    started = time.perf_counter()
    kill(leader)
    answer = decide(others(nodes, leader)[value % 2], value)
    took_s = time.perf_counter() - started
    assert answer.status == 200, answer
    leader.start()
    return took_s


def after_sigterm(nodes: list[NodeProcess], _: int) -> float:
    leader = joined(nodes)
    rest = others(nodes, leader)
    assert leader.process
    started = time.perf_counter()
    leader.process.terminate()
    wait_until(lambda: state(rest[0])["leader"] in {node.url for node in rest}, "the next leader")
    took_s = time.perf_counter() - started
    assert ended(leader) == 0
    leader.start()
    return took_s


def repeat(what: str, times: int, once: Callable[[list[NodeProcess], int], float], nodes: list[NodeProcess]) -> None:
    took = []
    for number in range(times):
        took.append(once(nodes, 1000 + number))
        filled = "#" * (BAR * (number + 1) // times)
        print(f"\r{what} [{filled:<{BAR}}] {number + 1}/{times}  last {took[-1]:.2f} s ", end="", file=sys.stderr)
    print(file=sys.stderr)
    report(what, took)


def report(what: str, took: list[float]) -> None:
    ordered = sorted(took)
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(
        f"\n{what}, {len(took)} times: p50 {p50:.3f} s, p99 {p99:.3f} s, least {ordered[0]:.3f}, most {ordered[-1]:.3f}"
    )
    width = BUCKET_S if ordered[-1] > 4 * BUCKET_S else 0.02
    for bucket in range(int(ordered[0] / width), int(ordered[-1] / width) + 1):
        count = sum(bucket * width <= one < (bucket + 1) * width for one in took)
        print(f"  {bucket * width:5.2f}-{(bucket + 1) * width:5.2f} s  {'#' * count} {count}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--transfers", type=int, default=10)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder) / "redis") as server,
        cluster(Path(folder), server.url) as nodes,
    ):
        repeat("kill -9 of the leader to the next decision", asked.kills, after_kill, nodes)
        repeat("SIGTERM of the leader to the next leader", asked.transfers, after_sigterm, nodes)


if __name__ == "__main__":
    main()
