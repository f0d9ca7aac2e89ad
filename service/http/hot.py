"""Every POST operation: decode, perform, encode, without Starlette's per-request objects.

Request wrappers, middleware and response classes cost more than the whole Lua call behind them; the budget of a
single operation is that of a Starlette echo (docs/performance.md).
"""

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from time import perf_counter
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from service.error_registry import BodyTooLarge, FieldInvalid, InternalError, MethodNotAllowed
from service.errors import SimpulError
from service.http.body import FIELD_ERRORS, ClientGone, decode, fields_of, idempotency_key, known_fields, read_body
from service.http.conditions import condition_of
from service.http.context import Context
from service.http.operation import Operation, Variant
from service.http.problem import Headers, problem
from service.limits import BODY_BYTES_MAX

log = logging.getLogger("simpul.http")

_JSON = (b"content-type", b"application/json")


class _Bound:
    """A variant of an operation on this node."""

    def __init__(self, variant: Variant, context: Context) -> None:
        self._variant = variant
        self.decoder = msgspec.json.Decoder(variant.request)
        self.perform = variant.bind(context)

    def is_meant(self, body: bytes) -> bool:
        """Raises FieldInvalid when a body says both."""
        found = fields_of(body)
        if self._variant.field not in found:
            return False
        if self._variant.instead_of in found:
            reason = f"stands instead of {self._variant.instead_of}, not beside it"
            raise FieldInvalid(field=self._variant.field, reason=reason)
        return True


class HotEndpoint:
    body_bytes_max = BODY_BYTES_MAX

    def __init__(self, operation: Operation, context: Context) -> None:
        self._operation = operation
        self._traffic = context.traffic
        self._latency = context.traffic.latency[operation.path]
        self._answers = context.traffic.answers[operation.path]
        self._perform = operation.bind(context)
        self._decoder = msgspec.json.Decoder(operation.request)
        self._encode = msgspec.json.Encoder().encode
        self._takes_request_id = "request_id" in known_fields(operation.request)
        self._takes_condition = operation.takes_condition
        self._variant = _Bound(operation.variant, context) if operation.variant else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The operation as an ASGI application; `service.http.protocol` takes a shorter way to `answer`."""
        try:
            status, headers, reply = await self._answer_asgi(scope, receive)
        except ClientGone:
            return
        headers = self.headers_of(reply) if headers is None else headers
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": reply})

    async def _answer_asgi(self, scope: Scope, receive: Receive) -> tuple[int, Headers | None, bytes]:
        if scope["method"] != "POST":
            return problem(MethodNotAllowed(path=self._operation.path, method=scope["method"], allowed="POST"))
        return await self.answer(scope["headers"], await read_body(receive), receive)

    async def answer(self, headers: Headers, body: bytes, receive: Receive) -> tuple[int, Headers | None, bytes]:
        """Status, headers and body of the answer; None stands for the headers of a plain 200.

        `receive` is asked only while the request is parked, to hear of the client's going. Raises ClientGone.
        """
        started = perf_counter()
        traffic = self._traffic
        traffic.in_flight += 1
        try:
            status, extra, reply = await self._perform_safely(headers, body, receive)
        finally:
            traffic.in_flight -= 1
        self._answers[status] += 1
        self._latency.observe(perf_counter() - started)
        return status, extra, reply

    async def _perform_safely(
        self, headers: Headers, body: bytes, receive: Receive
    ) -> tuple[int, Headers | None, bytes]:
        try:
            if len(body) > BODY_BYTES_MAX:
                raise BodyTooLarge(limit_bytes=BODY_BYTES_MAX)
            perform = self._perform
            try:
                request: Any = decode(self._decoder, body, self._operation.payload_field)
            except FIELD_ERRORS:
                if self._variant is None or not self._variant.is_meant(body):
                    raise
                perform, request = self._variant.perform, decode(self._variant.decoder, body, "body")
            if self._takes_request_id:
                self._identify(headers, request)
            if self._takes_condition:
                _make_conditional(headers, request)
            result = await perform(request, lambda waiting: _while_connected(waiting, receive))
            return 200, None, self._encode(result)
        except SimpulError as error:
            is_refusal = error.status in (409, 412)
            return problem(error, dict(self._operation.refusal) if is_refusal else None)
        except ClientGone:
            raise
        except Exception as error:
            return problem(unforeseen(error, self._operation.path))

    @staticmethod
    def headers_of(reply: bytes) -> Headers:
        return [_JSON, (b"content-length", b"%d" % len(reply))]

    def _identify(self, headers: Headers, request: Any) -> None:
        key = idempotency_key(headers)
        if key is None:
            return
        if request.request_id is not None and request.request_id != key:
            raise FieldInvalid(field="request_id", reason="differs from the Idempotency-Key header")
        request.request_id = key


def _make_conditional(headers: Headers, request: Any) -> None:
    if_version = condition_of(headers)
    if if_version is None:
        return
    if request.if_version not in (None, if_version):
        raise FieldInvalid(field="if_version", reason="differs from the If-Match or If-None-Match header")
    request.if_version = if_version


def unforeseen(error: Exception, where: str) -> InternalError:
    """A defect: the client gets a reference, the log gets everything."""
    reference = uuid.uuid4().hex[:12]
    log.error("defect %s in %s", reference, where, exc_info=error)
    return InternalError(reference=reference)


async def _while_connected(waiting: Coroutine[Any, Any, Any], receive: Receive) -> Any:
    """Run a wait and cancel it when the client disconnects. Raises ClientGone then."""
    work: asyncio.Task[Any] = asyncio.create_task(waiting)
    gone = asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientGone
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
