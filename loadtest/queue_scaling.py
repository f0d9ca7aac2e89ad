"""What an operation costs as a topic grows, and what a message takes in memory: `python -m loadtest.queue_scaling`.

On one Redis, without HTTP: the scripts are called as a node calls them, in a topic with more and more messages ready.
For each length it prints the CPU time of the server for a publish and for a consume with its ack, and the bytes that a
message takes over its payload, from INFO and over all keys. Beside them stand the bare commands that store and remove
one message in a hash and a list of the same length: what they pay for a larger memory, nothing above them can save.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import redis

from loadtest import processes
from loadtest.cost_pairs import PAYLOAD, Setting
from service.embedded import EmbeddedError
from service.store.bundle import shipped

BATCH = 1_000
CALLS = 20_000
TARGET_BYTES = 200


class Cost(NamedTuple):
    messages: int
    publish_us: float
    take_us: float
    """A consume of one message and its ack."""
    bare_us: float
    """HSETNX, RPUSH, LPOP, HGET and HDEL."""
    bytes_each: float


def _fill(setting: Setting, first: int, count: int, options: bytes) -> None:
    for start in range(first, first + count, BATCH):
        names = [f"abcdefghijklmnop-{number}" for number in range(start, start + BATCH)]
        call = setting.call("queue.publish", "t", all_keys=bool(options), options=options, id=names[0])
        setting.execute(*call, *(part for name in names[1:] for part in (name, "0", PAYLOAD)))


def _publish(setting: Setting, pid: int, first: int) -> float:
    commands = (setting.call("queue.publish", "t", id=f"one-{number}") for number in range(first, first + CALLS))
    return _cpu_us(setting, pid, commands)


def _take(setting: Setting, pid: int) -> float:
    """Consume one, and acknowledge it by id, so many times."""
    consumes = [setting.call("queue.consume", "t")] * CALLS
    before = processes.cpu_s(pid)
    answers: list[Any] = []
    for start in range(0, CALLS, BATCH):
        pipeline = setting.client.pipeline(transaction=False)
        for command in consumes[start : start + BATCH]:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        answers += pipeline.execute()
    acks = (setting.call("queue.ack", "t", id=answer[1]) for answer in answers)
    setting.all(acks)
    return (processes.cpu_s(pid) - before) / CALLS * 1e6


def _bare(setting: Setting, pid: int, first: int) -> float:
    """On a hash and a list as long as the topic's, which stay as they are."""
    names = [f"bare-{number}" for number in range(first, first + CALLS)]
    stored = [[b"HSETNX", b"hash", name.encode(), PAYLOAD] for name in names]
    listed = [[b"RPUSH", b"list", name.encode()] for name in names]
    read = [[b"HGET", b"hash", name.encode()] for name in names]
    removed = [[b"HDEL", b"hash", name.encode()] for name in names]
    return _cpu_us(setting, pid, iter([*stored, *listed, *[[b"LPOP", b"list"]] * CALLS, *read, *removed]))


def _fill_bare(setting: Setting, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        names = [f"abcdefghijklmnop-{number}".encode() for number in range(start, start + BATCH)]
        pairs = [part for name in names for part in (name, PAYLOAD)]
        setting.all(iter([[b"HSET", b"hash", *pairs], [b"RPUSH", b"list", *names]]))


def _cpu_us(setting: Setting, pid: int, commands: Any) -> float:
    before = processes.cpu_s(pid)
    setting.all(commands)
    return (processes.cpu_s(pid) - before) / CALLS * 1e6


def measure(client: "redis.Redis", pid: int, lengths: list[int]) -> list[Cost]:
    setting = Setting(client, shipped(), "scaling", CALLS)
    # From the first delivery on it is known when something is due.
    setting.execute(*setting.call("queue.publish", "t", id="first"))
    setting.execute(*setting.call("queue.consume", "t", all_keys=True))
    found: list[Cost] = []
    filled, empty_bytes = 0, int(client.info("memory")["used_memory"])
    for length in lengths:
        _fill(setting, filled, length - filled, b"")
        filled = length
        each = (int(client.info("memory")["used_memory"]) - empty_bytes) / length - len(PAYLOAD)
        found.append(Cost(length, _publish(setting, pid, length * 10), _take(setting, pid), 0.0, each))
    client.flushall()
    filled = 0
    for place, one in enumerate(found):
        _fill_bare(setting, filled, one.messages - filled)
        filled = one.messages
        found[place] = one._replace(bare_us=_bare(setting, pid, filled * 10))
    return found


async def run(options: argparse.Namespace) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="simpul-scaling-") as made:
        async with processes.valkey(Path(made), "no") as server:
            with redis.Redis(port=server.port, protocol=2) as client:
                return await asyncio.to_thread(measure, client, server.child.pid, options.lengths)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.queue_scaling", description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    try:
        costs = asyncio.run(run(options))
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1
    most = max(one.publish_us + one.take_us for one in costs)
    print("| messages ready | publish us | consume + ack us | | bare us | bytes over the payload |")
    print("|---:|---:|---:|---|---:|---:|")
    for one in costs:
        whole = one.publish_us + one.take_us
        bar = "#" * round(30 * whole / most)
        print(
            f"| {one.messages:,} | {one.publish_us:.1f} | {one.take_us:.1f} | {bar} | {one.bare_us:.1f} "
            f"| {one.bytes_each:.0f} |"
        )
    if costs[-1].bytes_each > TARGET_BYTES:
        print(f"MISSED: a message takes more than {TARGET_BYTES} bytes over its payload")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
