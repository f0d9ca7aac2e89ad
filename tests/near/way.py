"""A way to Redis on which single answers and messages can be held back, dropped and doubled, and connections killed.

It runs on the loop of the test, and tells the node's two kinds of connection apart: the one that subscribes carries
messages, all others carry calls.
"""

from __future__ import annotations

import asyncio
from collections import deque

CALLS, MESSAGES = "calls", "messages"
_READ_BYTES = 65536


class Way:
    def __init__(self, port: int) -> None:
        self.target_port = port
        self.port = 0
        self.held: dict[str, deque[bytes]] = {CALLS: deque(), MESSAGES: deque()}
        """What came from Redis while its kind was held back, in order."""
        self.passed: dict[str, int] = {CALLS: 0, MESSAGES: 0}
        self._is_held = {CALLS: False, MESSAGES: False}
        self._is_deaf = {CALLS: False, MESSAGES: False}
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> Way:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        assert self._server
        self._server.close()
        for kind in (CALLS, MESSAGES):
            self.kill(kind)
        await asyncio.gather(*(line.is_over.wait() for line in list(self._lines)))

    # -- what a test does to it

    def hold(self, kind: str) -> None:
        self._is_held[kind] = True

    def let_go(self, kind: str) -> None:
        """Everything held back arrives, in order, and nothing is held back any more."""
        self._is_held[kind] = False
        while self.held[kind]:
            self.pass_on(kind)

    def pass_on(self, kind: str) -> None:
        """The first of what is held back arrives."""
        self._to_client(kind, self.held[kind].popleft())

    def drop(self, kind: str) -> None:
        """The first of what is held back never arrives."""
        self.held[kind].popleft()

    def double(self, kind: str) -> None:
        """The first of what is held back will arrive twice."""
        self.held[kind].appendleft(self.held[kind][0])

    def deafen(self, kind: str) -> None:
        """Nothing arrives any more, and the connection stays."""
        self._is_deaf[kind] = True

    def kill(self, kind: str) -> None:
        """End these connections; what was held back is lost with them."""
        self.held[kind].clear()
        self._is_deaf[kind] = self._is_held[kind] = False
        for line in [line for line in self._lines if line.kind == kind]:
            line.end()

    # -- what it does

    def _to_client(self, kind: str, frame: bytes) -> None:
        self.passed[kind] += 1
        for line in self._lines:
            if line.kind == kind and not line.to_client.is_closing():
                line.to_client.write(frame)
                return

    def arrived(self, line: _Line, frame: bytes) -> None:
        if self._is_deaf[line.kind]:
            return
        if self._is_held[line.kind]:
            self.held[line.kind].append(frame)
        else:
            self.passed[line.kind] += 1
            line.to_client.write(frame)

    async def _carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        line = _Line(to_client)
        self._lines.add(line)
        try:
            from_target, to_target = await asyncio.open_connection("127.0.0.1", self.target_port)
            line.to_target = to_target
            pumps = [
                asyncio.ensure_future(one) for one in (line.requests(from_client), line.answers(from_target, self))
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # the server is not there; the client sees its connection end
        finally:
            line.end()
            self._lines.discard(line)
            line.is_over.set()


class _Line:
    """One connection of the node."""

    def __init__(self, to_client: asyncio.StreamWriter) -> None:
        self.kind = CALLS
        self.to_client = to_client
        self.to_target: asyncio.StreamWriter | None = None
        self.is_over = asyncio.Event()

    async def requests(self, source: asyncio.StreamReader) -> None:
        while chunk := await source.read(_READ_BYTES):
            if b"\nSUBSCRIBE\r\n" in chunk:
                self.kind = MESSAGES
            assert self.to_target
            self.to_target.write(chunk)

    async def answers(self, source: asyncio.StreamReader, way: Way) -> None:
        while frame := await _frame(source):
            way.arrived(self, frame)

    def end(self) -> None:
        for writer in (self.to_client, self.to_target):
            if writer is not None:
                writer.transport.abort()


async def _frame(source: asyncio.StreamReader) -> bytes:
    """One whole RESP2 value; nothing at the end of the connection."""
    try:
        head = await source.readuntil(b"\r\n")
        size = int(head[1:-2]) if head[:1] in b"$*" else -1
        if head[:1] == b"$" and size >= 0:
            return head + await source.readexactly(size + 2)
        return head + b"".join([await _frame(source) for _ in range(max(size, 0))])
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
