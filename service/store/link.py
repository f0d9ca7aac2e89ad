"""Keeps one checked connection to Redis: dial, identify, admit, carry traffic, and begin again when it ends."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import hiredis

from service import background
from service.error_registry import OutcomeUnknown, StoreLoading, StoreReadOnly, StoreUnavailable
from service.errors import SimpulError
from service.store import incarnation as identity
from service.store.dial import DialError, Line, dial
from service.store.incarnation import Incarnation
from service.store.multiplexer import Multiplexer

log = logging.getLogger("simpul.store")

BACKOFF_FIRST_S = 0.05
BACKOFF_MOST_S = 1.0

Execute = Callable[..., Awaitable[Any]]


class Gate(Protocol):
    """Decides whether an incarnation may carry traffic, and prepares it (scripts, fence)."""

    async def admit(self, incarnation: Incarnation, execute: Execute) -> None:
        """Return when traffic may flow. Raises SimpulError or DialError when it may not."""


class Link:
    """The node's connection. `send` is usable at any time and says at once when Redis is not there."""

    def __init__(self, url: str, *, client_name: str, in_flight_max: int, timeout_s: float, gate: Gate) -> None:
        parts = urlsplit(url)
        self.address = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        self._url = url
        self._client_name = client_name
        self._in_flight_max = in_flight_max
        self._timeout_s = timeout_s
        self._gate = gate
        self._multiplexer: Multiplexer | None = None
        self._refusal: SimpulError = StoreUnavailable(address=self.address, reason="not connected yet")
        self._task: asyncio.Task[None] | None = None
        self.incarnation: Incarnation | None = None
        self.connects = 0

    @property
    def is_up(self) -> bool:
        return self._multiplexer is not None

    @property
    def refusal(self) -> SimpulError:
        """Why the link is down, as the error its callers get."""
        return type(self._refusal)(**self._refusal.fields)

    @property
    def in_flight(self) -> int:
        return self._multiplexer.in_flight if self._multiplexer else 0

    def send(self, packed: bytes) -> "asyncio.Future[Any]":
        """Send one packed command; never twice. Raises StoreUnavailable, StoreLoading, StoreReadOnly or StoreBusy."""
        if self._multiplexer is None:
            raise self.refusal
        return self._multiplexer.send(packed)

    async def execute(self, *parts: Any) -> Any:
        """One call off the hot path; error replies are returned like any other."""
        return await self.send(hiredis.pack_command(parts))

    def start(self) -> None:
        self._task = background.start(self._run(), "redis link")

    async def stop(self) -> None:
        await background.stop(self._task)

    def reconnect(self, because: str) -> None:
        """End the current connection: what it reaches is not what was admitted any more."""
        if self._multiplexer is not None:
            self._multiplexer.close(because)

    async def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await self._carry_one_connection()
                backoff_s = BACKOFF_FIRST_S
            except (DialError, SimpulError, TimeoutError, OSError) as error:
                self._note_refusal(error)
                backoff_s = min(backoff_s * 2, BACKOFF_MOST_S)
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311

    def _note_refusal(self, error: Exception) -> None:
        refusal: SimpulError
        if isinstance(error, SimpulError) and not isinstance(error, OutcomeUnknown):
            refusal = error
        else:
            # What was lost while connecting was a call of ours: the callers' own requests are not sent at all.
            reason = error.fields["reason"] if isinstance(error, OutcomeUnknown) else str(error)
            reason = reason.rstrip(".") or f"no answer within {self._timeout_s:g} s"
            refusal = StoreUnavailable(address=self.address, reason=reason)
        if str(refusal) != str(self._refusal):
            log.warning("Redis at %s carries no traffic: %s", self.address, refusal.detail)
        self._refusal = refusal

    async def _carry_one_connection(self) -> None:
        line = await dial(self._url, client_name=self._client_name, timeout_s=self._timeout_s)
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        multiplexer = Multiplexer(
            address=self.address,
            in_flight_max=self._in_flight_max,
            timeout_s=self._timeout_s,
            on_lost=lambda because: None if lost.done() else lost.set_result(because),
        )
        try:
            found = await self._identify(line)
            multiplexer.attach(line.transport)
            await self._gate.admit(found, lambda *parts: multiplexer.send(hiredis.pack_command(parts)))
            self._up(multiplexer, found)
            because = await lost
            self._refusal = StoreUnavailable(address=self.address, reason=because)
            log.warning("Redis at %s lost: %s", self.address, because)
        finally:
            self._multiplexer = None
            multiplexer.close("the node closed the connection")
            line.close()

    async def _identify(self, line: Line) -> Incarnation:
        async with asyncio.timeout(self._timeout_s):
            found = identity.parse(await line.execute("INFO"))
        if found.loading:
            raise StoreLoading
        if not found.is_writable_primary:
            raise StoreReadOnly(reason=f"its role is {found.role}")
        return found

    def _up(self, multiplexer: Multiplexer, found: Incarnation) -> None:
        log.info("Redis at %s is up: %s", self.address, found)
        self._multiplexer = multiplexer
        self.incarnation = found
        self.connects += 1
