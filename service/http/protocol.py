"""uvicorn's HTTP protocol with a short way for operations and for what nodes say: parsed request in, one write out.

A response through ASGI is two writes, and uvloop gives each to the kernel at once: two system calls, a third of a
request's CPU. ASGI's scope, events and header checks cost as much again as the Lua call. So a POST to an operation
that arrives on an idle connection is answered here. Every other request takes uvicorn's own way, and ends at the same
endpoint when it is for an operation all the same: the two ways differ in cost only, which a test holds them to.

The heartbeats of an idle cluster go the same way; those of strangers do not, for uvicorn's reads no body before it is
asked for one.
"""

import asyncio
from typing import Any, Protocol, cast

from starlette.types import Receive
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.http.app import Application
from service.http.body import ClientGone
from service.http.events import ABORT
from service.http.hot import HotEndpoint
from service.http.problem import Headers
from service.http.raft import NodeEndpoint


class Endpoint(Protocol):
    """What the short way can end at."""

    body_bytes_max: int
    """A longer body is refused by `answer`; no more of it than shows that is kept."""

    async def answer(self, headers: Headers, body: bytes, receive: Receive) -> tuple[int, Headers | None, bytes]: ...

    def headers_of(self, reply: bytes) -> Headers: ...


class _NobodyWaits:
    """Stands for an asyncio.Event: making one costs a microsecond, and only a parked request needs it."""

    def set(self) -> None:
        return


_NOBODY_WAITS = _NobodyWaits()


class _Exchange:
    """One operation under way. uvicorn's protocol treats it as its own RequestResponseCycle."""

    __slots__ = (
        "_body",
        "_chunks",
        "body_bytes",
        "disconnected",
        "endpoint",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
    )

    def __init__(self, endpoint: Endpoint, *, keep_alive: bool) -> None:
        self.endpoint = endpoint
        self.keep_alive = keep_alive
        self.body_bytes = 0
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.message_event: asyncio.Event | _NobodyWaits = _NOBODY_WAITS
        self._body = b""
        self._chunks: list[bytes] | None = None

    def feed(self, chunk: bytes) -> None:
        """Bytes beyond the limit are counted and dropped: the endpoint refuses the body for its length."""
        self.body_bytes += len(chunk)
        if not self._body:
            self._body = chunk
        elif self.body_bytes - len(chunk) <= self.endpoint.body_bytes_max:
            self._chunks = self._chunks or [self._body]
            self._chunks.append(chunk)

    @property
    def body(self) -> bytes:
        return b"".join(self._chunks) if self._chunks else self._body

    async def receive(self) -> dict[str, Any]:
        """As ASGI's, after the body: returns when the client is gone."""
        if not self.disconnected:
            self.message_event = asyncio.Event()
            await self.message_event.wait()
        return {"type": "http.disconnect"}


class OperationsProtocol(HttpToolsProtocol):
    hot: dict[bytes, HotEndpoint]
    """Operations by path; set on the subclass that `protocol_for` makes."""
    between_nodes: dict[bytes, NodeEndpoint]

    _ok_made_of: Any = None
    _ok_head = b""

    def on_message_begin(self) -> None:
        # uvicorn builds the ASGI scope here; that is put off until a request turns out to need one.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        endpoint: Endpoint | None = self.hot.get(self.url) or self._between_nodes()
        if endpoint is None or not self._can_be_short():
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            cast("Any", self.scope)["extensions"] = {ABORT: self.transport.abort}
            self.url, self.expect_100_continue = url, expects
            self.headers.extend(headers)
            super().on_headers_complete()
            return
        self.cycle = cast("Any", _Exchange(endpoint, keep_alive=self.parser.should_keep_alive()))

    def _between_nodes(self) -> NodeEndpoint | None:
        endpoint = self.between_nodes.get(self.url)
        if endpoint is None or endpoint.stranger(self.headers, self.client) is not None:
            return None
        return endpoint

    def _can_be_short(self) -> bool:
        cycle: Any = self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        )

    def on_body(self, body: bytes) -> None:
        exchange: Any = self.cycle
        if type(exchange) is _Exchange:
            exchange.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        exchange: Any = self.cycle
        if type(exchange) is not _Exchange:
            super().on_message_complete()
            return
        exchange.more_body = False
        task = self.loop.create_task(self._serve(exchange, self.headers))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, exchange: _Exchange, headers: Headers) -> None:
        try:
            status, extra, body = await exchange.endpoint.answer(headers, exchange.body, exchange.receive)
        except ClientGone:
            return
        exchange.response_complete = True
        if exchange.disconnected:
            return
        if extra is None and exchange.keep_alive:
            self.transport.write(b"%b%d\r\n\r\n%b" % (self._head_of_200(), len(body), body))
        else:
            self._write_in_full(exchange, status, extra, body)
        self.on_response_complete()

    def _head_of_200(self) -> bytes:
        """All of a plain 200 before its length; uvicorn replaces its default headers (the date) once a second."""
        defaults = self.server_state.default_headers
        if OperationsProtocol._ok_made_of is not defaults:
            lines = b"".join(b"%b: %b\r\n" % line for line in defaults) + b"content-type: application/json\r\n"
            OperationsProtocol._ok_made_of = defaults
            OperationsProtocol._ok_head = STATUS_LINE[200] + lines + b"content-length: "
        return OperationsProtocol._ok_head

    def _write_in_full(self, exchange: _Exchange, status: int, extra: Headers | None, body: bytes) -> None:
        lines = [*self.server_state.default_headers, *(exchange.endpoint.headers_of(body) if extra is None else extra)]
        if not exchange.keep_alive:
            lines.append((b"connection", b"close"))
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], head, body))
        if not exchange.keep_alive:
            self.transport.close()


def protocol_for(application: Application) -> type[OperationsProtocol]:
    """The protocol class of one application's operations, as uvicorn's `http` setting takes it."""
    hot = {path.encode(): endpoint for path, endpoint in application.hot.items()}
    between_nodes = {path.encode(): endpoint for path, endpoint in application.between_nodes.items()}
    return type("ApplicationProtocol", (OperationsProtocol,), {"hot": hot, "between_nodes": between_nodes})
