"""A network that loses, repeats, delays, reorders and cuts, each direction of each pair on its own."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from service.raft.messages import InstallSnapshot, Message, NodeId, TimeoutNow, VoteReply
from tests.raft.simulator.scheduler import MS, Scheduler

OVERHEARD_MESSAGES = 600
"""How many messages back a replay reaches: some ten elections."""


RARE = (InstallSnapshot, VoteReply, TimeoutNow)
"""Kinds remembered apart, or heartbeats would crowd them out of every replay."""


@dataclass(slots=True)
class Weather:
    """How bad the network is at present; probabilities in [0, 1]."""

    drop: float = 0.0
    duplicate: float = 0.0
    straggle: float = 0.0
    """Chance of a delay long enough to meet a message in another term."""
    delay_us: tuple[int, int] = (1 * MS, 8 * MS)


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A message, the disk of its sender, and the disk its sender knew the addressee by (None: it had forgotten it)."""

    message: Message
    disk: int
    to_disk: int | None


class Network:
    """Carries messages between members. Independent random delays reorder them."""

    def __init__(self, scheduler: Scheduler, random: Random, deliver: Callable[[NodeId, Message], None]) -> None:
        """`deliver` takes the member at whose door the message arrives, which need not be its addressee."""
        self.weather = Weather()
        self.cuts: dict[tuple[NodeId, NodeId], int] = {}
        self.permanent: set[tuple[NodeId, NodeId]] = set()
        self._disks: Counter[NodeId] = Counter()
        self._forgotten: dict[tuple[NodeId, NodeId], int] = {}
        self._scheduler = scheduler
        self._random = random
        self._deliver = deliver
        self._overheard: deque[_Parcel] = deque(maxlen=OVERHEARD_MESSAGES)
        self._rare: deque[_Parcel] = deque(maxlen=OVERHEARD_MESSAGES // 10)

    def send(self, message: Message) -> None:
        """Accept a message and let fate decide how often and when it arrives."""
        known = self._disks[message.to]
        to_disk = None if self._forgotten.get((message.to, message.sender)) == known else known
        parcel = _Parcel(message, self._disks[message.sender], to_disk)
        (self._rare if isinstance(message, RARE) else self._overheard).append(parcel)
        link = (message.sender, message.to)
        random, weather = self._random, self.weather
        if link in self.permanent or self.cuts.get(link) or random.random() < weather.drop:
            return
        self._scheduler.after(self._delay(), self._arrive, parcel)
        if weather.duplicate and random.random() < weather.duplicate:
            self._scheduler.after(self._delay(), self._arrive, parcel)

    def _delay(self) -> int:
        low, high = self.weather.delay_us
        if self.weather.straggle and self._random.random() < self.weather.straggle:
            return self._random.randrange(200 * MS, 3000 * MS)
        return self._random.randrange(low, high)

    def _arrive(self, parcel: _Parcel) -> None:
        message = parcel.message
        if not self._is_admitted(parcel):
            return
        # A cut made while the message travelled loses it too.
        link = (message.sender, message.to)
        if link not in self.permanent and not self.cuts.get(link):
            self._deliver(message.to, message)

    def _is_admitted(self, parcel: _Parcel) -> bool:
        """Nodes refuse what a lost disk said, and what was meant for one (service.raft.admission)."""
        sender, to = parcel.message.sender, parcel.message.to
        is_lost = parcel.disk <= self._forgotten.get((sender, to), -1)
        return not is_lost and parcel.to_disk in (None, self._disks[to])

    def forget_disk(self, node: NodeId, at: NodeId) -> None:
        """`at` has learnt that the disk `node` has now is lost."""
        self._forgotten[node, at] = self._disks[node]

    def new_disk(self, node: NodeId) -> None:
        """`node` speaks for another disk from now on."""
        self._disks[node] += 1

    def cut(self, links: list[tuple[NodeId, NodeId]], lasts_us: int) -> None:
        """Block the given directions for a while; overlapping cuts add up."""
        for link in links:
            self.cuts[link] = self.cuts.get(link, 0) + 1
        self._scheduler.after(lasts_us, self._uncut, links)

    def _uncut(self, links: list[tuple[NodeId, NodeId]]) -> None:
        for link in links:
            # After heal() there is nothing left to undo.
            if self.cuts.get(link):
                self.cuts[link] -= 1

    def replay(self, count: int) -> None:
        """Deliver some old messages once more: an asynchronous network may hold a copy for any time."""
        for number in range(count):
            memory = self._rare if number % 4 == 0 else self._overheard
            if memory:
                delay = self._random.randrange(1 * MS, 400 * MS)
                self._scheduler.after(delay, self._arrive, self._random.choice(memory))

    def misdeliver(self, count: int) -> None:
        """Old messages once more, as if from a stranger or to somebody else's door."""
        for _ in range(count):
            memory = self._rare if self._rare and self._random.random() < 0.5 else self._overheard
            if memory:
                parcel = self._random.choice(memory)
                delay = self._random.randrange(1 * MS, 400 * MS)
                message = parcel.message
                self._scheduler.after(delay, self._deliver, message.to, replace(message, sender="stranger"))
                self._scheduler.after(delay, self._deliver, message.sender, message)

    def heal(self) -> None:
        """End every cut and the bad weather."""
        self.cuts.clear()
        self.weather = Weather()

    def connected(self, one: NodeId, other: NodeId) -> bool:
        """True if nothing permanent blocks either direction."""
        return (one, other) not in self.permanent and (other, one) not in self.permanent
