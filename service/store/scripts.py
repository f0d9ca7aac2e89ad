"""Calls scripts by name: fence first, one EVALSHA, and every way Redis can refuse turned into a typed error."""

import asyncio
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
)
from service.errors import SimpulError
from service.histogram import LatencyHistogram
from service.keys import Partition
from service.store.bundle import ScriptSet
from service.store.link import Link

log = logging.getLogger("simpul.store")


class Call(NamedTuple):
    """A call site's view of a script: names in the order they are sent. Held equal to the script's header."""

    name: str
    keys: tuple[str, ...]
    args: tuple[str, ...]


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

    def __init__(self, link: Link, script_set: ScriptSet, fences: FenceSource) -> None:
        self._link = link
        self._fences = fences
        self.script_set = script_set
        self._shas = {name: script.sha for name, script in script_set.scripts.items()}
        self.latency: defaultdict[str, LatencyHistogram] = defaultdict(LatencyHistogram)

    async def call(self, call: Call, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...]) -> list[Any]:
        """Run a script on one partition; `keys` and `args` come after the fence, which is added here.

        Returns the reply, its code first. Raises the registry's store and fence errors; OutcomeUnknown when the
        connection was lost after sending. Nothing is sent twice, except after a refusal that changed nothing
        (unknown script, fence that this node has since caught up with).
        """
        name = call.name
        started = perf_counter()
        reply = await self._send(name, partition, keys, args)
        self.latency[name].observe(perf_counter() - started)
        if type(reply) is list:
            code = reply[0]
            if code != b"fence_stale" and code != b"fence_missing":  # noqa: PLR1714 - the hot path, bytes compares
                return reply
        return await self._after_refusal(name, partition, keys, args, reply)

    def _send(
        self, name: str, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...]
    ) -> "asyncio.Future[Any]":
        return self._link.send(
            hiredis.pack_command(
                ("EVALSHA", self._shas[name], len(keys) + 1, partition.fence, *keys, self._fences.fence, *args)
            )
        )

    async def _after_refusal(
        self, name: str, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...], reply: Any
    ) -> list[Any]:
        fence = self._fences.fence
        if isinstance(reply, hiredis.ReplyError):
            if not str(reply).startswith("NOSCRIPT"):
                raise self._typed(reply)
            await self._load(name)
        elif not await self._fences.refused(reply[1] if len(reply) > 1 else None):
            raise self._fence_error(partition, reply, fence)
        again = await self._send(name, partition, keys, args)
        if isinstance(again, hiredis.ReplyError):
            raise self._typed(again)
        if again[0] in (b"fence_stale", b"fence_missing"):
            raise self._fence_error(partition, again, self._fences.fence)
        return list(again)

    async def _load(self, name: str) -> None:
        sha = await self._link.execute("SCRIPT", "LOAD", self.script_set.scripts[name].source)
        if isinstance(sha, hiredis.ReplyError):
            raise self._typed(sha)
        log.info("%s loaded again: Redis had forgotten it", name)

    def _fence_error(self, partition: Partition, reply: list[Any], fence: bytes) -> SimpulError:
        if len(reply) > 1:
            return FenceStale(seen=reply[1].decode(), fence=fence.decode())
        return FenceMissing(partition=partition.number)

    def _typed(self, reply: hiredis.ReplyError) -> SimpulError:
        error = typed_error(str(reply), self._link.address)
        if isinstance(error, StoreReadOnly):
            # A primary that became a replica: whoever is primary now must be identified before it gets traffic.
            self._link.reconnect(str(reply))
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
    if "UNBLOCKED" in text:
        return OutcomeUnknown(reason=text)
    return StoreRefused(reason=f"{text} ({address})")
