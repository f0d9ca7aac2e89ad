"""What this node may send to Redis, as far as it knows: which Redis, under which generation, with which scripts.

All of it comes from the log. What Redis holds is only ever compared with it: when the two differ, either this node is
behind, and catches up, or Redis is, and the leader is told. The caller whose call found it out waits meanwhile and is
then sent again, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import hiredis
import msgspec

from service import background
from service.decisions.node.reports import Answer
from service.decisions.replicated.commands import Blessed
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import ClusterForeign, StoreUnblessed
from service.errors import SimpulError
from service.store import bundle
from service.store.bundle import ScriptSet
from service.store.incarnation import Incarnation
from service.store.link import Link
from service.store.primaries import Primaries
from service.store.scripts import Scripts

log = logging.getLogger("simpul.decisions")

BLESSING_S = 3.0
"""How long a new connection waits for the leader's word before it is given up and tried anew."""
_LOADED = ""


class Reporting(Protocol):
    """The reporter, as the fence uses it."""

    async def trouble(self) -> Answer | None:
        """Tell the leader, and return once this node shows what it decided; None if there is no leader."""


def blessing(incarnation: Incarnation) -> Blessed:
    return Blessed(incarnation.run_id, incarnation.replication_id)


def is_blessed(incarnation: Incarnation, primaries: Iterable[Blessed]) -> bool:
    return any(incarnation.is_same(*msgspec.structs.astuple(primary)) for primary in primaries)


class Fence:
    """Implements the store's Gate and FenceSource."""

    def __init__(self, machine: DecisionMachine) -> None:
        self._machine = machine
        self._sets: dict[str, ScriptSet] = {}
        self._loaded: dict[tuple[str, str], str] = {}
        """By script set and address of a primary: empty, or why the scripts are not there."""
        self._on_generation: list[Callable[[], None]] = []
        self._on_news: list[Callable[[], None]] = []
        self._settling: asyncio.Task[Answer | None] | None = None
        self._moved = asyncio.Event()
        self.generation = 0
        self.script_set = ""

    def connect(self, primaries: Primaries, scripts: Scripts, reporting: Reporting) -> None:
        """The parts it works with, which need it to be made first. The state so far is followed at once."""
        self._primaries, self._scripts, self._reporting = primaries, scripts, reporting
        self._machine.on_change(self._follow)
        self._follow()

    def on_news(self, callback: Callable[[], None]) -> None:
        """Called when the leader should hear at once what this node has loaded."""
        self._on_news.append(callback)

    def on_generation(self, callback: Callable[[], None]) -> None:
        """Called after this node has moved to another generation."""
        self._on_generation.append(callback)

    @property
    def text(self) -> str:
        """`generation.script_set`, as it stands in Redis."""
        return f"{self.generation}.{self.script_set}"

    def known_sets(self) -> dict[str, ScriptSet]:
        return dict(self._sets)

    def loaded(self) -> dict[str, str]:
        """By script set: empty once every primary has its scripts, else why not."""
        return {
            version: next(filter(None, map(partial(self._why_not_loaded, version), self._primaries.links)), _LOADED)
            for version in self._sets
        }

    def _why_not_loaded(self, version: str, link: Link) -> str:
        return self._loaded.get((version, link.address), f"not loaded at {link.address} yet")

    # What the store asks

    async def admit(self, link: Link) -> None:
        """Return when the log names this very Redis. Raises StoreUnblessed, ClusterForeign, or what Redis says to the
        scripts of the active set."""
        incarnation = link.incarnation
        assert incarnation is not None  # noqa: S101 - a link asks for admission once it knows who answers
        answer = None
        try:
            async with asyncio.timeout(BLESSING_S):
                while not self._is_blessed(incarnation):
                    moved = asyncio.ensure_future(self._moved.wait())
                    answer = await self._reporting.trouble()
                    if not self._is_blessed(incarnation):
                        await moved
        except TimeoutError:
            raise self._unblessed(link, answer) from None
        for version in list(self._sets):
            await self._load(version, link)
        if why := self._why_not_loaded(self.script_set, link):
            raise StoreUnblessed(address=link.address, incarnation=str(incarnation), reason=why)

    async def refused(self, seen: bytes | None) -> bool:
        """Redis holds `seen`, or no fence, instead of ours. True when sending again makes sense."""
        if seen is not None and seen.decode() == self.text:
            return True  # this node has caught up since the call was sent
        if self._settling is None:
            self._settling = asyncio.create_task(self._reporting.trouble(), name="fence trouble")
            self._settling.add_done_callback(self._settled)
        return await asyncio.shield(self._settling) is not None

    def _settled(self, _: asyncio.Task[Answer | None]) -> None:
        self._settling = None

    def _is_blessed(self, incarnation: Incarnation) -> bool:
        return bool(self.script_set) and is_blessed(incarnation, self._machine.state.primaries)

    def _unblessed(self, link: Link, answer: Answer | None) -> SimpulError:
        if answer is not None and answer.foreign:
            return ClusterForeign(address=link.address, cluster_id=answer.foreign, ours=self._machine.state.cluster_id)
        accepted = ", ".join(primary.run_id[:8] for primary in self._machine.state.primaries) or "none yet"
        reason = "no leader is there to accept it" if answer is None else answer.trouble
        return StoreUnblessed(
            address=link.address, incarnation=accepted, reason=reason or "the leader reaches another Redis"
        )

    # What the log says

    def _follow(self) -> None:
        state = self._machine.state
        self._keep_sets()
        has_moved = state.generation != self.generation
        if has_moved or state.script_set != self.script_set:
            self.generation, self.script_set = state.generation, state.script_set
            if self.script_set:
                self._scripts.activate(self._sets[self.script_set], self.generation, self.text.encode())
            log.info("generation %d, script set %s", self.generation, self.script_set or "none yet")
            self._moved.set()
            self._moved = asyncio.Event()
        if has_moved:
            self._leave_unblessed()
            for callback in self._on_generation:
                callback()

    def _leave_unblessed(self) -> None:
        for link in self._primaries.links:
            if link.is_up and link.incarnation is not None and not self._is_blessed(link.incarnation):
                link.reconnect("the cluster works with another Redis now")

    def _keep_sets(self) -> None:
        stored = self._machine.state.script_sets
        for gone in [version for version in self._sets if version not in stored]:
            del self._sets[gone]
            self._loaded = {key: why for key, why in self._loaded.items() if key[0] != gone}
        for version in [version for version in stored if version not in self._sets]:
            self._sets[version] = bundle.unpack(stored[version].packed)
            for link in self._primaries.links:
                if link.is_up:
                    background.finite(self._load(version, link), f"loading scripts {version}")

    async def _load(self, version: str, link: Link) -> None:
        """Load a set's scripts; what goes wrong is kept for the leader, who activates no such set."""
        script_set = self._sets.get(version)
        if script_set is None:
            return  # pruned meanwhile
        try:
            for script in script_set.scripts.values():
                reply = await link.execute("SCRIPT", "LOAD", script.source)
                if isinstance(reply, hiredis.ReplyError):
                    self._loaded[version, link.address] = f"{script.name} at {link.address}: {reply}"
                    return
        except SimpulError as error:
            self._loaded[version, link.address] = f"{link.address}: {error.detail}"
        else:
            self._loaded[version, link.address] = _LOADED
        for callback in self._on_news:
            callback()
