"""Hears what scripts publish. One connection, hiredis straight to the handlers: a put anywhere costs every node one
message, so a message must cost microseconds.

Redis pub/sub forgets messages for a subscriber that is not connected. Each time the connection ends, `on_down` runs
before anything else, and `on_up` only when every channel is subscribed again: what must not miss a message starts
over between the two.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import hiredis

from service import background
from service.errors import SimpulError
from service.store.dial import DialError, dial
from service.store.link import BACKOFF_FIRST_S, BACKOFF_MOST_S, Locate

log = logging.getLogger("simpul.store")

PING_EVERY_S = 1.0
SILENCE_S_MAX = 3.0
"""With a ping every second, a connection silent for this long is dead, whatever TCP thinks."""

Handler = Callable[[bytes], None]


class _Ear(asyncio.Protocol):
    def __init__(self, handlers: Mapping[bytes, Handler], lost: "asyncio.Future[str]") -> None:
        self._handlers = handlers
        self._lost = lost
        self._reader = hiredis.Reader()
        self._missing = set(handlers)
        self.subscribed = asyncio.Event()
        self.heard_at = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.ReplyError):
                    self.end(str(reply))
                elif reply[0] == b"message":
                    handler = self._handlers.get(reply[1])
                    if handler is not None:  # else a message that was on its way when nobody wanted it any more
                        handler(reply[2])
                elif reply[0] == b"subscribe":
                    self._missing.discard(reply[1])
                    if not self._missing:
                        self.subscribed.set()
        except hiredis.ProtocolError as error:
            self.end(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(str(exc or "Redis closed the connection"))

    def end(self, because: str) -> None:
        if not self._lost.done():
            self._lost.set_result(because)


class Subscriber:
    """Keeps the subscriptions. Handlers run on the event loop and must not block or raise."""

    def __init__(
        self,
        locate: Locate,
        *,
        client_name: str,
        timeout_s: float,
        on_up: Callable[[], None],
        on_down: Callable[[], None],
    ) -> None:
        self._locate = locate
        self._client_name = client_name
        self._timeout_s = timeout_s
        self._on_up = on_up
        self._on_down = on_down
        self._handlers: dict[bytes, Handler] = {}
        self._task: asyncio.Task[None] | None = None
        self._end: Callable[[str], None] = lambda _: None
        self._address = ""
        self._transport: asyncio.Transport
        """Of the connection, while `is_up`."""
        self.is_up = False

    def hear(self, channel: bytes, handler: Handler) -> None:
        """Have a handler hear a channel, now or as soon as there is a connection."""
        self._handlers[channel] = handler
        self._say(b"SUBSCRIBE", channel)

    def hear_no_more(self, channel: bytes) -> None:
        del self._handlers[channel]
        self._say(b"UNSUBSCRIBE", channel)

    def _say(self, word: bytes, channel: bytes) -> None:
        """Only where every channel has been subscribed: a connection that begins subscribes to those of then."""
        if self.is_up:
            parts: Any = (word, channel)
            self._transport.write(hiredis.pack_command(parts))

    def start(self) -> None:
        self._task = background.start(self._run(), "redis subscriber")

    async def stop(self) -> None:
        await background.stop(self._task)

    def stay_with(self, addresses: Iterable[str]) -> None:
        """Where scripts publish now. A server that is none of these may still answer pings, cut off from the others:
        nothing would be heard there, and nobody would notice."""
        if self._address not in addresses:
            self._end("it is no primary of ours any more")

    async def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                because = await self._carry_one_connection()
                backoff_s = BACKOFF_FIRST_S
                log.warning("subscription at %s lost: %s", self._address, because)
            except (DialError, SimpulError, TimeoutError, OSError) as error:
                log.debug("subscription not possible: %s", error)
                backoff_s = min(backoff_s * 2, BACKOFF_MOST_S)
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311

    async def _carry_one_connection(self) -> str:
        server = await self._locate()
        line = await dial(server.url, client_name=self._client_name, timeout_s=self._timeout_s)
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        ear = _Ear(self._handlers, lost)
        self._address, self._end = server.address, ear.end
        try:
            transport = line.let_go()
            transport.set_protocol(ear)
            subscribed_to = {*self._handlers}
            parts: Any = (b"SUBSCRIBE", *subscribed_to)
            transport.write(hiredis.pack_command(parts))
            async with asyncio.timeout(self._timeout_s):
                await ear.subscribed.wait()
            self._transport, self.is_up = transport, True
            for channel in self._handlers.keys() - subscribed_to:
                self._say(b"SUBSCRIBE", channel)
            self._on_up()
            return await self._until_lost(transport, ear, lost)
        finally:
            if self.is_up:
                self.is_up = False
                self._on_down()
            line.close()

    async def _until_lost(self, transport: asyncio.Transport, ear: _Ear, lost: "asyncio.Future[str]") -> str:
        loop = asyncio.get_running_loop()
        while True:
            done, _ = await asyncio.wait([lost], timeout=background.until_beat_s(PING_EVERY_S))
            if done:
                return lost.result()
            if loop.time() - ear.heard_at > SILENCE_S_MAX:
                return f"silent for {SILENCE_S_MAX:g} s"
            transport.write(b"PING\r\n")
