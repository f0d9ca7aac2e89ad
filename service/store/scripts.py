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
    ScriptAbsent,
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
from service.store.signature import Arrange, Call, Unfit, arranging

log = logging.getLogger("simpul.store")


class _Plan(NamedTuple):
    """How one script of the active set is called."""

    sha: str
    source: str
    arrange: Arrange | None


class _Refused(NamedTuple):
    """A call that did not run, with what it takes to send it again."""

    name: str
    partition: Partition
    keys: tuple[bytes, ...]
    args: tuple[Any, ...]


_SENT_AGAIN_AT_MOST = 2
"""Twice: a generation may begin while a call is repeated because of the one before."""
_FENCE_REFUSALS = (b"fence_stale", b"fence_missing")
_CLUSTER_REFUSALS = ("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN")

_DECLARED: dict[str, Call] = {}


def declare(name: str, *, keys: str, args: str) -> Call:
    """Say at import time what a module will send: `name+` once per item of a batch, `name?` only to scripts that know
    it; a test compares every declaration with the Lua headers."""
    words = [*keys.split(), *args.split()]
    items = frozenset(word.rstrip("+") for word in words if word.endswith("+"))
    dispensable = frozenset(word.rstrip("?") for word in words if word.endswith("?"))
    call = Call(name, _names(keys), _names(args), items, dispensable)
    _DECLARED[name] = call
    return call


def _names(words: str) -> tuple[str, ...]:
    return tuple(word.rstrip("+?") for word in words.split())


def declared() -> dict[str, Call]:
    return dict(_DECLARED)


class FenceSource(Protocol):
    """Whoever decides which generation and script set are current (see service/decisions)."""

    async def refused(self, seen: bytes | None) -> bool:
        """Redis refused our fence: it holds `seen`, or none. True when a retry with the fence of now makes sense."""


class Scripts:
    """The hot path from a domain operation to Redis."""

    def __init__(self, primaries: Primaries, fences: FenceSource) -> None:
        self._primaries = primaries
        self._links = primaries.table
        self._fences = fences
        self._plans: dict[str, _Plan] = {}
        self._unfit: dict[str, str] = {}
        self._fence = b""
        self.generation = 0
        self._version = ""
        self.latency: defaultdict[str, LatencyHistogram] = defaultdict(LatencyHistogram)

    def activate(self, script_set: ScriptSet, generation: int, fence: bytes) -> None:
        """From the next call on use these scripts and this fence, together."""
        plans, unfit = {}, {}
        for name, script in script_set.scripts.items():
            call = _DECLARED.get(name)
            try:
                arrange = arranging(call, script) if call else None
            except Unfit as error:
                unfit[name] = str(error)
            else:
                plans[name] = _Plan(script.sha, script.source, arrange)
        self._plans, self._unfit = plans, unfit
        self._version, self.generation, self._fence = script_set.version, generation, fence

    def has(self, call: Call) -> bool:
        """Whether the active set can do this: the scripts of an earlier release may be active still."""
        return call.name in self._plans

    async def call(self, call: Call, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...]) -> list[Any]:
        """Run a script on one partition; `keys` and `args` come after the fence, which is added here.

        Returns the reply, its code first. Raises the registry's store and fence errors; ScriptAbsent when the active
        set cannot do this; OutcomeUnknown when the connection was lost after sending. Nothing is sent twice, except
        after a refusal that changed nothing (unknown script, fence that this node has since caught up with, slot that
        is or moves elsewhere).
        """
        name = call.name
        link = self._links[partition.number]
        started = perf_counter()
        plan = self._plans.get(name)
        if plan is None or plan.arrange is not None:
            packed = self._packed(name, partition, keys, args)
        else:  # as `_packed` does, but without the cost of calling it
            packed = hiredis.pack_command(
                ("EVALSHA", plan.sha, len(keys) + 1, partition.fence, *keys, self._fence, *args)
            )
        reply = await link.send(packed)
        self.latency[name].observe(perf_counter() - started)
        if type(reply) is list:
            code = reply[0]
            if code != b"fence_stale" and code != b"fence_missing":  # noqa: PLR1714 - the hot path, bytes compares
                return reply
        return await self._recover(_Refused(name, partition, keys, args), link, reply)

    def _packed(self, name: str, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...]) -> bytes:
        plan = self._plans.get(name)
        if plan is None:
            raise self._absent(name)
        if plan.arrange is not None:
            try:
                keys, args = plan.arrange(keys, args)
            except Unfit as error:
                raise ScriptAbsent(script=name, argument=str(error), version=self._version) from None
        packed: bytes = hiredis.pack_command(
            ("EVALSHA", plan.sha, len(keys) + 1, partition.fence, *keys, self._fence, *args)
        )
        return packed

    def _absent(self, name: str) -> SimpulError:
        if not self._version:
            return self._primaries.refusal  # the cluster has not decided anything yet
        return ScriptAbsent(script=name, argument=self._unfit.get(name, "call"), version=self._version)

    async def _recover(self, call: "_Refused", link: Link, reply: Any) -> list[Any]:
        """Send the call again, once the fence agrees: what was refused changed nothing."""
        for _ in range(_SENT_AGAIN_AT_MOST):
            reply = await self._despite_errors(call, link, reply)
            if reply[0] not in _FENCE_REFUSALS:
                return list(reply)
            if not await self._fences.refused(reply[1] if len(reply) > 1 else None):
                raise self._fence_error(call.partition, reply)
            link = self._links[call.partition.number]
            reply = await link.send(self._packed(*call))
        reply = await self._despite_errors(call, link, reply)
        if reply[0] in _FENCE_REFUSALS:
            raise self._fence_error(call.partition, reply)
        return list(reply)

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
        sha = await link.execute("SCRIPT", "LOAD", self._plans[name].source)
        if isinstance(sha, hiredis.ReplyError):
            raise self._typed(sha, link)
        log.info("%s loaded again: Redis at %s had forgotten it", name, link.address)

    def _fence_error(self, partition: Partition, reply: list[Any]) -> SimpulError:
        if reply[0] == b"fence_stale":
            return FenceStale(seen=reply[1].decode(), fence=self._fence.decode())
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
