"""Which waits the leader was told of. It is lost with the leader's office: the next one is told anew. No IO."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from service.lock.deadlock.told import Telling, Told


class Table:
    def __init__(self) -> None:
        self.term = 0
        self._lives: dict[str, _Life] = {}
        self._by_owner: defaultdict[bytes, dict[bytes, Told]] = defaultdict(dict)
        self._lives_of: defaultdict[bytes, int] = defaultdict(int)
        """By waiter: in how many lives of nodes it waits. A retry may wait beside the request that it repeats."""

    def __len__(self) -> int:
        return len(self._lives_of)

    def take_over(self, term: int) -> None:
        """A new office: nothing is known yet."""
        self.term = term
        self._lives.clear()
        self._by_owner.clear()
        self._lives_of.clear()

    def hear(self, telling: Telling) -> Collection[Told]:
        """What is new of it. One that comes after a later one of the same node says nothing any more."""
        life = self._lives.get(telling.node)
        if life is None or life.name != telling.life:
            if life is not None:
                self._forget(life, list(life.waits))
            life = self._lives[telling.node] = _Life(telling.life)
        if telling.number <= life.number:
            return ()
        life.number = telling.number
        self._forget(life, telling.ended)
        for wait in telling.began:
            self._forget(life, (wait.waiter,))
            life.waits[wait.waiter] = wait
            self._by_owner[wait.owner][wait.waiter] = wait
            self._lives_of[wait.waiter] += 1
        return telling.began

    def _forget(self, life: _Life, waiters: Iterable[bytes]) -> None:
        for waiter in waiters:
            wait = life.waits.pop(waiter, None)
            if wait is None:
                continue
            self._lives_of[waiter] -= 1
            if not self._lives_of[waiter]:
                del self._lives_of[waiter]
                self._by_owner[wait.owner].pop(waiter, None)
                if not self._by_owner[wait.owner]:
                    del self._by_owner[wait.owner]

    def waits_of(self, owner: bytes) -> Collection[Told]:
        return self._by_owner[owner].values() if owner in self._by_owner else ()

    def knows(self, waiter: bytes) -> bool:
        return waiter in self._lives_of

    def all(self) -> Iterator[tuple[str, Told]]:
        """With the node that each waits on, the longest known first on each."""
        for node, life in self._lives.items():
            for wait in life.waits.values():
                yield node, wait


class _Life:
    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.waits: dict[bytes, Told] = {}
