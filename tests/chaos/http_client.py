"""A keep-alive HTTP/1.1 client of a screen: cheap enough that a dozen of them do not disturb the nodes they watch."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import orjson


class Reply(NamedTuple):
    status: int
    body: dict[str, Any]


CONNECT_S = 5.0
"""The machine may be busy: a node that is not there refuses at once."""


class NotSent(Exception):
    """No connection: the node has not seen the request."""


class Connection:
    """One node's port; connects when it is needed, and again after a failure."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: dict[str, Any], timeout_s: float) -> Reply:
        """Raises NotSent, or OSError, EOFError or TimeoutError when it is not known what the node did."""
        return await self._ask("POST", path, orjson.dumps(body), timeout_s)

    async def get(self, path: str, timeout_s: float) -> Reply:
        """Raises as `post` does."""
        return await self._ask("GET", path, b"", timeout_s)

    async def _ask(self, method: str, path: str, content: bytes, timeout_s: float) -> Reply:
        reader, writer = await self._connected()
        head = f"{method} {path} HTTP/1.1\r\nHost: node\r\nContent-Length: {len(content)}\r\n\r\n"
        answered = False
        try:
            async with asyncio.timeout(timeout_s):
                writer.write(head.encode() + content)
                reply = await _read(reader)
            answered = True
            return reply
        finally:
            if not answered:
                self.close()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            try:
                async with asyncio.timeout(CONNECT_S):
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            except (OSError, TimeoutError) as error:
                raise NotSent(str(error)) from error
        return self._streams


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(headers[b"content-length"]))
    return Reply(int(lines[0].split(b" ", 2)[1]), orjson.loads(body))
