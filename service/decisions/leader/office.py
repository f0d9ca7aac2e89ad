"""What the leader does for as long as it leads: keep Redis as the log says, hold locks back no longer than needed,
see to it that every partition has an owner, and answer the nodes that report.

One pass after another, never two at once. A pass is due when a report brings news, when a connection to Redis was made,
and once a second; all it does depends on what is decided and on what is there, so a pass that fails is simply repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from service import background
from service.clock import steady_s
from service.decisions.decide import Decisions
from service.decisions.leader.desk import Desk
from service.decisions.leader.fencing import Disputed, Fencing, Foreign
from service.decisions.leader.rollout import Rollout
from service.decisions.node.reports import Answer, Report, encoder, report_decoder
from service.decisions.replicated.commands import AssignPartitions
from service.decisions.replicated.machine import DecisionMachine
from service.decisions.replicated.rules.owners import owners_among
from service.error_registry import NotCommitted, RaftMessageInvalid
from service.errors import SimpulError
from service.raft.runner import Runner

log = logging.getLogger("simpul.decisions")

PASS_EVERY_S = 1.0
PASS_S = 2.0
"""How long a node in trouble waits for the leader to look at Redis."""
BLIND_S = 2.0
"""How long a leader does without Redis, while another node has it, before it gives leadership away."""
HAND_OVER_S = 0.5
CONFIRM_S = 1.0
"""How long an answer waits for a majority to prove that this node leads."""
PATIENCE_S = CONFIRM_S / 2
"""An interval of heartbeats longer than this is not waited for."""
_WORTHWHILE_S = 0.01
"""A quarantine is not shortened by less."""
_AGAIN_S = 0.05
"""Pause after a pass that failed."""


class Office:
    def __init__(
        self,
        runner: Runner,
        machine: DecisionMachine,
        decisions: Decisions,
        *,
        desk: Desk,
        fencing: Fencing,
        rollout: Rollout,
    ) -> None:
        self.desk = desk
        self.rollout = rollout
        self.trouble = ""
        """Why Redis is not as the log says, after the last pass."""
        self.foreign = ""
        """The cluster whose data Redis holds instead of ours."""
        self._said = ""
        self._runner = runner
        self._machine = machine
        self._decisions = decisions
        self._fencing = fencing
        self._imposed: tuple[int, float] | None = None
        """Generation, and when on this clock its quarantine ends as Redis was told last, in s."""
        self._blind_since: float | None = None
        self._due = asyncio.Event()
        self._is_passing = False
        self._passed = asyncio.Event()
        self._passes = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = background.start(self._run(), "the leader's office")

    async def stop(self) -> None:
        await background.stop(self._task)

    async def receive(self, body: bytes) -> bytes:
        """Answer a node's report. Raises RaftMessageInvalid, NotCommitted when this node does not lead."""
        try:
            report = report_decoder.decode(body)
        except ValueError as error:
            raise RaftMessageInvalid(reason=f"it is no report: {error}") from None
        return encoder.encode(await self._answer(report))

    async def _answer(self, report: Report) -> Answer:
        self._must_lead()
        brings_news = self.desk.hear(report, self._machine.state)
        if report.is_troubled:
            self._fencing.doubt()
            await self._pass_from_now()
        elif brings_news:
            self._due.set()
        # Only now is it certain that this node still led after the report came: a deposed leader extends nothing. A
        # report that says nothing new can wait for the next heartbeats to prove it: they go out anyhow.
        is_urgent = report.is_troubled or brings_news or self._runner.heartbeat_s > PATIENCE_S
        await self._decisions.confirm_read(CONFIRM_S, is_urgent=is_urgent)
        self._must_lead()
        state = self._machine.state
        delegation_ms = state.setting("delegation_ms") if report.generation == state.generation else 0
        return Answer(delegation_ms, self._runner.applied, self.foreign, self.trouble)

    def quarantine_left_s(self) -> float:
        """How long no lock is granted yet, as this node has told Redis; 0 on a node that does not lead."""
        return max(0.0, self._imposed[1] - steady_s()) if self._imposed and self._runner.leads() else 0.0

    def _must_lead(self) -> None:
        if not self._runner.leads():
            raise NotCommitted(reason="this node does not lead")

    async def _pass_from_now(self) -> None:
        """Until a pass that began after this call has ended."""
        wanted = self._passes + 2 if self._is_passing else self._passes + 1
        self._due.set()
        try:
            async with asyncio.timeout(PASS_S):
                while self._passes < wanted and self._runner.leads():
                    await self._passed.wait()
        except TimeoutError:
            raise NotCommitted(reason=self.trouble or "Redis does not answer the leader") from None

    # The passes

    async def _run(self) -> None:
        while True:
            while not self._runner.leads():
                await self._runner.changed()
            self.desk.take_over()
            self._fencing.take_over()
            self._imposed = None
            try:
                # What was decided before this term must be known before anything is concluded from it.
                await self._decisions.confirm_read()
            except NotCommitted:
                continue
            await self._lead()

    async def _lead(self) -> None:
        while self._runner.leads():
            self._due.clear()
            self._is_passing = True
            has_failed = await self._pass()
            self._is_passing = False
            self._passes += 1
            self._passed.set()
            self._passed = asyncio.Event()
            await self._wait(_AGAIN_S if has_failed else background.until_beat_s(PASS_EVERY_S))
        self._passed.set()
        self._passed = asyncio.Event()

    async def _wait(self, most_s: float) -> None:
        try:
            async with asyncio.timeout(most_s):
                await self._due.wait()
        except TimeoutError:
            return

    async def _pass(self) -> bool:
        """True when it has to be tried again soon."""
        if not self._machine.state.cluster_id:
            return True
        self.foreign = ""
        try:
            await self.rollout.settle()
            await self._fencing.settle(self._hold_ms, self._outvotes)
            await self._shorten()
            await self._assign()
            await self._make_way(is_outvoted=False)
        except Foreign as error:
            self.foreign, trouble = error.cluster_id, str(error)
        except Disputed as error:
            trouble = str(error)
            await self._make_way(is_outvoted=True)
        except SimpulError as error:
            trouble = error.detail
        else:
            trouble = ""
        self.trouble = trouble
        if trouble and trouble != self._said:
            # Once: the same trouble comes and goes with every attempt to connect.
            log.warning("not as decided: %s", trouble)
            self._said = trouble
        return bool(trouble)

    def _hold_ms(self) -> int:
        state = self._machine.state
        return self.desk.old_leases_left_ms(state) if state.setting("quarantine") else 0

    def _outvotes(self, run_id: str, seen: Collection[str]) -> tuple[str, ...]:
        state = self._machine.state
        return tuple(state.nodes[node].name for node in self.desk.outvotes(run_id, seen, state))

    async def _make_way(self, *, is_outvoted: bool) -> None:
        """A leader that does not reach Redis, or another one than the others, keeps everybody from it: whoever does
        shall lead."""
        if self._fencing.reaches() and not is_outvoted:
            self._blind_since = None
            return
        now = steady_s()
        self._blind_since = self._blind_since or now
        better = self.desk.reaches_redis(self._machine.state, blessed=is_outvoted)
        if better is not None and now - self._blind_since > BLIND_S:
            self._blind_since = None
            handed = await self._runner.hand_over(HAND_OVER_S, better)
            log.warning("Redis cannot be reached from here; leadership %s", "handed over" if handed else "kept")

    async def _shorten(self) -> None:
        """Once every node has said how long its old leases run, that is how long locks are held back."""
        generation = self._machine.state.generation
        if generation == 0:
            return
        left_ms = self._hold_ms()
        ends_at = steady_s() + left_ms / 1000
        if self._imposed is None or self._imposed[0] != generation or ends_at < self._imposed[1] - _WORTHWHILE_S:
            longest_ms = await self._fencing.shorten(left_ms)
            if longest_ms is not None:
                self._imposed = generation, ends_at if longest_ms >= 0 else 0.0

    async def _assign(self) -> None:
        state = self._machine.state
        live = self.desk.live(state)
        if not live or not self.desk.is_settled(state):
            return
        owners = owners_among(live)
        if owners != state.owners:
            await self._decisions.propose(AssignPartitions(state.assignment, owners))
            log.info("partitions are assigned to %s", ", ".join(state.nodes[node].name for node in live))
