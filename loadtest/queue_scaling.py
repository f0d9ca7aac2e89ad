"""What an operation costs as a topic grows, and what a message takes in memory: `python -m loadtest.queue_scaling`.

On one Redis, without HTTP: the scripts are called as a node calls them, in a topic with more and more messages ready.
For each length it prints the CPU time of the server for a publish and for a consume with its ack, and the bytes that a
message takes over its payload, from INFO and over all keys. Beside them stand the bare commands that store and remove
one message in a hash and a list of the same length: what they pay for a larger memory, nothing above them can save.
Nothing is measured while the server writes its AOF anew, which it does as it fills and which copies its memory page by
page. Then messages of several sizes are stored, and what each takes over its payload is printed, beside what a string
of those bytes takes over it: an allocator rounds up to its sizes, whoever asks. `--plots FOLDER` draws both.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis

from loadtest import processes
from loadtest.cost_pairs import PAYLOAD, Setting
from loadtest.plot import Line, draw
from service.embedded import EmbeddedError
from service.store.bundle import shipped
from tests.support import wait_until

BATCH = 1_000
CALLS = 20_000
SIZES = (20, 100, 512, 1_000, 1_024, 4_096)
SIZED = 50_000
REWRITE_S = 120.0
TARGET_BYTES = 200


class Cost(NamedTuple):
    messages: int
    publish_us: float
    take_us: float
    """A consume of one message and its ack."""
    bare_us: float
    """HSETNX, RPUSH, LPOP, HGET and HDEL."""
    bytes_each: float


def _settle(client: "redis.Redis") -> None:
    """No copy of the memory is being written."""
    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the AOF's rewriting", REWRITE_S)


def _fill(setting: Setting, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        names = [f"abcdefghijklmnop-{number}" for number in range(start, start + BATCH)]
        call = setting.call("queue.publish", "t", id=names[0])
        setting.execute(*call, *(part for name in names[1:] for part in (name, "0", PAYLOAD)))


class _Meter:
    """Collects the CPU time that the server uses for what it is given."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        before_s = processes.cpu_s(self._pid)
        yield
        self._used_s += processes.cpu_s(self._pid) - before_s

    @property
    def each_us(self) -> float:
        return self._used_s / CALLS * 1e6


def _publish_and_take(setting: Setting, pid: int, first: int) -> tuple[float, float]:
    """CPU of a publish, and of a consume of one message with its ack by id; the topic stays as long as it is."""
    publishing, taking = _Meter(pid), _Meter(pid)
    for start in range(first, first + CALLS, BATCH):
        with publishing.running():
            names = range(start, start + BATCH)
            setting.all(setting.call("queue.publish", "t", id=f"one-{number}") for number in names)
        with taking.running():
            pipeline = setting.client.pipeline(transaction=False)
            for command in [setting.call("queue.consume", "t")] * BATCH:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            setting.all(setting.call("queue.ack", "t", id=answer[1]) for answer in pipeline.execute())
    return publishing.each_us, taking.each_us


def _bare(setting: Setting, pid: int, first: int) -> float:
    """CPU of the bare commands for one message, on a hash and a list as long as the topic's, which stay as they are."""
    meter = _Meter(pid)
    for start in range(first, first + CALLS, BATCH):
        names = [f"bare-{number}".encode() for number in range(start, start + BATCH)]
        stored = [[b"HSETNX", b"hash", name, PAYLOAD] for name in names]
        listed = [[b"RPUSH", b"list", name] for name in names]
        read = [[b"HGET", b"hash", name] for name in names]
        removed = [[b"HDEL", b"hash", name] for name in names]
        with meter.running():
            setting.all(iter([*stored, *listed, *[[b"LPOP", b"list"]] * BATCH, *read, *removed]))
    return meter.each_us


def _fill_bare(setting: Setting, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        names = [f"abcdefghijklmnop-{number}".encode() for number in range(start, start + BATCH)]
        pairs = [part for name in names for part in (name, PAYLOAD)]
        setting.all(iter([[b"HSET", b"hash", *pairs], [b"RPUSH", b"list", *names]]))


def _start(setting: Setting) -> None:
    """From the first delivery on it is known when something is due."""
    setting.execute(*setting.call("queue.publish", "t", id="first"))
    setting.execute(*setting.call("queue.consume", "t", all_keys=True))


def measure(client: "redis.Redis", pid: int, lengths: list[int]) -> list[Cost]:
    setting = Setting(client, shipped(), "scaling", CALLS)
    _start(setting)
    found: list[Cost] = []
    filled, empty_bytes = 0, _used_bytes(client)
    for length in lengths:
        print(f"\r{length:,} messages", end="", file=sys.stderr, flush=True)
        _fill(setting, filled, length - filled)
        filled = length
        _settle(client)
        each = (_used_bytes(client) - empty_bytes) / length - len(PAYLOAD)
        found.append(Cost(length, *_publish_and_take(setting, pid, length * 10), 0.0, each))
    client.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]
    filled = 0
    for place, one in enumerate(found):
        print(f"\r{one.messages:,} messages, bare", end="", file=sys.stderr, flush=True)
        _fill_bare(setting, filled, one.messages - filled)
        filled = one.messages
        _settle(client)
        found[place] = one._replace(bare_us=_bare(setting, pid, filled * 10))
    print(file=sys.stderr)
    return found


class Size(NamedTuple):
    """What a message takes over a payload of so many bytes, and what the same bytes take alone as a string."""

    payload_bytes: int
    ready_bytes: float
    inflight_bytes: float
    bare_bytes: float


def measure_sizes(client: "redis.Redis") -> list[Size]:
    found = []
    for size in SIZES:
        client.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]
        setting = Setting(client, shipped(), "sizes", SIZED)
        _start(setting)
        payload = b'"%b"' % (b"x" * (size - 2))
        empty = _used_bytes(client)
        for start in range(0, SIZED, BATCH):
            call = setting.call("queue.publish", "t", id=f"abcdefghijklmnop-{start}", data=payload)
            names = [f"abcdefghijklmnop-{number}" for number in range(start + 1, start + BATCH)]
            setting.execute(*call, *(part for name in names for part in (name, "0", payload)))
        _settle(client)
        ready = (_used_bytes(client) - empty) / SIZED - size
        for _ in range(SIZED // BATCH):
            setting.execute(*setting.call("queue.consume", "t", max=BATCH))
        _settle(client)
        inflight = (_used_bytes(client) - empty) / SIZED - size
        client.set("bare", payload)
        found.append(Size(size, ready, inflight, int(client.memory_usage("bare") or 0) - size))
    return found


def _used_bytes(client: "redis.Redis") -> int:
    return int(client.info("memory")["used_memory"])


async def run(options: argparse.Namespace) -> tuple[list[Cost], list[Size]]:
    with tempfile.TemporaryDirectory(prefix="simpul-scaling-") as made:
        async with processes.valkey(Path(made), "no") as server:
            with redis.Redis(port=server.port, protocol=2) as client:
                costs = await asyncio.to_thread(measure, client, server.child.pid, options.lengths)
                return costs, await asyncio.to_thread(measure_sizes, client)


def plot(costs: list[Cost]) -> str:
    def line(name: str, of: Callable[[Cost], float]) -> Line:
        return Line(name, [(one.messages, of(one)) for one in costs])

    return draw(
        "CPU of Redis for an operation, by the length of the topic",
        "messages ready",
        "microseconds",
        [
            line("publish", lambda one: one.publish_us),
            line("consume and ack", lambda one: one.take_us),
            line("bare commands: HSETNX, RPUSH, LPOP, HGET, HDEL", lambda one: one.bare_us),
        ],
    )


def plot_sizes(sizes: list[Size]) -> str:
    def line(name: str, of: Callable[[Size], float]) -> Line:
        return Line(name, [(one.payload_bytes, one.payload_bytes + of(one)) for one in sizes])

    return draw(
        "Memory that a message takes, by the size of its payload",
        "bytes of payload",
        "bytes of memory",
        [
            line("in flight", lambda one: one.inflight_bytes),
            line("ready", lambda one: one.ready_bytes),
            line("a string of the payload alone", lambda one: one.bare_bytes),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.queue_scaling", description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--plots", type=Path, help="folder for two drawings, as SVG")
    options = parser.parse_args()
    try:
        costs, sizes = asyncio.run(run(options))
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1
    print("| messages ready | publish us | consume + ack us | bare us | bytes over the payload |")
    print("|---:|---:|---:|---:|---:|")
    for one in costs:
        cells = (one.publish_us, one.take_us, one.bare_us)
        print(f"| {one.messages:,} | {' | '.join(f'{cell:.1f}' for cell in cells)} | {one.bytes_each:.0f} |")
    print("\n| payload, bytes | over it, ready | over it, in flight | a bare string over it |")
    print("|---:|---:|---:|---:|")
    for size in sizes:
        print(
            f"| {size.payload_bytes:,} | {size.ready_bytes:.0f} | {size.inflight_bytes:.0f} | {size.bare_bytes:.0f} |"
        )
    if options.plots:
        (options.plots / "queue_scaling.svg").write_text(plot(costs))
        (options.plots / "queue_memory.svg").write_text(plot_sizes(sizes))
    print(f"\n{_growth(costs)}")
    heaviest = max(size.ready_bytes - size.bare_bytes for size in sizes)
    if heaviest > TARGET_BYTES:
        print(f"MISSED: a message takes {heaviest:.0f} bytes more than a string of its payload, wanted {TARGET_BYTES}")
        return 1
    return 0


def _growth(costs: list[Cost]) -> str:
    first, last = costs[0], costs[-1]
    return (
        f"{last.messages:,} messages against {first.messages:,}: publish {last.publish_us / first.publish_us:.2f}, "
        f"consume + ack {last.take_us / first.take_us:.2f}, bare commands {last.bare_us / first.bare_us:.2f} times"
    )


if __name__ == "__main__":
    sys.exit(main())
