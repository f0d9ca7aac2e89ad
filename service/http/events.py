"""GET /events: what happens to locks, as server-sent events (WHATWG HTML, "Server-sent events")."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from service.error_registry import FieldInvalid, FieldMissing
from service.errors import SimpulError
from service.http.context import Context
from service.http.query import Parameter, Query, texts
from service.limits import NAME_BYTES_MAX, WATCHED_LOCKS_MAX
from service.lock.watching import Frame, Wanted, Watcher, Watching

log = logging.getLogger("simpul.http")

HEARTBEAT_S = 10.0
"""A comment this often keeps a quiet stream from being taken for a dead one, by proxies above all."""
SEND_S_MAX = 30.0
"""A client that takes nothing for so long is cut off."""
AGAIN_S = 0.2
"""Pause before Redis is asked again how a lock stands."""
ABORT = "simpul.abort"
"""In the scope's extensions: ends the connection at once. A client that reads nothing cannot be told anything."""
_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
_OPENING = b"retry: 1000\n\n"
_HEARTBEAT = b": still here\n\n"

PARAMETERS: tuple[Parameter, ...] = (
    texts("lock", "A lock to watch; may be repeated.", NAME_BYTES_MAX, WATCHED_LOCKS_MAX),
    texts("lock_prefix", "Watch all locks whose names begin so; may be repeated.", NAME_BYTES_MAX, WATCHED_LOCKS_MAX),
    texts("topic", "Refused: events of topics are not there yet.", NAME_BYTES_MAX, WATCHED_LOCKS_MAX),
)


def wanted_of(request: Request) -> Wanted:
    """Raises FieldMissing, FieldUnknown, FieldInvalid."""
    query = Query(request, PARAMETERS)
    if query.texts("topic"):
        raise FieldInvalid(field="topic", reason="is not watched yet: give lock or lock_prefix")
    wanted = Wanted(query.texts("lock"), query.texts("lock_prefix"))
    if not wanted.locks and not wanted.prefixes:
        raise FieldMissing(field="lock")
    if "" in wanted.prefixes or "" in wanted.locks:
        raise FieldInvalid(field="lock" if "" in wanted.locks else "lock_prefix", reason="is empty")
    return wanted


class EventStream:
    """One client's stream, as an ASGI response."""

    def __init__(self, watching: Watching, watcher: Watcher, beginning: Iterable[Frame]) -> None:
        self.heartbeat_s = HEARTBEAT_S
        self.send_s_max = SEND_S_MAX
        self._watching = watching
        self._watcher = watcher
        self._beginning = beginning

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: self._watcher.end())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._run(send)
            if not gone.done():
                await self._send(send, b"", is_last=True)
        except TimeoutError:
            log.info("a watcher took nothing for %g s and is cut off", self.send_s_max)
            abort = scope.get("extensions", {}).get(ABORT)
            if abort is not None:
                abort()
        finally:
            self._watching.leave(self._watcher)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _run(self, send: Send) -> None:
        """Raises TimeoutError for a client that takes nothing."""
        await self._send(send, _OPENING + b"".join(map(_written, self._beginning)))
        watcher = self._watcher
        while not watcher.is_over:
            try:
                frames = await self._watching.frames(watcher)
            except SimpulError as error:
                log.debug("a watcher waits for Redis: %s", error.detail)
                await asyncio.sleep(AGAIN_S)
                continue
            if frames:
                await self._send(send, b"".join(map(_written, frames)))
                continue
            try:
                async with asyncio.timeout(self.heartbeat_s):
                    await watcher.news.wait()
            except TimeoutError:
                await self._send(send, _HEARTBEAT)

    async def _send(self, send: Send, data: bytes, *, is_last: bool = False) -> None:
        async with asyncio.timeout(self.send_s_max):
            await send({"type": "http.response.body", "body": data, "more_body": not is_last})


async def open_stream(context: Context, request: Request) -> EventStream:
    """Raises what stands before the stream begins, as an ordinary refusal."""
    wanted = wanted_of(request)
    watcher, beginning = await context.watching.open(wanted, request.headers.get("last-event-id"))
    return EventStream(context.watching, watcher, beginning)


def _written(frame: Frame) -> bytes:
    # One line of data: JSON has no line breaks outside of strings, and none inside of them.
    at = b"id: %b\n" % frame.at.encode() if frame.at else b""
    return b"%bevent: %b\ndata: %b\n\n" % (at, frame.name.encode(), msgspec.json.encode(frame.data))


async def _disconnected(receive: Receive) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            continue
