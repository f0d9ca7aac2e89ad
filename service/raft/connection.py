"""One kept HTTP/1.1 connection to one node: a POST at a time, a deadline each, one retry on a fresh connection.

Written out rather than taken from an HTTP client library, for three figures: an idle leader sends 13 requests a second
for ever, and the library's 0.5 ms of CPU each (against 0.03 here) is most of what an idle node may cost; importing it
takes a quarter of a second of every start; and a retry must be on a *fresh* connection, which a pool does not promise.
Both ends are this program, so the little of HTTP that a proxy between them may use is enough.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import partial
from typing import NamedTuple, cast
from urllib.parse import urlsplit

HEAD_BYTES_MAX = 16 << 10
_NO_CONTENT = 204
SECRET_HEADER = "x-simpul-secret"  # noqa: S105 - the name of a header


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+) *\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close *\r\n", re.IGNORECASE)
_TROUBLE = (OSError, EOFError, ValueError)
"""What a broken connection, or an answer that is no HTTP, raises below."""


class Unreachable(Exception):
    """No answer: the peer may or may not have received the request. The message says why."""


class Answer(NamedTuple):
    """Status and body of a response."""

    status: int
    body: bytes


class _Line(asyncio.Protocol):
    """An open connection, and the answer that is awaited on it. Not asyncio's streams: each answer costs them two turns
    of the loop more."""

    def __init__(self, answer_bytes_max: int) -> None:
        self._answer_bytes_max = answer_bytes_max
        self._transport: asyncio.Transport
        self._received = b""
        self._awaited: asyncio.Future[Answer] | None = None
        self.is_open = True
        """False once no other request may be sent on it."""

    async def ask(self, request: bytes) -> Answer:
        """Raises what `_TROUBLE` lists."""
        awaited: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._awaited = awaited
        self._transport.write(request)
        return await awaited

    def abort(self) -> None:
        self.is_open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        try:
            answer = self._parse(received)
        except ValueError as error:
            self._end(error)
            return
        if answer is not None:
            self._received = b""
            self._answered(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or EOFError("it closed the connection"))

    def _parse(self, received: bytes) -> Answer | None:
        """None while there is more to come. Raises ValueError."""
        head_ends = received.find(b"\r\n\r\n")
        if head_ends < 0 or head_ends > HEAD_BYTES_MAX:
            if len(received) > HEAD_BYTES_MAX:
                raise ValueError(f"no answer begins with {HEAD_BYTES_MAX} bytes of head")
            return None
        head, body_begins = received[: head_ends + 2], head_ends + 4
        if not head.startswith(b"HTTP/1."):
            raise ValueError("the answer is no HTTP")
        status = int(head[9:12])
        found = _LENGTH.search(head)
        length = int(found[1]) if found else (0 if status == _NO_CONTENT else -1)
        if not 0 <= length <= self._answer_bytes_max:
            raise ValueError(f"an answer of {length} bytes")
        if len(received) < body_begins + length:
            return None
        if len(received) > body_begins + length:
            raise ValueError("more than an answer came")
        if _CLOSE.search(head):
            self.is_open = False
        return Answer(status, received[body_begins:])

    def _answered(self, answer: Answer) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            self._end(ValueError("an answer came to no question"))
        elif not awaited.done():
            awaited.set_result(answer)

    def _end(self, why: Exception) -> None:
        self.abort()
        awaited, self._awaited = self._awaited, None
        if awaited is not None and not awaited.done():
            awaited.set_exception(why)


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
        self._line: _Line | None = None

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
        if self._line is not None and not self._line.is_open:
            self.close()  # by the other side, since the last answer
        was_kept = self._line is not None
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
        line = self._line
        if line is None:
            made = partial(_Line, self._answer_bytes_max)
            opened = asyncio.get_running_loop().create_connection(made, self._host, self._port, ssl=self._tls)
            line = self._line = (await opened)[1]
        head = f"POST {self._prefix}{path} HTTP/1.1\r\n{self._fixed_head}content-length: {len(body)}\r\n\r\n"
        return await line.ask(head.encode("latin-1") + body)

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._line is not None:
            self._line.abort()
            self._line = None
