"""The generation as nodes can agree on it without a log: the highest one any of them has seen.

Redis holds the current generation in its fences, each node remembers the highest it saw in a file, and a generation
is raised by whoever first sees that Redis may have lost data: a fence is missing, or the server that answers is not
the one (run_id) that the last generation was installed on. Two nodes that see it together raise it to the same
number.

What this cannot do, and a log can: when Redis loses everything and the first node to see it missed the last raise (it
was down, or its folder is new), that node installs a number that was used before, and tokens repeat. Nor does it hold
locks back after a loss: a lock granted before it may be granted again at once, with a higher token.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import hiredis

from service.config import ConfigError
from service.error_registry import FenceStale
from service.keys import Partition
from service.store.bundle import ScriptSet
from service.store.dial import DialError
from service.store.link import Link
from service.store.primaries import Primaries
from service.store.scripts import typed_error

log = logging.getLogger("simpul.decisions")

COUNTER_BITS = 36
GENERATION_MAX = 2 ** (53 - COUNTER_BITS) - 1
"""Tokens are generation * 2^36 + counter and must stay integers that every JSON reader holds exactly."""

_INSTALL = "fence.install"
_NO_GENERATION = 0
_SETTLE_S = 0.05


class Generation:
    """Implements the store's Gate and FenceSource."""

    def __init__(self, script_set: ScriptSet, data_dir: Path, cluster_name: str) -> None:
        self._script_set = script_set
        self._path = data_dir / f"generation-{cluster_name}.json"
        self._number = _remembered(self._path)
        self._primaries: Primaries | None = None
        self._recovering = asyncio.Lock()
        self._on_change: list[Callable[[], None]] = []
        self.superseded_by: bytes | None = None
        """The fence of another script set that Redis holds instead of ours: this node can do nothing until it runs
        that version, or connects anew and takes the fence back."""
        self._set_fence()

    @property
    def number(self) -> int:
        return self._number

    @property
    def fence(self) -> bytes:
        return self._fence

    def on_change(self, callback: Callable[[], None]) -> None:
        """Called after this node has moved to another generation."""
        self._on_change.append(callback)

    def works_on(self, primaries: Primaries) -> None:
        """Whose partitions are fenced; to be called before any link starts."""
        self._primaries = primaries

    async def admit(self, link: Link) -> None:
        """Load the scripts, settle the generation, install the fence. Raises SimpulError or DialError."""
        for script in self._script_set.scripts.values():
            _checked(await link.execute("SCRIPT", "LOAD", script.source))
        async with self._recovering:
            # One number for all primaries: what it is raised to for this one is installed at the others too.
            await self._settle(self._places((*self._links_up(), link)))

    async def refused(self, seen: bytes | None) -> bool:
        before = self._fence
        async with self._recovering:
            if self._fence != before:
                return True
            if seen is not None and _script_set_of(seen) != self._script_set.version:
                self.superseded_by = seen
                return False
            await self._settle(self._places(self._links_up()))
        return True

    def _links_up(self) -> tuple[Link, ...]:
        return tuple(link for link in self._primaries.links if link.is_up) if self._primaries else ()

    def _places(self, links: Iterable[Link]) -> list["_Place"]:
        if self._primaries is None:
            raise DialError("no connection to Redis yet")
        found = [_Place(link, self._primaries.partitions_of(link)) for link in links]
        return [place for place in found if place.partitions]

    async def _settle(self, places: list["_Place"]) -> None:
        """Find out the highest generation, raise it if Redis may have lost data, and install it at these primaries."""
        if not places:
            return
        known = self._number
        installed = await _installed(places)
        if 0 < sum(map(bool, installed)) < len(installed):
            # Another node may be installing right now; its fences arrive together.
            await asyncio.sleep(_SETTLE_S)
            installed = await _installed(places)
        highest = max([known, *map(_generation_of, installed)])
        blessed = [await place.call("GET", place.incarnation_key) for place in places]
        if not any(installed) and known == _NO_GENERATION:
            target, why = 1, "first start"
        elif not all(installed):
            target, why = highest + 1, "a fence is missing: Redis lost data"
        elif min(map(_generation_of, installed)) < known:
            target, why = highest + 1, "Redis holds an older generation: it lost data"
        elif blessed != [place.run_id for place in places]:
            target, why = highest + 1, "another Redis process answers: it may have lost data"
        else:
            target, why = highest, "caught up"
        await self._install(places, target, why)

    async def _install(self, places: list["_Place"], target: int, why: str) -> None:
        if target > GENERATION_MAX:
            raise FenceStale(seen=target, fence=f"at most {GENERATION_MAX}")
        # Remembered before it is installed: a node that dies in between has skipped a number, not repeated one.
        self._remember(target)
        wire = f"{target}.{self._script_set.version}"
        floor = str(target << COUNTER_BITS)
        sha = self._script_set.scripts[_INSTALL].sha
        replies = await asyncio.gather(
            *(
                place.call("EVALSHA", sha, 3, p.fence, p.tokens, p.versions, wire, floor)
                for place in places
                for p in place.partitions
            )
        )
        ahead = max((_generation_of(reply[1]) for reply in replies if reply[0] == b"fence_stale"), default=target)
        if ahead > target:
            await self._install(places, ahead, "another node was ahead")
            return
        if any(reply[0] == b"fence_missing" for reply in replies):
            await self._install(places, target + 1, "a counter is missing: Redis lost data")
            return
        for place in places:
            await place.call("SET", place.incarnation_key, place.run_id)
        self.superseded_by = None
        if target != self._number:
            log.info("generation %d (was %d): %s", target, self._number, why)
            self._number = target
            self._set_fence()
            for callback in self._on_change:
                callback()

    def _set_fence(self) -> None:
        self._fence = f"{self._number}.{self._script_set.version}".encode()

    def _remember(self, number: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(f".{os.getpid()}")
        with scratch.open("w") as file:
            json.dump({"generation": number}, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._path)


class _Place(NamedTuple):
    """A primary, and the partitions to be fenced there."""

    link: Link
    partitions: tuple[Partition, ...]

    @property
    def incarnation_key(self) -> str:
        """Where a primary keeps who it was: in its first partition, so that it is its own. If that one moves away,
        the generation rises once more than it must at the next connection."""
        return self.partitions[0].fence.decode().removesuffix("fence") + "incarnation"

    @property
    def run_id(self) -> bytes:
        if self.link.incarnation is None:
            raise DialError(f"the connection to {self.link.address} ended")
        return self.link.incarnation.run_id.encode()

    async def call(self, *parts: Any) -> Any:
        return _checked(await self.link.execute(*parts))


async def _installed(places: list[_Place]) -> list[bytes | None]:
    asked = (place.call("GET", partition.fence) for place in places for partition in place.partitions)
    return list(await asyncio.gather(*asked))


def _remembered(path: Path) -> int:
    if not path.exists():
        return _NO_GENERATION
    try:
        number = json.loads(path.read_text())["generation"]
    except (ValueError, KeyError, TypeError, OSError):
        number = None
    if not isinstance(number, int) or not 0 < number <= GENERATION_MAX:
        raise ConfigError(
            f"{path} does not hold a generation. It keeps tokens from repeating after Redis lost its data: restore it, "
            "or move it away if Redis still has its data"
        )
    return number


def _generation_of(fence: bytes | None) -> int:
    return int(fence.partition(b".")[0]) if fence else _NO_GENERATION


def _script_set_of(fence: bytes) -> str:
    return fence.partition(b".")[2].decode()


def _checked(reply: Any) -> Any:
    if isinstance(reply, hiredis.ReplyError):
        raise typed_error(str(reply), "admission")
    return reply
