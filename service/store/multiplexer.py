"""One Redis connection shared by every request of the node: calls of one event-loop turn leave in one write.

A request/response client costs 40-50 us of CPU per call; this costs 2-3 (docs/explanation/hot-path.md). What makes
it safe to share:

* replies are matched to calls by order alone, so a cancelled caller keeps its place in the line;
* nothing is ever sent twice: when the connection ends, every call in flight fails as *outcome unknown*;
* the line is bounded; a caller past the bound is refused before anything is sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

from service.error_registry import OutcomeUnknown, StoreBusy, StoreUnavailable

WRITE_BUFFER_BYTES_MAX = 64 * 1024 * 1024
"""Unsent bytes at which a slow Redis counts as busy, whatever the number of calls."""

FLUSH_CALLS = 8
"""Unsent calls that are sent without waiting for the loop's turn to end, so that Redis works while the node still
decodes requests, instead of the two taking turns."""

_INCOMPLETE = object()


class Multiplexer(asyncio.Protocol):
    """Speaks RESP2 over an established, authenticated connection.

    `send` returns a future of the reply; error replies arrive as `hiredis.ReplyError` values, not raised, because
    what an error means depends on the call.
    """

    def __init__(self, *, address: str, in_flight_max: int, timeout_s: float, on_lost: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._in_flight_max = in_flight_max
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unsent: list[bytes] = []
        self._is_paused = False
        self._progress_at = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._lost_because = "not connected yet"

    @property
    def in_flight(self) -> int:
        return len(self._waiting)

    def attach(self, transport: asyncio.Transport) -> None:
        """Take over a transport on which no reply is outstanding."""
        self._transport = transport
        transport.set_protocol(self)

    def send(self, packed: bytes) -> "asyncio.Future[Any]":
        """Queue one packed command. Raises StoreBusy or StoreUnavailable; in both cases nothing was sent."""
        if self._transport is None:
            raise StoreUnavailable(address=self._address, reason=self._lost_because)
        waiting = self._waiting
        if len(waiting) >= self._in_flight_max or (self._is_paused and self._is_buffer_full()):
            raise StoreBusy(limit=self._in_flight_max)
        if not waiting:
            self._progress_at = self._loop.time()
            if self._watchdog is None:
                self._watch_in(self._timeout_s / 4)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        if len(self._unsent) >= FLUSH_CALLS:
            self._flush()
        future = self._loop.create_future()
        waiting.append(future)
        return future

    def _flush(self) -> None:
        if self._unsent and self._transport is not None:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _is_buffer_full(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > WRITE_BUFFER_BYTES_MAX

    def data_received(self, data: bytes) -> None:
        self._progress_at = self._loop.time()
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _INCOMPLETE:
                future = waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            # A reply nobody asked for, or bytes that are not RESP: the order of replies can no longer be trusted.
            self.close(f"Redis sent an unexpected reply ({error})")

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(f"the connection was lost ({exc})" if exc else "Redis closed the connection")

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False

    def _watch(self, *, suspicious: bool = False) -> None:
        """Ends a connection whose oldest call has waited for timeout_s without any reply arriving.

        A stalled event loop looks the same from here, so a suspicion is confirmed after the loop has had a turn to
        read what lies in the socket. It ends where no call waits, and the next call begins it again.
        """
        self._watchdog = None
        if self._transport is None or not self._waiting:
            return
        is_late = self._loop.time() - self._progress_at > self._timeout_s
        if is_late and suspicious:
            self.close(f"Redis did not answer for {self._timeout_s:g} s")
            return
        self._watch_in(0.02 if is_late else self._timeout_s / 4, suspicious=is_late)

    def _watch_in(self, pause_s: float, *, suspicious: bool = False) -> None:
        self._watchdog = self._loop.call_later(pause_s, lambda: self._watch(suspicious=suspicious))

    def close(self, because: str) -> None:
        """End the connection now; calls in flight fail as outcome unknown."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._lost_because = because
        if self._watchdog is not None:
            self._watchdog.cancel()
        transport.abort()
        self._unsent.clear()
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_exception(OutcomeUnknown(reason=because))
        self._on_lost(because)
