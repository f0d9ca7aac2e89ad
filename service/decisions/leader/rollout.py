"""The leader's work on script sets: the first one, and whether another is ready to be activated."""

from __future__ import annotations

import logging

from service.decisions.decide import Decisions
from service.decisions.leader.desk import Desk
from service.decisions.replicated.commands import ActivateScripts, StageScripts
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import ScriptSetFirst, ScriptSetNotLoaded, ScriptSetUnknown
from service.store import bundle
from service.store.bundle import ScriptSet

log = logging.getLogger("simpul.decisions")


class Rollout:
    def __init__(
        self, machine: DecisionMachine, decisions: Decisions, desk: Desk, shipped: ScriptSet, *, is_automatic: bool
    ) -> None:
        """`is_automatic`: activate the set that every node of the cluster was installed with, unasked."""
        self._machine = machine
        self._decisions = decisions
        self._desk = desk
        self._shipped = shipped
        self._is_automatic = is_automatic

    async def settle(self) -> None:
        """Give a new cluster its first scripts, and, where that is wished, a wholly upgraded one its new ones."""
        state = self._machine.state
        version = self._shipped.version
        if not state.script_set:
            await self._stage()
            await self._activate(version)
        elif self._is_automatic and state.script_set != version and self._all_ship(version):
            await self._stage()
            if not self._why_not(version):
                await self._activate(version)

    async def activate(self, version: str, request_id: str | None = None) -> None:
        """Raises ScriptSetUnknown, ScriptSetNotLoaded, ScriptSetStrandsData, ScriptSetMoved."""
        state = self._machine.state
        if version not in state.script_sets:
            raise ScriptSetUnknown(version=version, known=", ".join(state.script_sets))
        if version == state.script_set:
            return  # a repeat, or wished by two
        if why := self._why_not(version):
            raise ScriptSetNotLoaded(version=version, reason=why)
        await self._activate(version, request_id)

    async def go_back(self, request_id: str | None = None) -> str:
        """Activate the set that was active before; which one that was. Raises ScriptSetFirst, and as `activate`."""
        state = self._machine.state
        known = state.outcomes.get(request_id or "")
        if known is not None:
            # A repeat: to go back once more would be forward again.
            return str(known[1].result().get("version"))
        if len(state.activations) < 2:
            raise ScriptSetFirst(version=state.script_set or "none")
        version = state.activations[-2]
        await self.activate(version, request_id)
        return version

    def _all_ship(self, version: str) -> bool:
        heard = self._desk.heard
        return all(node in heard and heard[node].report.shipped == version for node in self._machine.state.nodes)

    def _why_not(self, version: str) -> str:
        """Why a set is not ready: every live node must have loaded it on every primary, and said so."""
        state = self._machine.state
        live = self._desk.live(state)
        if not live:
            return "no node was heard yet"
        for node in live:
            why = self._desk.heard[node].report.loaded.get(version, "it was not told of it yet")
            if why:
                return f"{state.nodes[node].name}: {why}"
        return ""

    async def _stage(self) -> None:
        command = StageScripts(self._shipped.version, bundle.pack(self._shipped))
        if command.version not in self._machine.state.script_sets:
            await self._decisions.propose(command)

    async def _activate(self, version: str, request_id: str | None = None) -> None:
        before = self._machine.state.script_set
        await self._decisions.propose(ActivateScripts(version, before), request_id)
        log.info("script set %s is active (was %s)", version, before or "none")
