"""One kept HTTP/1.1 connection to one node: a POST at a time, a deadline each, one retry on a fresh connection.

Written out rather than taken from an HTTP client library, for three figures: an idle leader sends 13 requests a second
for ever, and the library's 0.5 ms of CPU each (against 0.03 here) is most of what an idle node may cost; importing it
takes a quarter of a second of every start; and a retry must be on a *fresh* connection, which a pool does not promise.
Both ends are this program, so the little of HTTP that a proxy between them may use is enough.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

HEAD_BYTES_MAX = 16 << 10
SECRET_HEADER = "x-simpul-secret"  # noqa: S105 - the name of a header


_TROUBLE = (OSError, EOFError, asyncio.LimitOverrunError, ValueError, IndexError)
"""What a broken connection, or an answer that is no HTTP, raises below."""


class Unreachable(Exception):
    """No answer: the peer may or may not have received the request. The message says why."""


class Answer(NamedTuple):
    """Status and body of a response."""

    status: int
    body: bytes


class Connection:
    """To the node at `url`. One caller at a time."""

    def __init__(self, url: str, secret: str, answer_bytes_max: int) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        self._answer_bytes_max = answer_bytes_max
        secret_line = f"{SECRET_HEADER}: {secret}\r\n" if secret else ""
        self._fixed_head = f"host: {parts.netloc}\r\ncontent-type: application/x-msgpack\r\n{secret_line}"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, deadline_s: float) -> Answer:
        """Send and wait for the answer, within `deadline_s` seconds for both attempts. Raises Unreachable."""
        try:
            async with asyncio.timeout(deadline_s):
                return await self._post_or_retry(path, body)
        except TimeoutError:
            self.close()
            raise Unreachable(f"no answer within {deadline_s:g} s") from None
        except BaseException:
            # Cancelled with an answer still to come: the next request would read it as its own.
            self.close()
            raise

    async def _post_or_retry(self, path: str, body: bytes) -> Answer:
        was_kept = self._streams is not None
        try:
            return await self._attempt(path, body)
        except _TROUBLE as error:
            self.close()
            if isinstance(error, ConnectionRefusedError) and not was_kept:
                raise Unreachable("nothing listens there") from None
        # A kept connection may have been closed by the other side just now. Everything sent here may arrive twice.
        try:
            return await self._attempt(path, body)
        except _TROUBLE as error:
            self.close()
            raise Unreachable(str(error) or type(error).__name__) from None

    async def _attempt(self, path: str, body: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=HEAD_BYTES_MAX)
        reader, writer = self._streams
        head = f"POST {self._prefix}{path} HTTP/1.1\r\n{self._fixed_head}content-length: {len(body)}\r\n\r\n"
        writer.write(head.encode("latin-1") + body)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        status = int(lines[0].split(b" ", 2)[1])
        headers = dict(line.lower().split(b":", 1) for line in lines[1:] if line)
        length = int(headers.get(b"content-length", b"0" if status == 204 else b"-1"))
        if not 0 <= length <= self._answer_bytes_max:
            raise ValueError(f"an answer of {length} bytes")
        answer = await reader.readexactly(length)
        if headers.get(b"connection", b"").strip() == b"close":
            self.close()
        return Answer(status, answer)

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
