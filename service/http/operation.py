"""One POST operation of the API as data: the routes, the OpenAPI document and the hot path are made from it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from service.errors import SimpulError
from service.http.context import Context

Patience = Callable[[Any], Awaitable[Any]]
Perform = Callable[[Any, Patience], Awaitable[msgspec.Struct]]


class Variant(NamedTuple):
    """The same operation in another form, which is known by a field that the usual one does not have."""

    field: str
    instead_of: str
    request: type[msgspec.Struct]
    bind: Callable[[Context], Perform]
    examples: tuple[Mapping[str, Any], ...] = ()


class Operation(NamedTuple):
    path: str
    summary: str
    request: type[msgspec.Struct]
    replies: tuple[type[msgspec.Struct], ...]
    errors: tuple[type[SimpulError], ...]
    bind: Callable[[Context], Perform]
    """The domain call, given the request and a way to wait only while the client is there."""
    refusal: Mapping[str, Any] = {}
    """Fields that clients of the original API look for in a 409 or 412, such as granted: false."""
    payload_field: str = "body"
    """Which field of the request carries JSON of any depth."""
    examples: tuple[Mapping[str, Any], ...] = ()
    takes_condition: bool = False
    """Whether If-Match and If-None-Match stand for `if_version`."""
    variant: Variant | None = None
    """Tried only when the body is not a `request`, so that the usual form pays nothing for it."""
