"""Reads of a value that may have to be made anew: one caller of the whole cluster makes it, the others wait for it.

Who is to fill is decided by one script (lua/cache/fill.lua), which writes its token into the key itself. So whatever
writes or removes the key ends the lease, and a filler that comes late is refused. The publication of the write is the
wake-up of those who wait; when the filler does not come back they are woken by the end of its lease.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from math import log
from secrets import token_hex
from typing import Any

import msgspec
from msgspec import UNSET

from service.cache.near import Entry, NearCache
from service.cache.reading import Reader
from service.cache.wire import Found, GetRequest, Missing
from service.clock import steady_s
from service.keys import Partition

Patience = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]
"""Carries a wait for as long as the client is there."""

LEASE_END_S = 0.005
"""How long after its end a lease counts as ended: Redis and this node do not count alike to the millisecond."""


class _Parked:
    """Those who wait on this node for one key. One at a time asks Redis; the others then find what it found."""

    __slots__ = ("number", "turn", "woken")

    def __init__(self) -> None:
        self.number = 0
        self.turn = asyncio.Lock()
        self.woken = asyncio.Event()


class Filler:
    def __init__(self, reader: Reader, near: NearCache) -> None:
        self._reader = reader
        self._near = near
        self._parked: dict[bytes, _Parked] = {}
        self._is_closing = False
        self.granted = 0
        self.refills_avoided = 0

    @property
    def parked(self) -> int:
        return sum(parked.number for parked in self._parked.values())

    def heard(self, key: bytes) -> None:
        """The key was written or removed."""
        parked = self._parked.get(key)
        if parked is not None:
            parked.woken.set()
            parked.woken = asyncio.Event()

    def close(self) -> None:
        """Answer those who wait: the node stops."""
        self._is_closing = True
        for key in list(self._parked):
            self.heard(key)

    async def get(
        self, partition: Partition, key: bytes, request: GetRequest, patience: Patience | None
    ) -> Found | Missing:
        """The value, a token to fill it, or after waiting what there is. Raises what the store raises."""
        loop = asyncio.get_running_loop()
        fill_ms, wait_ms = request.fill_ms or 0, request.wait_ms
        ends_at = loop.time() + (fill_ms if wait_ms is None else wait_ms) / 1000
        parked = self._parked.setdefault(key, _Parked())
        parked.number += 1
        try:
            while True:
                woken = parked.woken
                async with parked.turn:
                    answer, left_ms = await self._ask(partition, key, request)
                left_s = ends_at - loop.time()
                if left_ms is None or left_s <= 0 or self._is_closing:
                    return answer
                waiting = _wait(woken, min(left_s, left_ms / 1000 + LEASE_END_S))
                await (waiting if patience is None else patience(waiting))
        finally:
            parked.number -= 1
            if not parked.number:
                del self._parked[key]

    async def _ask(self, partition: Partition, key: bytes, request: GetRequest) -> tuple[Found | Missing, int | None]:
        """An answer, and for how long somebody else may still fill if it is worth waiting for that."""
        if request.consistency == "local" and self._parked[key].number > 1:
            copy = self._near.get(key, partition.number)
            if copy is not None:
                self.refills_avoided += 1
                return answer_of(copy, "local"), None
        args = (request.fill_ms or 0, request.stale_ms or 0, token_hex(8), 0)
        reply, entry = await self._reader.read_or_fill(partition, key, args)
        state, left_ms, token = reply[2], reply[3], reply[5].decode()
        if state == b"fresh":
            assert entry is not None  # noqa: S101 - what the script promises
            return await self.refreshed(partition, key, request, answer_of(entry, "redis"), entry), None
        found: Found | Missing = Missing() if entry is None else answer_of(entry, "redis", is_stale=True)
        if state == b"granted":
            self.granted += 1
            found.fill_token = token
            return found, None
        if state == b"filling":
            self.refills_avoided += 1
            if isinstance(found, Missing) and found.absent is UNSET:
                found.filling_ms = left_ms
                return found, int(left_ms)
        return found, None

    async def refreshed(
        self, partition: Partition, key: bytes, request: GetRequest, answer: Found | Missing, entry: Entry
    ) -> Found | Missing:
        """The answer with a token to fill, if it is this reader's turn to make a value that ends soon.

        Each reader decides by a throw of the dice, the likelier the nearer the end and the longer the making takes, so
        that as a rule one of many begins in time (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache
        Stampede Prevention, VLDB 2015, with beta = 1).
        """
        if not request.fill_ms or not entry.delta_ms:
            return answer
        if steady_s() - entry.delta_ms / 1000 * log(1.0 - random.random()) < entry.expires_at:  # noqa: S311
            return answer
        args = (request.fill_ms, 0, token_hex(8), 1)
        reply, _ = await self._reader.read_or_fill(partition, key, args)
        if reply[2] == b"granted":
            self.granted += 1
            answer.fill_token = reply[5].decode()
        return answer


async def _wait(woken: asyncio.Event, most_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await woken.wait()


def answer_of(entry: Entry, source: Any, *, is_stale: bool = False) -> Found | Missing:
    """What an entry is to a reader: its value, or the knowledge that there is none."""
    if not entry.value:
        return Missing(absent=True)
    found = Found(msgspec.Raw(entry.value), True, entry.version, source)
    if is_stale:
        found.stale = True
    return found
