"""Who waits for whom, for people: what the leader was told, as it stands in Redis now."""

from __future__ import annotations

from itertools import islice

import msgspec

from service.decisions.node.leader_line import LeaderLine
from service.decisions.replicated.commands import Outcome, refused
from service.error_registry import NotCommitted
from service.errors import SimpulError
from service.limits import LOCK_WAITERS_SHOWN_MAX
from service.lock.deadlock.graph import Line, Wait, in_the_way
from service.lock.deadlock.watch import Watch
from service.raft.connection import Unreachable
from service.raft.runner import Runner

PATH = "/raft/waits/shown"
DEADLINE_S = 5.0
_BLOCKERS_SHOWN_MAX = 10


class Blocker(msgspec.Struct, frozen=True):
    """A hold in the way."""

    owner: str
    mode: str
    token: int


class WaitView(msgspec.Struct, frozen=True):
    """One wait for one lock; `behind` is the owner of the place ahead of it."""

    owner: str
    waits_for: str
    mode: str
    waits_ms: int
    position: int
    behind: str | None
    held_by: list[Blocker]
    holder_count: int


class WaitsView(msgspec.Struct, frozen=True):
    """`told` counts all waits that the leader knows, of which the first 100 are looked at; one that ended since it was
    told is not shown."""

    leader: str
    term: int
    told: int
    deadlocks: int
    """Waits that this leader ended since its start."""
    waits: list[WaitView]
    more: bool


_encoder = msgspec.msgpack.Encoder()
_outcome_decoder = msgspec.msgpack.Decoder(Outcome)


class Overview:
    """The leader's answer."""

    def __init__(self, runner: Runner, watch: Watch) -> None:
        self._runner = runner
        self._watch = watch

    async def answer(self, _: bytes) -> bytes:
        try:
            self._watch.must_lead()
            view = await self._view()
        except SimpulError as error:
            return _encoder.encode(refused(error))
        return _encoder.encode(Outcome("ok", msgspec.to_builtins(view)))

    async def _view(self) -> WaitsView:
        table, sight = self._watch.table, self._watch.sight
        known = [wait for _, wait in islice(table.all(), LOCK_WAITERS_SHOWN_MAX)]
        names = {sight.place(name).lock: name for wait in known for name in wait.resources}
        lines = await sight.read(names.values())
        wanted = {wait.waiter for wait in known}
        shown = [
            _shown(names[lock], line, at, sight.now_ms)
            for lock, line in lines.items()
            for at, wait in enumerate(line.waits)
            if wait.waiter in wanted
        ]
        state = self._runner.soft_state
        return WaitsView(
            leader=state.leader or "",
            term=state.term,
            told=len(table),
            deadlocks=self._watch.ended,
            waits=sorted(shown, key=lambda one: -one.waits_ms),
            more=len(table) > len(known),
        )


def _shown(resource: str, line: Line, at: int, now_ms: int) -> WaitView:
    wait: Wait = line.waits[at]
    holds = [hold for hold in line.holds if in_the_way(wait, hold)]
    return WaitView(
        owner=wait.owner.decode(),
        waits_for=resource,
        mode=wait.mode,
        waits_ms=max(0, now_ms - wait.place // 1000),
        position=at + 1,
        behind=line.waits[at - 1].owner.decode() if at else None,
        held_by=[Blocker(hold.owner.decode(), hold.mode, hold.token) for hold in holds[:_BLOCKERS_SHOWN_MAX]],
        holder_count=len(holds),
    )


class Asking:
    """The same from any node."""

    def __init__(self, line: LeaderLine) -> None:
        self._line = line

    async def waits(self) -> WaitsView:
        """Raises NotCommitted when no leader answers, and what the leader's Redis raises."""
        try:
            outcome = _outcome_decoder.decode(await self._line.ask(PATH, b"", DEADLINE_S))
        except (Unreachable, msgspec.DecodeError) as error:
            raise NotCommitted(reason=str(error)) from None
        return msgspec.convert(outcome.result(), WaitsView)
