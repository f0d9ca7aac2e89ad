"""Which entries should a near cache keep? Hit ratios of LRU, as it does it, against S3-FIFO.

The traces are those that such comparisons are usually made on: Zipf (few keys are read often), the same with a scan
through it now and then (a batch job), and a loop that is a little larger than the cache. A seed makes the same trace.

S3-FIFO is the scan-resistant one: Yang et al., SOSP 2023.
"""

from __future__ import annotations

import argparse
import random
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Protocol


class Policy(Protocol):
    def read(self, key: int) -> bool:
        """Whether the key was held; it is afterwards."""


class Lru:
    """What service/cache/near.py does."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[int, None] = OrderedDict()

    def read(self, key: int) -> bool:
        if key in self._entries:
            self._entries.move_to_end(key)
            return True
        self._entries[key] = None
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return False


class S3Fifo:
    """A small queue for newcomers, a main one for what was read again, and a memory of what was turned away."""

    def __init__(self, size: int) -> None:
        self._small_size = max(size // 10, 1)
        self._main_size = size - self._small_size
        self._small: OrderedDict[int, int] = OrderedDict()
        self._main: OrderedDict[int, int] = OrderedDict()
        self._ghost: OrderedDict[int, None] = OrderedDict()

    def read(self, key: int) -> bool:
        for queue in (self._small, self._main):
            if key in queue:
                queue[key] = min(queue[key] + 1, 3)
                return True
        if key in self._ghost:
            del self._ghost[key]
            self._into_main(key)
        else:
            self._small[key] = 0
            if len(self._small) > self._small_size:
                self._leave_small()
        return False

    def _leave_small(self) -> None:
        key, reads = self._small.popitem(last=False)
        if reads > 0:
            self._into_main(key)
            return
        self._ghost[key] = None
        if len(self._ghost) > self._main_size:
            self._ghost.popitem(last=False)

    def _into_main(self, key: int) -> None:
        self._main[key] = 0
        while len(self._main) > self._main_size:
            oldest, reads = self._main.popitem(last=False)
            if reads > 0:
                self._main[oldest] = reads - 1


def zipf(chance: random.Random, keys: int, reads: int, skew: float) -> Iterator[int]:
    bounds = list(accumulate(1 / rank**skew for rank in range(1, keys + 1)))
    for _ in range(reads):
        yield bisect_left(bounds, chance.random() * bounds[-1])


def zipf_and_scans(chance: random.Random, keys: int, reads: int, skew: float) -> Iterator[int]:
    """Every tenth of the trace a scan goes through as many keys as a tenth of it, none of which is read again."""
    fresh = keys
    for number, key in enumerate(zipf(chance, keys, reads, skew)):
        yield key
        if number % (reads // 10) == reads // 20:
            yield from range(fresh, fresh + reads // 10)
            fresh += reads // 10


def loop(size: int, reads: int) -> Iterator[int]:
    for number in range(reads):
        yield number % (size * 5 // 4)


POLICIES: dict[str, Callable[[int], Policy]] = {"LRU": Lru, "S3-FIFO": S3Fifo}


def ratio(policy: Policy, trace: Iterator[int]) -> float:
    reads = hits = 0
    for key in trace:
        reads += 1
        hits += policy.read(key)
    return hits / reads


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.cache_policies", description=__doc__)
    parser.add_argument("--keys", type=int, default=50_000)
    parser.add_argument("--reads", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=5_000, help="entries of the cache")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    traces: dict[str, Callable[[], Iterator[int]]] = {
        f"Zipf {skew}": lambda skew=skew: zipf(random.Random(asked.seed), asked.keys, asked.reads, skew)  # type: ignore[misc]
        for skew in (0.7, 0.9, 1.1)
    }
    traces["Zipf 0.9 with scans"] = lambda: zipf_and_scans(random.Random(asked.seed), asked.keys, asked.reads, 0.9)
    traces["loop of 1.25 times the size"] = lambda: loop(asked.size, asked.reads)
    print(f"| trace | {' | '.join(POLICIES)} |")
    print(f"|---|{'---:|' * len(POLICIES)}")
    for name, trace in traces.items():
        ratios = [f"{ratio(make(asked.size), trace()):.1%}" for make in POLICIES.values()]
        print(f"| {name} | {' | '.join(ratios)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
