"""Reports of this node to whoever leads: regularly, when a generation was acknowledged, and at once when in trouble."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from service import background
from service.clock import steady_s
from service.decisions.decide import Decisions
from service.decisions.node.delegation import Delegation
from service.decisions.node.fence import Fence
from service.decisions.node.leader_line import LeaderLine
from service.decisions.node.leases import Leases
from service.decisions.node.reports import DEADLINE_S, PATH, Answer, Report, answer_decoder, encoder
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import NotCommitted
from service.raft.connection import Unreachable
from service.raft.messages import NodeId
from service.raft.runner import Runner
from service.store.primaries import Primaries

log = logging.getLogger("simpul.decisions")

REPORTS_PER_DELEGATION = 10
LEADERLESS_S = 1.0
"""How long a call in trouble waits for a leader before it is refused."""
CATCH_UP_S = 1.0


class Reporter:
    def __init__(
        self,
        me: NodeId,
        *,
        runner: Runner,
        machine: DecisionMachine,
        decisions: Decisions,
        line: LeaderLine,
        fence: Fence,
        leases: Leases,
        delegation: Delegation,
        primaries: Primaries,
        shipped: str,
        crashed_before: float | None,
        is_first_life: bool,
    ) -> None:
        """`crashed_before`: a time by which an earlier life of this node had ended without saying what it granted,
        unless this is the first one."""
        self._me = me
        self._runner = runner
        self._machine = machine
        self._decisions = decisions
        self._line = line
        self._fence = fence
        self._leases = leases
        self._delegation = delegation
        self._primaries = primaries
        self._shipped = shipped
        self._crashed_before = crashed_before
        self._is_first_life = is_first_life
        self._old_leases_end_at = 0.0
        self._due = asyncio.Event()
        self._is_troubled = False
        self._next: asyncio.Future[Answer | None] | None = None
        self._task: asyncio.Task[None] | None = None
        fence.on_generation(self._acknowledge)
        fence.on_news(self._due.set)

    def start(self) -> None:
        self._task = background.start(self._run(), "reports to the leader")

    async def stop(self) -> None:
        await background.stop(self._task)

    async def trouble(self) -> Answer | None:
        """Tell the leader that Redis is not as the log says. Its answer to a report that was sent after this call, once
        this node shows what it had decided; None without a leader."""
        self._is_troubled = True
        self._due.set()
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._next)

    def leases_end_at(self) -> float:
        """When whatever this node ever granted has ended, on this clock."""
        return max(self._leases.end_at(), self._earlier_leases_end_at())

    def _earlier_leases_end_at(self) -> float:
        """Of a life before this one that left no note. A node whose disk was replaced had one, too."""
        state = self._machine.state
        if self._crashed_before is None or (self._is_first_life and not state.lost_disks):
            return 0.0
        return self._crashed_before + state.cover(self._me).lease_ms / 1000

    def _acknowledge(self) -> None:
        """From here on this node grants nothing under older generations."""
        self._old_leases_end_at = self._leases.end_at()
        self._due.set()

    async def _run(self) -> None:
        while True:
            await self._one_round()
            interval_s = self._machine.setting("delegation_ms") / 1000 / REPORTS_PER_DELEGATION
            await background.first_of((self._due.wait(), self._runner.changed()), background.until_beat_s(interval_s))

    async def _one_round(self) -> None:
        self._due.clear()
        waiting, self._next = self._next, None
        is_troubled, self._is_troubled = self._is_troubled, False
        if self._runner.soft_state.leader is None:
            await background.first_of((self._runner.changed(),), LEADERLESS_S)
        answer = await self._report(is_troubled=is_troubled)
        self._delegation.lower_if_due()
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def _report(self, *, is_troubled: bool) -> Answer | None:
        sent_at = steady_s()
        try:
            told = encoder.encode(self._standing(is_troubled=is_troubled))
            answer = answer_decoder.decode(await self._line.ask(PATH, told, DEADLINE_S))
            if answer.applied > self._runner.applied:
                await self._decisions.confirm_read(CATCH_UP_S)
        except (Unreachable, NotCommitted, msgspec.DecodeError) as error:
            log.debug("the leader did not take the report: %s", error)
            return None
        self._delegation.extend(sent_at, answer.delegation_ms)
        return answer

    def _standing(self, *, is_troubled: bool) -> Report:
        old_leases_end_at = max(self._old_leases_end_at, self._earlier_leases_end_at())
        left_ms = int((old_leases_end_at - steady_s()) * 1000) + 1
        return Report(
            node=self._me,
            generation=self._fence.generation,
            old_leases_ms=max(0, left_ms),
            is_troubled=is_troubled,
            shipped=self._shipped,
            loaded=self._fence.loaded(),
            redis={link.address: str(link.incarnation or "") for link in self._primaries.links},
            run_ids=tuple(link.incarnation.run_id for link in self._primaries.links if link.incarnation is not None),
        )
