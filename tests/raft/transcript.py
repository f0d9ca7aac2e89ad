"""A small language for scenarios whose whole output is the assertion.

A transcript is a text file of blocks. Each block is a command line, then `----`, then what it printed:

    tick n1 12
    ----
    n1 asks for pre-votes in term 0: no leader known for 0.6 s
    n1 > PreVoteRequest n1>n2 t1

Lines starting with `#` are comments. `python -m tests.raft.accept` rewrites the outputs; a reviewer then
reads the difference. The commands:

    members N [key=value ...]    start N members (settings of Config)
    load NODE TERM LOG [SNAP]    restart NODE with a stored log, written as terms: 1,1,2
    tick NODE COUNT              let one member's clock run
    campaign NODE                let one member's patience run out while nobody hears a leader
    deliver [NODE ...]           deliver queued messages (only those to these members), until none is left
    drop [NODE ...]              lose queued messages (only those to these members)
    give KIND key=value ...      hand a member a message that nobody sent now, e.g. an old one
    propose NODE TEXT            propose a command
    read NODE TEXT               ask for a linearizable read
    transfer NODE TO             transfer leadership
    compact NODE                 snapshot what is applied and forget the log behind it
    cut NODE NODE | heal         block both directions of a pair; unblock all
    hold NODE | write NODE [N]   let writes queue; finish N of them (default all) and acknowledge
    write-only NODE              finish one write, keep its ack
    ack NODE NUMBER              give back a kept ack
    crash NODE | restart NODE
    state [NODE ...]             print role, term, vote, leader, log and positions
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from service.raft.errors import RaftError
from service.raft.events import describe
from service.raft.messages import Entry, HardState, Message, Snapshot
from service.raft.ready import Ready, WriteAck
from service.raft.state import Stored
from tests.raft.simulator.trace import brief
from tests.raft.world import Host, World

FOLDER = Path(__file__).parents[1] / "testdata" / "raft"
RULE = "----"
TICK_MS = 50
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Message)}


class Recorder(World):
    """A world that writes down what its members say and do."""

    def __init__(self, members: int, **settings: Any) -> None:
        self.output: list[str] = []
        super().__init__(members, **settings)

    def _do(self, host: Host, ready: Ready) -> None:
        self.output.extend(describe(host.id, event, TICK_MS) for event in ready.events)
        self.output.extend(f"{host.id} > {brief(message)}" for message in ready.messages)
        if ready.write_ack is not None and ready.hard_state is not None:
            state = ready.hard_state
            terms = " ".join(f"{entry.index}/{entry.term}" for entry in ready.entries)
            snapshot = f" snapshot {ready.snapshot.index}/{ready.snapshot.term}" if ready.snapshot else ""
            self.output.append(
                f"{host.id} writes #{ready.write_ack.number} t{state.term} vote={state.vote or '-'} "
                f"commit={state.commit}{snapshot} [{terms}]"
            )
        self.output.extend(f"{host.id} applies {entry.index}/{entry.term}" for entry in ready.committed)
        for read in ready.read_states:
            self.output.append(f"{host.id} may serve {read.context.decode()} at {read.index}")
        self.output.extend(f"{host.id} lost read {context.decode()}" for context in ready.reads_lost)
        super()._do(host, ready)


class Player:
    """Runs the commands of one transcript."""

    def __init__(self) -> None:
        self.world = Recorder(3)
        self.kept: dict[tuple[str, int], WriteAck] = {}

    def play(self, line: str) -> str:
        """Run one command and return what it printed."""
        self.world.output.clear()
        name, *words = line.split()
        command: Callable[..., None] = getattr(self, f"do_{name.replace('-', '_')}")
        try:
            command(*words)
        except RaftError as error:
            self.world.output.append(f"{type(error).__name__}: {error}")
        return "\n".join(self.world.output) or "ok"

    def do_members(self, count: str, *settings: str) -> None:
        self.world = Recorder(int(count), **{key: int(value) for key, value in map(_pair, settings)})

    def do_load(self, node: str, term: str, log: str, snapshot: str = "") -> None:
        host = self.world.hosts[node]
        base = None
        if snapshot:
            index, base_term = map(int, snapshot.split("/"))
            base = Snapshot(index, base_term, host.settings.members)
        start = base.index if base else 0
        terms = [] if log == "-" else [int(value) for value in log.split(",")]
        entries = tuple(Entry(value, start + number, b"") for number, value in enumerate(terms, start=1))
        host.stored = Stored(HardState(int(term), None, start), base, entries)
        self.world.restart(node)

    def do_tick(self, node: str, count: str) -> None:
        self.world.tick(node, int(count))

    def do_campaign(self, node: str) -> None:
        self.world.campaign(node)

    def do_deliver(self, *nodes: str) -> None:
        if not nodes:
            self.world.deliver()
            return
        waiting = [message for message in self.world.queue if message.to in nodes]
        self.world.queue = deque(message for message in self.world.queue if message.to not in nodes)
        for message in waiting:
            self.world.give(message)

    def do_drop(self, *nodes: str) -> None:
        self.world.queue = deque(m for m in self.world.queue if nodes and m.to not in nodes)

    def do_give(self, kind: str, *settings: str) -> None:
        given: dict[str, str] = dict(map(_pair, settings))
        values: dict[str, Any] = {}
        for name in (item.name for item in fields(KINDS[kind])):
            if name not in given:
                continue
            text = given[name]
            values[name] = _entries(text) if name == "entries" else _value(text)
        self.world.give(KINDS[kind](**values))

    def do_propose(self, node: str, text: str) -> None:
        self.world.propose(text.encode(), node, deliver=False)

    def do_read(self, node: str, text: str) -> None:
        self.world.core(node).read_index(text.encode())
        self.world.work(node)

    def do_transfer(self, node: str, to: str) -> None:
        self.world.core(node).transfer_leadership(to)
        self.world.work(node)

    def do_compact(self, node: str) -> None:
        self.world.hosts[node].compact()

    def do_cut(self, one: str, other: str) -> None:
        self.world.cut(one, other)

    def do_heal(self) -> None:
        self.world.heal()

    def do_hold(self, node: str) -> None:
        self.world.hosts[node].disk_held = True

    def do_write(self, node: str, count: str = "") -> None:
        host = self.world.hosts[node]
        for _ in range(int(count) if count else len(host.writes)):
            host.finish_write()
            self.world.work(node)
        host.disk_held = bool(count)

    def do_write_only(self, node: str) -> None:
        ack = self.world.hosts[node].finish_write(acknowledge=False)
        self.kept[node, ack.number] = ack

    def do_ack(self, node: str, number: str) -> None:
        self.world.core(node).advance(self.kept[node, int(number)])
        self.world.work(node)

    def do_crash(self, node: str) -> None:
        self.world.crash(node)

    def do_restart(self, node: str) -> None:
        self.world.restart(node)

    def do_state(self, *nodes: str) -> None:
        for node in nodes or self.world.hosts:
            host = self.world.hosts[node]
            if host.core is None:
                self.world.output.append(f"{node} is down")
                continue
            core, log = host.core, host.core.log
            terms = ",".join(str(entry.term) for entry in log.entries) or "-"
            self.world.output.append(
                f"{node} {core.role.value} t{core.term} vote={core.vote or '-'} leader={core.leader or '-'} "
                f"log={log.base}/{log.base_term}+[{terms}] durable={log.durable} commit={log.commit}"
            )


def _pair(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() else text


def _entries(text: str) -> tuple[Entry, ...]:
    """`3/2,4/2`: index/term of each."""
    pairs = (word.split("/") for word in text.split(",") if word)
    return tuple(Entry(int(term), int(index)) for index, term in pairs)


def replay(text: str) -> str:
    """The transcript with every output as the core gives it now."""
    player = Player()
    written: list[str] = []
    in_output = False
    for line in text.splitlines():
        if line == RULE:
            continue
        if not line.strip():
            in_output = False
            written.append("")
        elif line.startswith("#"):
            written.append(line)
        elif not in_output:
            written.extend((line, RULE, player.play(line)))
            in_output = True
    return "\n".join(written).rstrip() + "\n"
