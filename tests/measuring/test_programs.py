"""Each program that measures runs to its end in its smallest size, and prints what the documentation shows of it.

Not those that take longer than seconds, nor those that need other programs (wrk, redis-benchmark, etcd, valgrind).
"""

import subprocess
import sys

import pytest

from tests.support import ROOT

MOST_S = 120.0
SMALLEST = {
    "groups --rounds 1 --messages 3": "| a message finished | ms |",
    "mget --rounds 1 --calls 3": "| 100 keys | p50 ms |",
    "queue_batches --messages 200 --batch 50 --rounds 1 --appendfsync everysec": "| published | everysec |",
    "queue_latency --messages 20": "publish to delivery: p50",
    "queue_duties --rounds 2": "a delay ends: p50",
    "queue_scaling --lengths 100 1000": "| messages ready | publish us |",
    "invalidation_lag --rate 100 --seconds 2": "lag to the other nodes",
    "hand_off --waiters 4 --rounds 1": "p50",
    "expiry --rounds 2": "after the lease's end",
    "several --rounds 1 --pairs 3 --clients 2 --moves 3": "ratio",
    "lock_fairness --readers 2 --writers 2 --seconds 1": "| evenness |",
    "lock_scaling --turns 1": "lock.release",
}


@pytest.mark.parametrize("command", SMALLEST)
def test_it_measures(command: str) -> None:
    program, *options = command.split()
    ran = subprocess.run(
        [sys.executable, "-m", f"loadtest.{program}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MOST_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert SMALLEST[command] in ran.stdout
