"""A hand-driven world for scenarios: messages move when told to, disks answer at once unless held.

Unlike the simulator nothing here is random except message loss where a scenario asks for it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any

from service.raft.config import Config
from service.raft.core import Raft
from service.raft.events import Event
from service.raft.messages import Entry, EntryKind, HardState, Message, NodeId, Snapshot
from service.raft.ready import ApplyAck, Proposed, ReadState, Ready, Role, WriteAck
from service.raft.state import Stored

RaftClass = Callable[[Config, Random, Stored], Raft]

ELECTION = 10
HEARTBEAT = 2


def config(node: NodeId, members: int, **settings: Any) -> Config:
    """A configuration with short timeouts."""
    names = tuple(f"n{number + 1}" for number in range(members))
    timing = {"heartbeat_ticks": HEARTBEAT, "election_ticks": ELECTION}
    return Config(node=node, members=names, **{**timing, **settings})


def log_of(*terms: int) -> tuple[Entry, ...]:
    """A log whose entries have these terms; each one's data is its index."""
    return tuple(Entry(term, index, b"%d" % index) for index, term in enumerate(terms, start=1))


class Host:
    """One member with its disk and its state machine."""

    def __init__(self, settings: Config, raft: RaftClass, seed: int) -> None:
        self.settings = settings
        self.raft = raft
        self.lives = 0
        self.seed = seed
        self.stored = Stored()
        self.core: Raft | None = None
        self.disk_held = False
        self.writes: deque[tuple[HardState, Snapshot | None, tuple[Entry, ...], WriteAck]] = deque()
        self.applied: list[bytes] = []
        self.machine: list[bytes] = []
        self.reads: list[ReadState] = []
        self.reads_lost: list[bytes] = []
        self.events: list[Event] = []
        self.start()

    @property
    def id(self) -> NodeId:
        return self.settings.node

    def start(self) -> None:
        """Start from what is durable; the state machine is rebuilt from snapshot and log."""
        self.lives += 1
        random = Random(f"{self.seed}:{self.id}:{self.lives}")
        self.core = self.raft(self.settings, random, self.stored)
        self.machine = decode(self.stored.snapshot)

    def crash(self) -> None:
        """Lose everything that is not durable."""
        self.core = None
        self.writes.clear()

    def write_all(self) -> None:
        """Let the disk finish what it was given."""
        while self.writes:
            self.finish_write()

    def finish_write(self, *, acknowledge: bool = True) -> WriteAck:
        """Make the oldest write durable."""
        hard_state, snapshot, entries, ack = self.writes.popleft()
        old = self.stored
        kept = () if snapshot is not None else old.entries
        if entries:
            kept = (*(entry for entry in kept if entry.index < entries[0].index), *entries)
        self.stored = Stored(hard_state, snapshot or old.snapshot, kept)
        if snapshot is not None:
            self.machine = decode(snapshot)
        if acknowledge and self.core is not None:
            self.core.advance(ack)
        return ack

    def compact(self) -> None:
        """Snapshot the state machine at what is applied."""
        assert self.core is not None
        index = self.core.log.applied
        term = self.core.log.term_at(index)
        assert term is not None
        snapshot = Snapshot(index, term, self.settings.members, b"\n".join(self.machine))
        kept = tuple(entry for entry in self.stored.entries if entry.index > index)
        self.stored = Stored(self.stored.hard_state, snapshot, kept)
        self.core.compact(snapshot)


def decode(snapshot: Snapshot | None) -> list[bytes]:
    """The commands a snapshot stands for."""
    return snapshot.data.split(b"\n") if snapshot is not None and snapshot.data else []


class World:
    """Members, the messages between them, and the levers a scenario pulls."""

    def __init__(self, members: int = 3, raft: RaftClass = Raft, seed: int = 1, **settings: Any) -> None:
        names = [f"n{number + 1}" for number in range(members)]
        self.hosts = {name: Host(config(name, members, **settings), raft, seed) for name in names}
        self.queue: deque[Message] = deque()
        self.cut_links: set[tuple[NodeId, NodeId]] = set()
        self.sent: Counter[str] = Counter()
        self.log_of_messages: list[Message] = []
        self.entry_bytes_sent = 0
        self.lose: Callable[[Message], bool] = lambda _message: False
        self.alter: Callable[[Message], Message] = lambda message: message

    def core(self, node: NodeId) -> Raft:
        core = self.hosts[node].core
        assert core is not None, f"{node} is down"
        return core

    # Moving things

    def work(self, node: NodeId) -> None:
        """Do what one core asks for until it asks no more."""
        host = self.hosts[node]
        while host.core is not None and host.core.has_ready():
            self._do(host, host.core.ready())
            if not host.disk_held:
                host.write_all()

    def _do(self, host: Host, ready: Ready) -> None:
        assert host.core is not None
        for message in ready.messages:
            self.sent[type(message).__name__] += 1
            self.log_of_messages.append(message)
            self.entry_bytes_sent += sum(len(entry.data) for entry in getattr(message, "entries", ()))
            self.queue.append(message)
        if ready.write_ack is not None:
            assert ready.hard_state is not None
            host.writes.append((ready.hard_state, ready.snapshot, ready.entries, ready.write_ack))
        host.events.extend(ready.events)
        host.reads.extend(ready.read_states)
        host.reads_lost.extend(ready.reads_lost)
        for entry in ready.committed:
            if entry.kind is EntryKind.NORMAL:
                host.applied.append(entry.data)
                host.machine.append(entry.data)
        if ready.apply_ack is not None:
            host.core.advance(ApplyAck(ready.apply_ack.index))

    def deliver(self, limit: int = 10_000) -> None:
        """Deliver messages until none is left."""
        for node in self.hosts:
            self.work(node)
        while self.queue:
            limit -= 1
            assert limit > 0, "messages without end"
            self.give(self.queue.popleft())

    def give(self, message: Message) -> None:
        """Deliver this one message, now, unless its link is cut or its target down."""
        host = self.hosts[message.to]
        if (message.sender, message.to) in self.cut_links or self.lose(message) or host.core is None:
            return
        host.core.step(self.alter(message))
        self.work(message.to)

    def tick(self, node: NodeId, count: int = 1) -> None:
        for _ in range(count):
            self.core(node).tick()
            self.work(node)

    def run(self, ticks: int) -> None:
        """Everyone ticks and talks, in step."""
        for _ in range(ticks):
            for node, host in self.hosts.items():
                if host.core is not None:
                    self.tick(node)
            self.deliver()

    # Levers

    def cut(self, one: NodeId, other: NodeId, *, both: bool = True) -> None:
        self.cut_links.add((one, other))
        if both:
            self.cut_links.add((other, one))

    def isolate(self, *nodes: NodeId) -> None:
        """Cut these nodes off from all others, not from each other."""
        for node in nodes:
            for other in self.hosts:
                if other not in nodes:
                    self.cut(node, other)

    def heal(self) -> None:
        self.cut_links.clear()

    def crash(self, *nodes: NodeId) -> None:
        for node in nodes:
            self.hosts[node].crash()

    def restart(self, *nodes: NodeId) -> None:
        for node in nodes:
            self.hosts[node].crash()
            self.hosts[node].start()
            self.work(node)

    def elect(self, node: NodeId) -> None:
        """Make `node` campaign, again if it first has to learn a newer term, while nobody hears a leader."""
        for _ in range(4):
            self.campaign(node)
            self.deliver()
            if self.core(node).role is Role.LEADER:
                return
        raise AssertionError(f"{node} is {self.core(node).role}")

    def campaign(self, node: NodeId) -> None:
        """Let `node` alone run out of patience; the others only stop defending their leader."""
        for other, host in self.hosts.items():
            if other != node and host.core is not None and host.core.role is not Role.LEADER:
                while host.core.election_elapsed < ELECTION:
                    self.tick(other)
        for _ in range(3 * ELECTION):
            if self.core(node).role is Role.FOLLOWER:
                self.tick(node)

    def propose(self, data: bytes, node: NodeId | None = None, *, deliver: bool = True) -> Proposed:
        """Propose at `node` or at the leader."""
        target = node or self.leader()
        proposed = self.core(target).propose(data)
        self.work(target)
        if deliver:
            self.deliver()
        return proposed

    # Looking

    def leaders(self) -> list[NodeId]:
        return [node for node, host in self.hosts.items() if host.core is not None and host.core.role is Role.LEADER]

    def leader(self) -> NodeId:
        """The leader of the highest term."""
        leaders = self.leaders()
        assert leaders, "no leader"
        return max(leaders, key=lambda node: self.core(node).term)

    def elect_somebody(self, ticks: int = 20 * ELECTION) -> NodeId:
        """Run until exactly one member leads among those that are up, and return it."""
        for _ in range(ticks):
            self.run(1)
            reachable = [node for node in self.leaders() if self._leads_a_majority(node)]
            if len(reachable) == 1 and self.core(reachable[0]).may_serve_reads():
                return reachable[0]
        raise AssertionError(f"no leader after {ticks} ticks")

    def _leads_a_majority(self, node: NodeId) -> bool:
        terms = [
            host.core.term
            for other, host in self.hosts.items()
            if host.core is not None and (node, other) not in self.cut_links and (other, node) not in self.cut_links
        ]
        return len(terms) > len(self.hosts) // 2 and self.core(node).term == max(terms)

    def machines(self, *nodes: NodeId) -> list[list[bytes]]:
        return [self.hosts[node].machine for node in (nodes or self.hosts)]

    def agree(self, *commands: bytes) -> None:
        """Every member that is up shows exactly these commands."""
        for node, host in self.hosts.items():
            if host.core is not None:
                assert host.machine == list(commands), f"{node} shows {host.machine}"

    def of_type(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.log_of_messages if isinstance(message, kind)]
