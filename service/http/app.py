"""The application: hot operations by exact path first, everything else through Starlette."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.error_registry import MethodNotAllowed, NotFound
from service.errors import SimpulError
from service.http import atomic, cache, cluster, lock, queue, raft, scripts, timetable, topic
from service.http.context import Context
from service.http.hot import HotEndpoint, unforeseen
from service.http.openapi import document
from service.http.pages import PAGES, refuse, routes

NOUNS = (lock, queue, topic, timetable, cache, atomic, cluster, scripts)
OPERATIONS = tuple(operation for noun in NOUNS for operation in noun.OPERATIONS)

Lifetime = Callable[[], AbstractAsyncContextManager[None]]


class Application(Starlette):
    """Starlette, except that a POST to an operation skips its router and middleware."""

    def __init__(self, context: Context, lifetime: Lifetime) -> None:
        self.hot = {operation.path: HotEndpoint(operation, context) for operation in OPERATIONS}

        self.between_nodes = raft.endpoints(context.authority, context.deadlocks.answers())

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with lifetime():
                yield

        super().__init__(
            routes=[
                # For every method: a GET meant as a POST must not show the state of a lock named "acquire".
                *(Route(path, endpoint) for path, endpoint in self.hot.items()),
                # Routed as well, so that other methods than POST are answered 405.
                *(Route(path, endpoint, methods=["POST"]) for path, endpoint in self.between_nodes.items()),
                *routes(context, msgspec.json.encode(document(OPERATIONS, PAGES))),
            ],
            exception_handlers={SimpulError: _refused, HTTPException: _not_routed, Exception: _defect},
            lifespan=lifespan,
        )
        self.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self.hot.get(scope["path"]) or self.between_nodes.get(scope["path"])
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, SimpulError)  # noqa: S101 - what Starlette's table promises
    return refuse(error)


async def _not_routed(request: Request, error: Exception) -> Response:
    allowed = (getattr(error, "headers", None) or {}).get("Allow")
    path = request.url.path
    if allowed:
        return refuse(MethodNotAllowed(path=path, method=request.method, allowed=allowed))
    return refuse(NotFound(path=path))


async def _defect(request: Request, error: Exception) -> Response:
    return refuse(unforeseen(error, request.url.path))
