"""Calls scripts by name: fence first, one EVALSHA, and every way Redis can refuse turned into a typed error."""

import logging
from collections import defaultdict
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import hiredis

from service.error_registry import (
    FenceMissing,
    FenceStale,
    OutcomeUnknown,
    StoreLoading,
    StoreOutOfMemory,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
    StoreUnsettled,
)
from service.errors import SimpulError
from service.histogram import LatencyHistogram
from service.keys import Partition
from service.store.bundle import ScriptSet
from service.store.link import Link
from service.store.primaries import Primaries

log = logging.getLogger("simpul.store")


class Call(NamedTuple):
    """A call site's view of a script: names in the order they are sent. Held equal to the script's header."""

    name: str
    keys: tuple[str, ...]
    args: tuple[str, ...]


class _Refused(NamedTuple):
    """A call that did not run, with what it takes to send it again."""

    name: str
    partition: Partition
    keys: tuple[bytes, ...]
    args: tuple[Any, ...]


_FENCE_REFUSALS = (b"fence_stale", b"fence_missing")
_CLUSTER_REFUSALS = ("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN")

_DECLARED: dict[str, Call] = {}


def declare(name: str, *, keys: str, args: str) -> Call:
    """Say at import time what a module will send; a test compares every declaration with the Lua headers."""
    call = Call(name, tuple(keys.split()), tuple(args.split()))
    _DECLARED[name] = call
    return call


def declared() -> dict[str, Call]:
    return dict(_DECLARED)


class FenceSource(Protocol):
    """Whoever decides which generation and script set are current (see service/decisions)."""

    @property
    def fence(self) -> bytes:
        """`generation.script_set`, as scripts compare it."""

    async def refused(self, seen: bytes | None) -> bool:
        """Redis refused our fence: it holds `seen`, or none. True when a retry with the fence of now makes sense."""


class Scripts:
    """The hot path from a domain operation to Redis."""

    def __init__(self, primaries: Primaries, script_set: ScriptSet, fences: FenceSource) -> None:
        self._primaries = primaries
        self._links = primaries.table
        self._fences = fences
        self.script_set = script_set
        self._shas = {name: script.sha for name, script in script_set.scripts.items()}
        self.latency: defaultdict[str, LatencyHistogram] = defaultdict(LatencyHistogram)

    async def call(self, call: Call, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...]) -> list[Any]:
        """Run a script on one partition; `keys` and `args` come after the fence, which is added here.

        Returns the reply, its code first. Raises the registry's store and fence errors; OutcomeUnknown when the
        connection was lost after sending. Nothing is sent twice, except after a refusal that changed nothing
        (unknown script, fence that this node has since caught up with, slot that is or moves elsewhere).
        """
        name = call.name
        link = self._links[partition.number]
        started = perf_counter()
        # As `_packed` does, but without the cost of calling it.
        reply = await link.send(
            hiredis.pack_command(
                ("EVALSHA", self._shas[name], len(keys) + 1, partition.fence, *keys, self._fences.fence, *args)
            )
        )
        self.latency[name].observe(perf_counter() - started)
        if type(reply) is list:
            code = reply[0]
            if code != b"fence_stale" and code != b"fence_missing":  # noqa: PLR1714 - the hot path, bytes compares
                return reply
        return await self._after_refusal(_Refused(name, partition, keys, args), link, reply)

    def _packed(self, name: str, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...]) -> bytes:
        packed: bytes = hiredis.pack_command(
            ("EVALSHA", self._shas[name], len(keys) + 1, partition.fence, *keys, self._fences.fence, *args)
        )
        return packed

    async def _after_refusal(self, call: "_Refused", link: Link, reply: Any) -> list[Any]:
        fence = self._fences.fence
        if isinstance(reply, hiredis.ReplyError):
            reply = await self._despite_errors(call, link, reply)
        if reply[0] not in _FENCE_REFUSALS:
            return list(reply)
        if not await self._fences.refused(reply[1] if len(reply) > 1 else None):
            raise self._fence_error(call.partition, reply, fence)
        link = self._links[call.partition.number]
        again = await self._despite_errors(call, link, await link.send(self._packed(*call)))
        if again[0] in _FENCE_REFUSALS:
            raise self._fence_error(call.partition, again, self._fences.fence)
        return list(again)

    async def _despite_errors(self, call: "_Refused", link: Link, reply: Any) -> Any:
        """Send the call again for as long as errors say that it did not run and that it can be helped.

        An unknown script is loaded, once for every primary on the way; the errors of a cluster say where to go.
        """
        asks = False
        trip = None
        loaded: set[Link] = set()
        while isinstance(reply, hiredis.ReplyError):
            error = str(reply)
            if error.startswith("NOSCRIPT") and link not in loaded:
                loaded.add(link)
                await self._load(call.name, link)
            else:
                trip = trip or self._primaries.trip(call.partition)
                hop = await trip.next_hop(link, error) if trip else None
                if hop is None:
                    raise self._typed(reply, link)
                link, asks = hop
            packed = self._packed(*call)
            reply = await (link.send_asking(packed) if asks else link.send(packed))
        return reply

    async def _load(self, name: str, link: Link) -> None:
        sha = await link.execute("SCRIPT", "LOAD", self.script_set.scripts[name].source)
        if isinstance(sha, hiredis.ReplyError):
            raise self._typed(sha, link)
        log.info("%s loaded again: Redis at %s had forgotten it", name, link.address)

    def _fence_error(self, partition: Partition, reply: list[Any], fence: bytes) -> SimpulError:
        if len(reply) > 1:
            return FenceStale(seen=reply[1].decode(), fence=fence.decode())
        return FenceMissing(partition=partition.number)

    def _typed(self, reply: hiredis.ReplyError, link: Link) -> SimpulError:
        error = typed_error(str(reply), link.address)
        if isinstance(error, StoreReadOnly):
            # A primary that became a replica: whoever is primary now must be identified before it gets traffic.
            link.reconnect(str(reply))
        return error


def typed_error(text: str, address: str) -> SimpulError:
    """What an error reply means. Redis 6.2 wraps an error inside a script in a longer line, hence `in`."""
    if "OOM command not allowed" in text:
        return StoreOutOfMemory()
    if "LOADING" in text:
        return StoreLoading()
    if "READONLY" in text or "MISCONF" in text or "MASTERDOWN" in text or "NOREPLICAS" in text:
        return StoreReadOnly(reason=text)
    if text.startswith("BUSY"):
        return StoreUnavailable(address=address, reason=text)
    if text.startswith(_CLUSTER_REFUSALS):
        return StoreUnsettled(reason=text)
    return OutcomeUnknown(reason=text) if "UNBLOCKED" in text else StoreRefused(reason=f"{text} ({address})")
