"""Which entries should a near cache keep? Hit ratios of LRU, as it does it, against S3-FIFO.

The traces are those that such comparisons are usually made on: Zipf (few keys are read often), the same with a scan
through it now and then (a batch job), and a loop that is a little larger than the cache. A seed makes the same trace.

S3-FIFO is the scan-resistant one: Yang et al., SOSP 2023. Libraries with W-TinyLFU are held against both where they are
installed (`pip install moka-py theine`), also in what a hit costs.
"""

from __future__ import annotations

import argparse
import random
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate
from time import perf_counter
from typing import Any, Protocol


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


class Moka:
    def __init__(self, size: int) -> None:
        self._cache: Any = import_module("moka_py").Moka(size)

    def read(self, key: int) -> bool:
        if self._cache.get(key) is not None:
            return True
        self._cache.set(key, True)
        return False


class Theine:
    def __init__(self, size: int) -> None:
        self._cache: Any = import_module("theine").Cache(size)

    def read(self, key: int) -> bool:
        if self._cache.get(key)[1]:
            return True
        self._cache.set(key, True)
        return False


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
LIBRARIES: dict[str, Callable[[int], Policy]] = {"moka_py": Moka, "theine": Theine}
HITS = 100_000


def hit_ns(policy: Policy, size: int) -> float:
    """What a hit costs, among as many keys as a tenth of the cache holds."""
    keys = range(max(size // 10, 1))
    for key in keys:
        policy.read(key)
    began = perf_counter()
    for _ in range(HITS // len(keys)):
        for key in keys:
            policy.read(key)
    return (perf_counter() - began) / (HITS // len(keys) * len(keys)) * 1e9


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
    policies = {**POLICIES, **{name: make for name, make in LIBRARIES.items() if find_spec(name)}}
    print(f"| trace | {' | '.join(policies)} |")
    print(f"|---|{'---:|' * len(policies)}")
    for name, trace in traces.items():
        ratios = [f"{ratio(make(asked.size), trace()):.1%}" for make in policies.values()]
        print(f"| {name} | {' | '.join(ratios)} |")
    costs = [f"{hit_ns(make(asked.size), asked.size):.0f} ns" for make in policies.values()]
    print(f"| a hit | {' | '.join(costs)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
