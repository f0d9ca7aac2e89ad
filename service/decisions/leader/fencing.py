"""The leader's work on Redis: whether the generation must rise, and the fence in every partition.

The generation rises when Redis may have lost data: another incarnation answers, or a fence or counter is missing or
older than decided. A partition that the last leader may or may not have fenced counts as lost, too: to raise the
generation once too often costs a moment, to take a lost partition for a fresh one would repeat tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import hiredis

from service.clock import steady_s
from service.decisions.decide import Decisions
from service.decisions.node.fence import blessing, is_blessed
from service.decisions.replicated.commands import Blessed, RaiseGeneration
from service.decisions.replicated.machine import DecisionMachine
from service.decisions.replicated.state import LEASE_COVER_MS_DEFAULT
from service.error_registry import GenerationMoved
from service.keys import COUNTER_BITS, Keys, Partition
from service.store.bundle import ScriptSet
from service.store.incarnation import Incarnation
from service.store.link import Link
from service.store.primaries import Primaries
from service.store.scripts import typed_error

log = logging.getLogger("simpul.decisions")

INSTALL, CHECK, SHORTEN = "fence.install", "fence.check", "fence.shorten"


class _Loss(NamedTuple):
    """What a look at Redis found: why the generation must rise, and where data may be gone."""

    why: str
    partitions: frozenset[Partition]
    highest: int
    """The highest generation seen anywhere."""
    hold_ms: int
    """How long leases can run that another cluster granted on this data."""


_There = Mapping[Link, Incarnation]
"""The primaries that were connected when a pass began."""


class Foreign(Exception):
    """Redis holds the data of another cluster."""

    def __init__(self, cluster_id: str) -> None:
        super().__init__(f"Redis holds the data of the cluster {cluster_id}")
        self.cluster_id = cluster_id


class Disputed(Exception):
    """The leader reaches another Redis than most others: it decides nothing about Redis."""


Outvotes = Callable[[str, Collection[str]], tuple[str, ...]]
"""The names of those who are against taking up a Redis process, given all that the leader reaches."""


class Fencing:
    """Used by the leader only, one call at a time."""

    def __init__(
        self, machine: DecisionMachine, decisions: Decisions, primaries: Primaries, keys: Keys, shipped: ScriptSet
    ) -> None:
        self._machine = machine
        self._decisions = decisions
        self._primaries = primaries
        self._keys = keys
        self._shipped = shipped
        self._checked: dict[Link, str] = {}
        """The incarnation and fence that were found in order."""
        self._unfenced: frozenset[Partition] = frozenset()
        """Partitions whose primary was away when the generation rose: to be fenced when it is back, not lost."""

    def doubt(self) -> None:
        """Look at everything again."""
        self._checked.clear()

    def reaches(self) -> bool:
        """True while at least one primary is connected to this node."""
        return any(link.incarnation is not None for link in self._primaries.links)

    def take_over(self) -> None:
        """What an earlier term of office left undone is not known any more."""
        self.doubt()
        self._unfenced = frozenset()

    async def settle(self, hold_ms: Callable[[], int], outvotes: Outvotes) -> None:
        """Make Redis agree with the log. `hold_ms` says how long leases of older generations can run.

        Raises Foreign, Disputed, or the store's and decisions' errors: then it must be tried again.
        """
        # Taken once: a connection that comes or goes meanwhile is the next pass's matter.
        there = {link: link.incarnation for link in self._primaries.links if link.incarnation is not None}
        away = [link for link in self._primaries.links if link not in there]
        state = self._machine.state
        if not there or not state.script_set or (away and state.generation == 0):
            return
        if all(self._checked.get(link) == self._mark(link, there[link]) for link in there):
            return
        self._refuse_if_outvoted(there, outvotes)
        loss = await self._look(there)
        if loss is not None:
            await self._raise(there, away, loss)
            began = steady_s()
            await self._install(there, loss.partitions, hold_ms)
            log.info("generation %d fenced in %.0f ms", state.generation, (steady_s() - began) * 1000)
        else:
            await self._install([link for link in there if self._needs_fence(link)], self._unfenced, hold_ms)
        self._checked = {link: self._mark(link, incarnation) for link, incarnation in there.items()}

    async def shorten(self, left_ms: int) -> int | None:
        """End quarantines in `left_ms` at the latest. The longest that is left then in ms, -1 = there is none; None
        when not every partition could be told."""
        links = [link for link in self._primaries.links if link.incarnation is not None]
        replies = await asyncio.gather(
            *(
                self._run(link, SHORTEN, (p.fence, p.quarantine), (self._fence(), left_ms, self._keys.wake_channel))
                for link in links
                for p in self._primaries.partitions_of(link)
            )
        )
        left = [int(reply[1]) for reply in replies if reply[0] == b"ok"]
        return max(left) if len(left) == len(self._keys.partitions) else None

    # Looking

    def _refuse_if_outvoted(self, there: _There, outvotes: Outvotes) -> None:
        state = self._machine.state
        seen = [incarnation.run_id for incarnation in there.values()]
        for link, incarnation in there.items():
            if not is_blessed(incarnation, state.primaries) and (against := outvotes(incarnation.run_id, seen)):
                raise Disputed(
                    f"the leader reaches another Redis at {link.address} than {', '.join(against)}, who still reach "
                    "the one the cluster works with: check REDIS_URL on every node"
                )

    def _mark(self, link: Link, incarnation: Incarnation) -> str:
        return f"{incarnation} {link.connects} {self._fence()} {len(self._primaries.partitions_of(link))}"

    def _fence(self) -> str:
        return f"{self._machine.state.generation}.{self._machine.state.script_set}"

    async def _look(self, there: _There) -> _Loss | None:
        state = self._machine.state
        why, highest = "", state.generation
        lost: set[Partition] = set()
        self._stale: set[Partition] = set()
        for link, incarnation in there.items():
            partitions = self._primaries.partitions_of(link)
            if state.generation and not is_blessed(incarnation, state.primaries):
                why = why or f"another Redis answers at {link.address}: it may have lost data"
                lost.update(partitions)
            for partition, reply in zip(partitions, await self._check(link, partitions), strict=True):
                found = self._judge(reply)
                highest = max(highest, found.generation)
                if found.why and partition not in self._unfenced:
                    why = why or f"partition {partition.number}: {found.why}"
                    lost.update(partitions)
                elif found.is_unfenced:
                    self._stale.add(partition)
        if state.generation == 0 and highest == 0:
            return _Loss("first start", frozenset(), 0, 0)
        if state.generation == 0:
            hold_ms = next(reversed(state.adopted.values()), LEASE_COVER_MS_DEFAULT)
            return _Loss(f"took over data of generation {highest}", frozenset(lost), highest, hold_ms)
        return _Loss(why, frozenset(lost), highest, 0) if why else None

    class _Found(NamedTuple):
        generation: int
        why: str
        is_unfenced: bool

    def _judge(self, reply: list[Any]) -> _Found:
        """What one partition's answer to fence.check means. Raises Foreign."""
        state, code = self._machine.state, reply[0]
        if code == b"cluster_foreign":
            owner = reply[1].decode()
            if owner not in state.adopted:
                raise Foreign(owner)
            return self._Found(_generation_of(reply[2]), f"it belonged to the adopted cluster {owner}", True)
        if code == b"fence_missing":
            return self._Found(0, "its fence or a counter is missing", True)
        if code == b"fence_stale":
            installed = _generation_of(reply[1])
            if installed == state.generation:
                return self._Found(installed, "", True)
            age = "newer" if installed > state.generation else "older"
            return self._Found(installed, f"it holds generation {installed}, which is {age} than decided", True)
        return self._Found(state.generation, "", False)

    async def _check(self, link: Link, partitions: Collection[Partition]) -> list[list[Any]]:
        arguments = (self._fence(), self._machine.state.cluster_id)
        return await asyncio.gather(*(self._run(link, CHECK, _all_keys(p), arguments) for p in partitions))

    def _needs_fence(self, link: Link) -> bool:
        return any(p in self._stale or p in self._unfenced for p in self._primaries.partitions_of(link))

    # Acting

    async def _raise(self, there: _There, away: Collection[Link], loss: _Loss) -> None:
        state = self._machine.state
        primaries = {blessing(incarnation) for incarnation in there.values()}
        if away:
            # They keep their data, as far as anybody knows; another incarnation of theirs will be noticed.
            primaries |= {*state.primaries}
        command = RaiseGeneration(
            state.generation,
            loss.highest + 1,
            _in_order(primaries),
            loss.why,
            loss.hold_ms,
        )
        await self._decisions.propose(command)
        self._unfenced = frozenset(p for link in away for p in self._primaries.partitions_of(link))
        is_loss = state.generations and len(state.generations) > 1
        log.log(
            logging.WARNING if is_loss else logging.INFO,
            "generation %d (was %d): %s",
            *(command.number, command.expected, command.why),
        )

    async def _install(self, links: Collection[Link], held: Collection[Partition], hold_ms: Callable[[], int]) -> None:
        state = self._machine.state
        wanted = [(link, p) for link in links for p in self._primaries.partitions_of(link)]
        # The first one alone: of two clusters that claim a new Redis at once, one takes it all and the other nothing.
        for batch in (wanted[:1], wanted[1:]):
            replies = await asyncio.gather(
                *(self._install_one(link, p, hold_ms() if p in held else 0) for link, p in batch)
            )
            for (_, partition), reply in zip(batch, replies, strict=True):
                if reply[0] == b"cluster_foreign":
                    raise Foreign(reply[1].decode())
                if reply[0] != b"ok":
                    raise GenerationMoved(generation=reply[1:] or "incomplete", expected=state.generation)
                self._unfenced -= {partition}

    def _install_one(self, link: Link, p: Partition, quarantine_ms: int) -> Any:
        state = self._machine.state
        floor = str(state.generation << COUNTER_BITS)
        adopted = next(reversed(state.adopted), "")
        arguments = (self._fence(), floor, state.cluster_id, adopted, quarantine_ms)
        return self._run(link, INSTALL, _all_keys(p), arguments)

    async def _run(self, link: Link, name: str, keys: tuple[bytes, ...], arguments: tuple[Any, ...]) -> list[Any]:
        """Always the leader's own version of these: they must work before any set is active."""
        script = self._shipped.scripts[name]
        reply = await link.execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await link.execute("EVAL", script.source, len(keys), *keys, *arguments)
        if isinstance(reply, hiredis.ReplyError):
            self._primaries.heed(str(reply))
            raise typed_error(str(reply), link.address)
        return list(reply)


def _all_keys(p: Partition) -> tuple[bytes, ...]:
    return p.fence, p.tokens, p.versions, p.quarantine, p.cluster


def _in_order(primaries: Collection[Blessed]) -> tuple[Blessed, ...]:
    return tuple(sorted(primaries, key=lambda primary: (primary.run_id, primary.replication_id)))


def _generation_of(fence: bytes) -> int:
    return int(fence.partition(b".")[0] or 0)
