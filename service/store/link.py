"""Keeps one checked connection to Redis: dial, identify, admit, carry traffic, and begin again when it ends."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import hiredis

from service import background
from service.error_registry import OutcomeUnknown, StoreLoading, StoreReadOnly, StoreUnavailable
from service.errors import SimpulError
from service.redis_url import Server
from service.store import incarnation as identity
from service.store.dial import DialError, Line, dial
from service.store.incarnation import Incarnation
from service.store.multiplexer import Multiplexer

log = logging.getLogger("simpul.store")

BACKOFF_FIRST_S = 0.05
BACKOFF_MOST_S = 1.0
VERIFY_EVERY_S = 1.0

_ASKING = b"*1\r\n$6\r\nASKING\r\n"

Locate = Callable[[], Awaitable[Server]]
"""Says which server to connect to, asked anew for every connection. Raises DialError when nobody knows."""


class Gate(Protocol):
    """Decides whether an incarnation may carry traffic, and prepares it (scripts, fence)."""

    async def admit(self, link: "Link") -> None:
        """Return when traffic may flow; `link.execute` works already. Cancelled when the connection ends meanwhile.

        Raises SimpulError or DialError when it may not flow.
        """


class Link:
    """The node's connection to one primary. `send` is usable at any time and says at once when Redis is not there."""

    def __init__(
        self,
        locate: Locate,
        *,
        address: str,
        client_name: str,
        in_flight_max: int,
        timeout_s: float,
        gate: Gate,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = address
        self._locate = locate
        self._client_name = client_name
        self._in_flight_max = in_flight_max
        self._timeout_s = timeout_s
        self._gate = gate
        self._on_change = on_change
        self._attached: Multiplexer | None = None
        self._multiplexer: Multiplexer | None = None
        self._refusal: SimpulError = StoreUnavailable(address=address, reason="not connected yet")
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.incarnation: Incarnation | None = None
        """Who answers, from the moment it was identified; None while there is no connection."""
        self.connects = 0

    @property
    def is_up(self) -> bool:
        return self._multiplexer is not None

    @property
    def refusal(self) -> SimpulError:
        """Why the link is down, as the error its callers get."""
        return type(self._refusal)(**self._refusal.fields)

    def excuse(self, reason: str) -> None:
        """For a link that stands for a primary that is not known: what its callers are told."""
        self._refusal = StoreUnavailable(address=self.address, reason=reason.rstrip("."))

    @property
    def in_flight(self) -> int:
        return self._multiplexer.in_flight if self._multiplexer else 0

    def send(self, packed: bytes) -> "asyncio.Future[Any]":
        """Send one packed command; never twice. Raises StoreUnavailable, StoreLoading, StoreReadOnly or StoreBusy."""
        if self._multiplexer is None:
            raise self.refusal
        return self._multiplexer.send(packed)

    def send_asking(self, packed: bytes) -> "asyncio.Future[Any]":
        """As `send`, for a slot that this primary is importing: it takes such a call only right behind an ASKING."""
        self.send(_ASKING).cancel()  # it keeps its place in the line, and nobody waits for its OK
        return self.send(packed)

    async def execute(self, *parts: Any) -> Any:
        """One call off the hot path, during admission too; error replies are returned like any other."""
        if self._attached is None:
            raise self.refusal
        return await self._attached.send(hiredis.pack_command(parts))

    def start(self) -> None:
        self._task = background.start(self._run(), "redis link")

    async def stop(self) -> None:
        await background.stop(self._task)

    def reconnect(self, because: str) -> None:
        """End the current connection: what it reaches is not what was admitted any more. Without one, dial at once."""
        self._hurry.set()
        if self._attached is not None:
            self._attached.close(because)

    async def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await self._carry_one_connection()
                backoff_s = BACKOFF_FIRST_S
            except (DialError, SimpulError, TimeoutError, OSError) as error:
                self._note_refusal(error)
                backoff_s = min(backoff_s * 2, BACKOFF_MOST_S)
            await self._pause(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311

    async def _pause(self, most_s: float) -> None:
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), most_s)

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
        server = await self._locate()
        self.address = server.address
        line = await dial(server.url, client_name=self._client_name, timeout_s=self._timeout_s)
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        multiplexer = Multiplexer(
            address=self.address,
            in_flight_max=self._in_flight_max,
            timeout_s=self._timeout_s,
            on_lost=lambda because: None if lost.done() else lost.set_result(because),
        )
        try:
            found = await self._identify(line)
            multiplexer.attach(line.let_go())
            self._attached, self.incarnation = multiplexer, found
            await self._admitted(lost)
            self._up(multiplexer, found)
            because = await self._until_lost(lost, found)
            self._refusal = StoreUnavailable(address=self.address, reason=because)
            log.warning("Redis at %s lost: %s", self.address, because)
        finally:
            self._multiplexer = self._attached = self.incarnation = None
            multiplexer.close("the node closed the connection")
            line.close()
            self._on_change()

    async def _identify(self, line: Line) -> Incarnation:
        async with asyncio.timeout(self._timeout_s):
            found = identity.parse(await line.execute("INFO"))
        if found.loading:
            raise StoreLoading
        if not found.is_writable_primary:
            raise StoreReadOnly(reason=f"its role is {found.role}")
        return found

    async def _admitted(self, lost: "asyncio.Future[str]") -> None:
        """Ask the gate; its wait for a decision must not outlive the connection that it is about."""
        asking = asyncio.ensure_future(self._gate.admit(self))
        try:
            either: list[asyncio.Future[Any]] = [asking, lost]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise DialError(f"lost while it was being admitted: {lost.result()}")
            await asking
        finally:
            if not asking.done():
                asking.cancel()
                # Gathered, not awaited: how it ends no longer matters, and must not be reported as never retrieved.
                await asyncio.gather(asking, return_exceptions=True)

    async def _until_lost(self, lost: "asyncio.Future[str]", found: Incarnation) -> str:
        """Why the connection ended. One that lasts is no proof that its server's data did: REPLICAOF there and back
        again replaces them and keeps all connections, so the server is asked now and then who it is."""
        while not lost.done():
            await asyncio.wait([lost], timeout=background.until_beat_s(VERIFY_EVERY_S))
            if not lost.done():
                await self._verify(found)
        return lost.result()

    async def _verify(self, found: Incarnation) -> None:
        try:
            info = await self.execute("INFO", "replication")
        except SimpulError:
            return  # the connection ends, or the line is full: nothing is learnt either way
        if isinstance(info, bytes) and not identity.is_still(found, info):
            self.reconnect("its role or its replication id changed")

    def _up(self, multiplexer: Multiplexer, found: Incarnation) -> None:
        log.info("Redis at %s is up: %s", self.address, found)
        self._multiplexer = multiplexer
        self.connects += 1
        self._on_change()
