"""What a cluster costs in which nothing happens: `python -m loadtest.idle`.

Three nodes and Valkey under `simpul up`, as anybody starts them. With `--waiters`, measured a second time while so many
requests wait for `--locks` locks, through the three nodes in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import sys
import tempfile
import urllib.request
from asyncio import StreamReader, StreamWriter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import redis

from loadtest import processes
from loadtest.processes import ServeError, Up
from service.limits import LOCK_WAIT_S_MAX
from service.up import URL_FILE
from tests.support import eventually

SETTLE_S = 5.0
"""After the start, and after the last waiter has come."""
PARK_S = 120.0
PARK_AT_ONCE = 64
LEASE_MS = 3_600_000
SPARE_FILES = 500
_REQUESTS = re.compile(r"^simpul_raft_requests(?:_received)?_total\{.*\} ([0-9.]+)$", re.MULTILINE)
_LEADS = re.compile(r"^simpul_raft_role 3\.0$", re.MULTILINE)
_PARKED = re.compile(r"^simpul_lock_waiters ([0-9.]+)$", re.MULTILINE)


class Used(NamedTuple):
    """What a process has used since it began, or in a second."""

    cpu_s: float
    wake_ups: float


def _page(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - one of our own nodes
        return str(answer.read(), "utf-8")


def _used(up: Up) -> dict[str, Used]:
    return {name: Used(processes.cpu_ns(pid) / 1e9, processes.wake_ups(pid)) for name, pid in up.pids.items()}


def _asked(up: Up, client: redis.Redis) -> dict[str, float]:
    """By process: requests between nodes, sent and answered; of Valkey, the commands it has performed."""
    of_nodes = {name: sum(map(float, _REQUESTS.findall(_page(url)))) for name, url in up.urls.items()}
    return {**of_nodes, "valkey": float(client.info("stats")["total_commands_processed"])}


async def measure(up: Up, client: redis.Redis, seconds: float) -> dict[str, Used]:
    """Prints what each process does in a second, and returns it."""
    await asyncio.sleep(SETTLE_S)
    # To read a node's counters costs it milliseconds: they are read outside of the time that is measured.
    asked, used = _asked(up, client), _used(up)
    machine_s, own_s = processes.machine_busy_s(), processes.cpu_s(os.getpid())
    await asyncio.sleep(seconds)
    others_s = processes.machine_busy_s() - machine_s - (processes.cpu_s(os.getpid()) - own_s)
    used_after, asked_after = _used(up), _asked(up, client)
    rates = {
        name: Used(*((now - then) / seconds for now, then in zip(used_after[name], used[name], strict=True)))
        for name in up.pids
    }
    for name, rate in rates.items():
        role = "" if name == "valkey" else " leads" if _LEADS.search(_page(up.urls[name])) else " follows"
        per_second = (asked_after[name] - asked[name]) / seconds
        what = "commands" if name == "valkey" else "requests between nodes"
        print(
            f"  {name + role:<10} {rate.cpu_s:6.2%} of a core, {rate.wake_ups:5.1f} wake-ups/s, "
            f"{per_second:5.1f} {what}/s"
        )
    together = sum(rate.cpu_s for rate in rates.values())
    others = max(0.0, others_s / seconds - together)
    print(f"  together   {together:6.2%}; other programs used {others:.1%} of a core meanwhile", flush=True)
    return rates


async def _post(url: str, fields: dict[str, object]) -> tuple[StreamReader, StreamWriter]:
    """Sent, and not yet answered."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(fields).encode()
    writer.write(b"POST /lock/acquire HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    return reader, writer


def _abort(_: StreamReader, writer: StreamWriter) -> None:
    """Kept until then: a connection whose reader nobody has is closed by asyncio."""
    writer.transport.abort()


async def park(up: Up, waiters: int, locks: int, parked: ExitStack) -> None:
    """So many requests wait, until `parked` is left. Raises ServeError."""
    urls, gate = list(up.urls.values()), asyncio.Semaphore(PARK_AT_ONCE)

    async def hold(number: int) -> None:
        async with gate:
            lease = {"resource": f"r{number}", "owner": "holder", "ttl_ms": LEASE_MS}
            reader, writer = await _post(urls[number % len(urls)], lease)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ServeError(f"r{number} cannot be held: {await reader.read(1000)!r}")
            writer.close()

    async def wait(number: int) -> None:
        async with gate:
            wanted = {"resource": f"r{number % locks}", "owner": f"w{number}", "timeout": LOCK_WAIT_S_MAX}
            reader, writer = await _post(urls[number % len(urls)], wanted)
            parked.callback(_abort, reader, writer)

    await asyncio.gather(*map(hold, range(locks)))
    await asyncio.gather(*map(wait, range(waiters)))

    async def is_complete() -> bool:
        return _count_parked(up) == waiters

    await eventually(is_complete, f"{waiters} requests to wait", PARK_S)


def _count_parked(up: Up) -> int:
    return sum(int(float(number)) for url in up.urls.values() for number in _PARKED.findall(_page(url)))


async def run(seconds: float, waiters: int, locks: int) -> None:
    with tempfile.TemporaryDirectory(prefix="simpul-idle-") as made, ExitStack() as parked:
        folder = Path(made)
        async with processes.up(folder) as up:
            client = parked.enter_context(redis.Redis.from_url((folder / URL_FILE).read_text().strip(), protocol=2))
            print(f"nothing happens, for {seconds:g} s:")
            idle = await measure(up, client, seconds)
            if not waiters:
                return
            await park(up, waiters, locks, parked)
            print(f"{waiters} requests wait for {locks} locks, for {seconds:g} s:")
            waiting = await measure(up, client, seconds)
            if (still := _count_parked(up)) != waiters:
                raise ServeError(f"only {still} of {waiters} requests still wait")
            more = sum(waiting[name].cpu_s - idle[name].cpu_s for name in up.pids)
            print(f"  the waiters cost {more:.2%} of a core")


def _allow_files(wanted: int) -> None:
    """Raises ServeError. What the nodes may open they inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ServeError(f"{wanted} open files are needed and this user may have {hard}: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    parser.add_argument("--waiters", type=int, default=0)
    parser.add_argument("--locks", type=int, default=1000)
    asked = parser.parse_args()
    try:
        _allow_files(asked.waiters + SPARE_FILES)
        asyncio.run(run(asked.seconds, asked.waiters, asked.locks))
    except ServeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
