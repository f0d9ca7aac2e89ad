"""The one loop around the core: everything that happens to a member goes through one queue, one thing at a time.

Inputs (messages, ticks, proposals, storage answers, reads) only append to the queue and ask for a turn. A turn drains
the queue into the core and then does everything the core asks for; it never awaits, so no two turns overlap.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from service.raft.chronicle import Chronicle
from service.raft.config import Config
from service.raft.core import Raft
from service.raft.errors import NotLeader, Refused
from service.raft.messages import Entry, EntryKind, Message, NodeId, Snapshot
from service.raft.ready import Ready, Role, SoftState
from service.raft.storage import Compact, Job, Save
from service.raft.waiting import Proposals, Reads

log = logging.getLogger("simpul.raft")

QUIET_HEARTBEATS = 2
"""So many heartbeats pass uncounted at the most: longer than a follower of a living leader hears nothing, so that no
timer wakes it; and not much longer, for what of it was a stall is not known."""
STALL_GRACE_S = 0.02
"""How long ticks wait after a stall, so that what arrived during it is read from the sockets first."""


class Machine(Protocol):
    """The replicated state machine, as the runner uses it. Every method is pure but for the machine's own state."""

    def apply(self, index: int, data: bytes) -> Any:
        """Fold one command in and return its outcome."""

    def save(self) -> bytes: ...

    def restore(self, data: bytes) -> None: ...


class Disk(Protocol):
    """A Writer, as the runner uses it."""

    pending: int

    def submit(self, job: Job, done: Callable[[], None]) -> None: ...


class Timing(NamedTuple):
    """Seconds a tick, and ticks after which a disk that does not answer is given up."""

    tick_s: float
    disk_hung_ticks: int


class Runner:
    """A member at work. `start` and everything else on one event loop."""

    def __init__(
        self,
        core: Raft,
        machine: Machine,
        disk: Disk,
        timing: Timing,
        chronicle: Chronicle,
        *,
        send: Callable[[list[Message]], None],
        fatal: Callable[[str], None],
        snapshot_entries: Callable[[], int],
    ) -> None:
        """`fatal` must end the process: it is called when this member may no longer take part. `snapshot_entries`
        (>= 1) is asked again for every snapshot."""
        self.core = core
        self.config: Config = core.config
        self.applied = core.log.base
        self.soft_state: SoftState = core.soft_state()
        self.proposals = Proposals()
        self.stalls = 0
        self.is_dead = False
        self._machine = machine
        self._disk = disk
        self._timing = timing
        self._chronicle = chronicle
        self._send = send
        self._fatal = fatal
        self._snapshot_entries = snapshot_entries
        self._reads = Reads()
        self._inputs: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._turn_is_due = False
        self._is_snapshotting = False
        self._write_ticks = 0
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_is_due = False
        self._ticked_at = 0.0
        self._planned_ticks = 1
        """After `_ticked_at` the timer comes."""
        self._loop: asyncio.AbstractEventLoop

    # Life

    def start(self) -> None:
        """Begin to tick.

        A member that is its own majority elects itself at once: there is nobody to wait for. Any other has waited for a
        leader for as long as it was not running, so most of the time that allows a campaign counts as over: a new
        cluster need not wait for it. Where there is a leader, the pre-vote is refused and nobody is disturbed.
        """
        self._loop = asyncio.get_running_loop()
        self._ticked_at = self._loop.time()
        is_alone = len(self.config.members) == 1
        election_ticks = self.config.election_ticks
        absent_ticks = 2 * election_ticks if is_alone else election_ticks - self.config.heartbeat_ticks
        self._input(self.core.count_absence, absent_ticks)
        self._input(self.core.tick)
        self._set_timer()

    def stop(self) -> None:
        """Take no more part. Whoever waits for something is told that its outcome is unknown."""
        self.is_dead = True
        if self._timer is not None:
            self._timer.cancel()
        self._inputs.clear()
        self.proposals.abandon("this node is stopping")
        self._reads.lost_all()
        self._announce()

    def die(self, why: str) -> None:
        """Stop leading and speaking at once, and end the process."""
        if not self.is_dead:
            self.stop()
            self._fatal(why)

    # Inputs

    def step(self, message: Message) -> None:
        """A message has arrived. It finds the time counted that has passed, so that no timer need wake an idle process
        for that. But not the time of a stall: what else lies in the sockets goes first."""
        due = self._ticks_due()
        if 0 < due < self._planned_ticks + self.config.heartbeat_ticks:
            self._pass(due)
        self._input(self.core.step, message)

    def unreachable(self, peer: NodeId) -> None:
        """A request to `peer` failed."""
        self._input(self.core.report_unreachable, peer)

    def snapshot_ended(self, peer: NodeId, delivered: bool) -> None:
        """The transfer of a snapshot to `peer` is over."""
        self._input(self._report_snapshot, peer, delivered)

    def disk_replaced(self, peer: NodeId) -> None:
        """What `peer` acknowledged is gone with its disk."""
        self._input(self.core.report_disk_replaced, peer)

    def propose(self, data: bytes) -> asyncio.Future[Any]:
        """The outcome of `data` once applied here. Fails with raft's Refused or `Superseded` (certainly not
        committed), or `Unknown`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.is_dead:
            future.set_exception(NotLeader(None))
        else:
            self._input(self._propose, data, future)
        return future

    def confirm_read(self, *, is_urgent: bool = True) -> asyncio.Future[None]:
        """Done once this node shows everything committed before now (ReadIndex, thesis §6.4); on a leader that is not
        urged, with its next heartbeats. Fails with Refused or `ReadLost`; then ask again."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_dead:
            future.set_exception(NotLeader(None))
        else:
            self._input(self._read, future, is_urgent)
        return future

    @property
    def heartbeat_s(self) -> float:
        """How long a read that is not urgent waits for the round that confirms it, at the most."""
        return self.config.heartbeat_ticks * self._timing.tick_s

    async def changed(self) -> None:
        """Wait for the next change of role, term or leader."""
        await self._changed.wait()

    def leads(self) -> bool:
        """True while this node is the leader, as far as it knows."""
        return self.soft_state.role is Role.LEADER and not self.is_dead

    async def hand_over(self, within_s: float, to: NodeId | None = None) -> bool:
        """Give leadership to `to`, or else to the follower that is furthest, within `within_s` seconds; True if this
        node does not lead afterwards."""
        if not self.leads():
            return True
        self._input(self._transfer, to)
        try:
            async with asyncio.timeout(within_s):
                while self.leads():
                    await self.changed()
        except TimeoutError:
            return False
        return True

    def _input(self, handler: Callable[..., None], *arguments: Any) -> None:
        if self.is_dead:
            return
        self._inputs.append((handler, arguments))
        if not self._turn_is_due:
            self._turn_is_due = True
            self._loop.call_soon(self._turn)

    # Time

    def _set_timer(self) -> None:
        self._timer_is_due = False
        if self._timer is not None:
            self._timer.cancel()
        most = QUIET_HEARTBEATS * self.config.heartbeat_ticks
        self._planned_ticks = max(1, min(self.core.quiet_ticks(), most))
        self._timer = self._loop.call_at(self._ticked_at + self._planned_ticks * self._timing.tick_s, self._on_timer)

    def _ticks_due(self) -> int:
        return int((self._loop.time() - self._ticked_at) / self._timing.tick_s + 0.01)

    def _on_timer(self) -> None:
        due = self._ticks_due()
        if 0 < due < self._planned_ticks + self.config.heartbeat_ticks:
            self._pass(due)
            return
        if due:
            # Stalled: the process was stopped, or the loop was busy. Its silence was ours, not the leader's. What the
            # others said meanwhile waits in the sockets and must be heard before time passes.
            self.stalls += 1
            self._ticked_at = self._loop.time()
            self._loop.call_later(STALL_GRACE_S, self._input, self._ticks, self.config.heartbeat_ticks)
        self._set_timer()

    def _pass(self, due: int) -> None:
        self._ticked_at += due * self._timing.tick_s
        self._timer_is_due = True
        self._input(self._ticks, due)

    def _ticks(self, count: int) -> None:
        for _ in range(count):
            self.core.tick()
        if not self._disk.pending:
            return
        # Counted in ticks, not by the clock: a stopped process must not take its own sleep for a hung disk.
        self._write_ticks += count
        if self._write_ticks > self._timing.disk_hung_ticks:
            waited_s = self._write_ticks * self._timing.tick_s
            self.die(f"the disk has not answered a write for {waited_s:.1f} s")

    # One turn

    def _turn(self) -> None:
        self._turn_is_due = False
        try:
            while self._inputs:
                handler, arguments = self._inputs.popleft()
                handler(*arguments)
            self._carry_out()
            if self._timer_is_due and not self.is_dead:
                self._set_timer()
        except Exception as error:
            # Nothing that reaches this point leaves a member that can be trusted (see service.raft.core).
            log.critical("Raft cannot go on", exc_info=error)
            self.die(f"{type(error).__name__}: {error}")

    def _carry_out(self) -> None:
        messages: list[Message] = []
        while not self.is_dead and self.core.has_ready():
            ready = self.core.ready()
            messages += ready.messages
            self._do(ready)
        if messages and not self.is_dead:
            # Together: the answers to one request can then travel home in one response.
            self._send(messages)
        self._snapshot_if_due()

    def _do(self, ready: Ready) -> None:
        if ready.write_ack is not None:
            save = Save(ready.hard_state, ready.snapshot, ready.entries)
            self._disk.submit(save, lambda: self._input(self._written, ready))
        for event in ready.events:
            self._chronicle.heard(event)
        for entry in ready.committed:
            self._apply(entry)
        if ready.apply_ack is not None:
            self.core.advance(ready.apply_ack)
        for context in ready.reads_lost:
            self._reads.lost(context)
        for read in ready.read_states:
            self._reads.confirmed(read.context, read.index)
        self._reads.applied(self.applied)
        if ready.soft_state is not None:
            self.soft_state = ready.soft_state
            self._timer_is_due = True  # what it was set for is another role's
            self._announce()

    def _apply(self, entry: Entry) -> None:
        outcome = self._machine.apply(entry.index, entry.data) if entry.kind is EntryKind.NORMAL else None
        self.applied = entry.index
        self.proposals.applied(entry.index, entry.term, outcome)

    def _written(self, ready: Ready) -> None:
        self._write_ticks = 0
        if ready.snapshot is not None:
            self._machine.restore(ready.snapshot.data)
            self.applied = ready.snapshot.index
            self.proposals.skipped_to(self.applied)
        if ready.write_ack is not None:
            self.core.advance(ready.write_ack)

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # Snapshots

    def _snapshot_if_due(self) -> None:
        """Fold the log into a snapshot every so many entries, so that neither memory nor disk grows without bound."""
        core = self.core
        since = core.log.snapshot.index if core.log.snapshot else 0
        if self.is_dead or self._is_snapshotting or self.applied - since < max(1, self._snapshot_entries()):
            return
        term = core.log.term_at(self.applied)
        if term is None or core.log.pending_snapshot is not None:
            return  # the leader's snapshot is being installed over it
        snapshot = Snapshot(self.applied, term, self.config.members, self._machine.save())
        self._is_snapshotting = True
        self._disk.submit(Compact(snapshot), lambda: self._input(self._compacted, snapshot))

    def _compacted(self, snapshot: Snapshot) -> None:
        self._write_ticks = 0
        self._is_snapshotting = False
        if self.core.log.snapshot is None or snapshot.index > self.core.log.snapshot.index:
            self.core.compact(snapshot)

    # Requests

    def _propose(self, data: bytes, future: asyncio.Future[Any]) -> None:
        if future.done():
            return  # its caller has given up, and it is certain that nothing happened
        try:
            place = self.core.propose(data)
        except Refused as error:
            future.set_exception(error)
        else:
            self.proposals.add(place.index, place.term, future)

    def _read(self, future: asyncio.Future[None], is_urgent: bool) -> None:
        context = self._reads.add(future)
        try:
            self.core.read_index(context, is_urgent=is_urgent)
        except Refused as error:
            self._reads.refused(context, error)

    def _report_snapshot(self, peer: NodeId, delivered: bool) -> None:
        self.core.report_snapshot(peer, delivered=delivered)

    def _transfer(self, to: NodeId | None) -> None:
        to = (to or self.core.best_transferee()) if self.leads() else None
        if to is not None:
            self.core.transfer_leadership(to)
