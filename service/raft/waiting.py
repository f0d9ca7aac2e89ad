"""Who waits for what in the log: proposals for the entry at their index, reads for an index to be applied."""

from __future__ import annotations

import asyncio
from collections import Counter
from heapq import heappop, heappush
from itertools import count
from typing import Any

from service.raft.errors import RaftError, Refused


class Superseded(Refused):
    """Another leader's entry was committed in the proposal's place, so the proposal never will be."""

    def __init__(self, index: int) -> None:
        super().__init__(f"another leader's entry was committed at {index} in its place")


class Unknown(RaftError):
    """Nobody here can tell any more whether the proposal was or will be committed."""


class ReadLost(RaftError):
    """The leader changed before the read was confirmed."""


class Proposals:
    """Accepted proposals by index. Bounded by what the core accepts uncommitted, for each term led."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._waiting: dict[int, list[tuple[int, asyncio.Future[Any]]]] = {}

    def add(self, index: int, term: int, future: asyncio.Future[Any]) -> None:
        """`future` waits for the entry at `index`, if it is the one of `term`."""
        self._waiting.setdefault(index, []).append((term, future))

    def applied(self, index: int, term: int, outcome: Any) -> None:
        """The entry at `index` is committed and applied."""
        for proposed_term, future in self._waiting.pop(index, ()):
            is_ours = proposed_term == term
            self.counts["committed" if is_ours else "superseded"] += 1
            if future.done():
                continue
            if is_ours:
                future.set_result(outcome)
            else:
                future.set_exception(Superseded(index))

    def skipped_to(self, index: int) -> None:
        """A snapshot covers everything up to `index`: which entries it holds cannot be told from it."""
        for skipped in [waiting for waiting in self._waiting if waiting <= index]:
            self._fail(skipped, "a snapshot from a newer leader took the place of the log")

    def abandon(self, why: str) -> None:
        """Nothing will be applied here any more."""
        for index in list(self._waiting):
            self._fail(index, why)

    def _fail(self, index: int, why: str) -> None:
        for _, future in self._waiting.pop(index):
            self.counts["unknown"] += 1
            if not future.done():
                future.set_exception(Unknown(why))


class Reads:
    """Linearizable reads: first asked of the core, then waiting for their index to be applied here."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._asked: dict[bytes, asyncio.Future[None]] = {}
        self._confirmed: list[tuple[int, int, asyncio.Future[None]]] = []

    def add(self, future: asyncio.Future[None]) -> bytes:
        """The context under which to ask the core."""
        context = b"%d" % next(self._numbers)
        self._asked[context] = future
        return context

    def confirmed(self, context: bytes, index: int) -> None:
        future = self._asked.pop(context, None)
        if future is not None:
            heappush(self._confirmed, (index, next(self._numbers), future))

    def applied(self, index: int) -> None:
        while self._confirmed and self._confirmed[0][0] <= index:
            _, _, future = heappop(self._confirmed)
            if not future.done():
                future.set_result(None)

    def refused(self, context: bytes, error: Refused) -> None:
        _fail(self._asked.pop(context), error)

    def lost(self, context: bytes) -> None:
        future = self._asked.pop(context, None)
        if future is not None:
            _fail(future, ReadLost("the leader changed before the read was confirmed"))

    def lost_all(self) -> None:
        for context in list(self._asked):
            self.lost(context)
        while self._confirmed:
            _fail(heappop(self._confirmed)[2], ReadLost("this node is stopping"))


def _fail(future: asyncio.Future[None], error: RaftError) -> None:
    if not future.done():
        future.set_exception(error)
