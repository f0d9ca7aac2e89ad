"""Everything that is read with GET: state of locks and topics, the node's health, its scripts, the API document."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, cast
from urllib.parse import unquote_to_bytes

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.cache import Audit
from service.decisions import leadership
from service.decisions.leadership import Leadership
from service.error_registry import (
    BY_CODE,
    ClusterForeign,
    FieldInvalid,
    FieldMissing,
    FieldUnknown,
    KeyAbsent,
    NoDelegation,
    NodeStopping,
    NotCommitted,
    NotFound,
    PathNotUnicode,
    ScriptSetUnknown,
    StoreUnavailable,
    StoreUnblessed,
    SubscriptionUnknown,
    WatchersFull,
)
from service.errors import SimpulError
from service.http import cache_value, cluster, events, scripts
from service.http.cluster import ClusterState
from service.http.context import Context
from service.http.metrics import registry
from service.http.problem import problem
from service.http.query import Parameter, Query, choice, integer, text
from service.http.scripts import ScriptSetPage, ScriptsPage
from service.limits import (
    AUDIT_DEFAULT,
    AUDIT_MAX,
    LOCK_HISTORY_MAX,
    LOCK_LIST_DEFAULT,
    LOCK_LIST_MAX,
    NAME_BYTES_MAX,
    SCHEDULES_MAX,
)
from service.lock import LockList, LockState
from service.lock.deadlock.overview import WaitsView
from service.lock.listing import CURSOR_CHARS_MAX
from service.names import encode_name
from service.queue import TopicState
from service.queue.schedule_wire import SchedulePage
from service.queue.wire import TOPIC_DEFAULT

EVENT_STREAM = "text/event-stream"


class Health(msgspec.Struct):
    ok: Literal[True]
    node: str


class Ready(msgspec.Struct):
    ready: Literal[True]
    node: str
    redis: str


class RaftState(Leadership):
    """`leader` and `leader_url` are null while no leader is known."""

    generation: int
    script_set: str


class Explanation(msgspec.Struct):
    code: str
    status: int
    title: str
    detail: str
    action: str
    retry: str


class Page(NamedTuple):
    """One GET endpoint; a `reply` that is a string is a media type other than JSON."""

    path: str
    summary: str
    reply: type[msgspec.Struct] | str
    read: Callable[[Context, Request], Awaitable[msgspec.Struct]] | None
    errors: tuple[type[SimpulError], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    """What it takes in the query of its URL."""
    has_etag: bool = False
    """Its answer has an ETag, and who sends that as If-None-Match is answered 304 while it holds."""


async def _lock(context: Context, request: Request) -> LockState:
    name, most = name_in_path(request, "/lock/"), Query(request, _LOCK_PARAMETERS).integer("history")
    state = await context.locks.inspect(name)
    if most:
        state.history = await context.locks.history(name, most)
    return state


async def _locks(context: Context, request: Request) -> LockList:
    query = Query(request, _LIST_PARAMETERS)
    return await context.listing.page(query.text("prefix"), query.integer("limit"), query.text("cursor"))


async def _waits(context: Context, _: Request) -> WaitsView:
    return await context.deadlocks.asking.waits()


async def _topic(context: Context, request: Request) -> TopicState:
    name = name_in_path(request, "/queue/")
    return await context.administration.inspect(name, Query(request, _TOPIC_PARAMETERS).text("subscription") or None)


async def _schedules(context: Context, request: Request) -> SchedulePage:
    query = Query(request, _SCHEDULES_PARAMETERS)
    topic = query.text("topic") or TOPIC_DEFAULT
    encode_name("topic", topic)
    return await context.timetable.page(topic, query.text("after"), query.integer("limit"))


async def _audit(context: Context, request: Request) -> Audit:
    return await context.auditor.audit(Query(request, _AUDIT_PARAMETERS).integer("sample"))


async def _health(context: Context, _: Request) -> Health:
    return Health(True, context.config.node_id)


async def _ready(context: Context, _: Request) -> Ready:
    primaries = context.primaries
    if not primaries.serves:
        raise primaries.refusal
    if not context.subscriber.is_up:
        raise StoreUnavailable(address=primaries.address, reason="the subscription is not up yet")
    if context.authority.delegation.is_awaited:
        context.authority.delegation.check()
    answering = ", ".join(str(link.incarnation) for link in primaries.links if link.is_up)
    return Ready(True, context.config.node_id, answering)


async def _raft_state(context: Context, _: Request) -> RaftState:
    return RaftState(
        **msgspec.structs.asdict(leadership.of(context.member, asyncio.get_running_loop().time())),
        generation=context.authority.fence.generation,
        script_set=context.authority.fence.script_set,
    )


async def _cluster(context: Context, request: Request) -> ClusterState:
    if Query(request, _CLUSTER_PARAMETERS).choice("consistency") == "strong":
        await context.member.decisions.confirm_read()
    return await cluster.state_of(context)


async def _explain(_: Context, request: Request) -> Explanation:
    error = BY_CODE.get(request.path_params["code"])
    if error is None:
        raise NotFound(path=request.url.path)
    return Explanation(error.code, error.status, error.title, error.detail_template, error.action, error.retry)


_LOCK_PARAMETERS = (
    integer("history", "How many of its latest events to show; 0: none.", least=0, most=LOCK_HISTORY_MAX, default=0),
)
_LIST_PARAMETERS = (
    text("prefix", "Only locks whose names begin so.", NAME_BYTES_MAX),
    integer("limit", "Locks in a page, at most.", least=1, most=LOCK_LIST_MAX, default=LOCK_LIST_DEFAULT),
    text("cursor", "As the page before answered it.", CURSOR_CHARS_MAX, "^[A-Za-z0-9_-]*$"),
)
_TOPIC_PARAMETERS = (text("subscription", "Show this subscription of the topic.", NAME_BYTES_MAX),)
_SCHEDULES_PARAMETERS = (
    text("topic", "Whose schedules.", NAME_BYTES_MAX),
    integer("limit", "Schedules in a page, at most.", least=1, most=SCHEDULES_MAX, default=SCHEDULES_MAX),
    text("after", "As the page before answered it.", NAME_BYTES_MAX),
)
_AUDIT_PARAMETERS = (integer("sample", "Copies to look at, at most.", least=1, most=AUDIT_MAX, default=AUDIT_DEFAULT),)
_CLUSTER_PARAMETERS = (choice("consistency", "strong: everything decided before is shown.", "local", "strong"),)

PAGES = (
    Page(
        "/lock/{resource}",
        "Who holds a resource now, who waits for it, and what happened to it.",
        LockState,
        _lock,
        (FieldInvalid, FieldUnknown, PathNotUnicode),
        _LOCK_PARAMETERS,
    ),
    Page(
        "/locks",
        "The locks that are held or waited for, page by page.",
        LockList,
        _locks,
        (FieldInvalid, FieldUnknown),
        _LIST_PARAMETERS,
    ),
    Page(
        "/locks/waits", "Who waits for whom, as the leader was told and Redis says.", WaitsView, _waits, (NotCommitted,)
    ),
    Page(
        "/caches/audit",
        "Hold copies of this node's near cache against Redis, now.",
        Audit,
        _audit,
        (FieldInvalid, FieldUnknown),
        _AUDIT_PARAMETERS,
    ),
    Page(
        "/queue/{topic}",
        "How many messages a topic or a subscription has.",
        TopicState,
        _topic,
        (FieldInvalid, FieldUnknown, PathNotUnicode, SubscriptionUnknown),
        _TOPIC_PARAMETERS,
    ),
    Page(
        "/schedules",
        "The schedules of a topic, page by page.",
        SchedulePage,
        _schedules,
        (FieldInvalid, FieldUnknown),
        _SCHEDULES_PARAMETERS,
    ),
    Page(
        "/cache/{key}",
        "The value of a key, as it was put.",
        "application/json",
        None,
        (KeyAbsent, FieldInvalid, FieldUnknown, PathNotUnicode),
        cache_value.PARAMETERS,
        has_etag=True,
    ),
    Page(
        "/events",
        "What happens to locks, as it happens.",
        EVENT_STREAM,
        None,
        (FieldInvalid, FieldMissing, FieldUnknown, WatchersFull, NodeStopping),
        events.PARAMETERS,
    ),
    Page("/health", "The node answers; says nothing about Redis.", Health, _health),
    Page("/livez", "The process lives: restart it when this fails.", Health, _health),
    Page(
        "/readyz",
        "The node can do its work: send it traffic.",
        Ready,
        _ready,
        (StoreUnavailable, StoreUnblessed, ClusterForeign, NoDelegation),
    ),
    Page("/metrics", "Prometheus text.", "text/plain", None),
    Page("/scripts", "The script sets of the cluster, and the fence it works with.", ScriptsPage, scripts.show_all),
    Page("/scripts/{version}", "The sources of one script set.", ScriptSetPage, scripts.show_one, (ScriptSetUnknown,)),
    Page("/raft/state", "Role, term and leader as this node knows them.", RaftState, _raft_state),
    Page(
        "/cluster",
        "What the cluster has decided, as this node has it; `strong` waits until that is everything decided before.",
        ClusterState,
        _cluster,
        (FieldInvalid, FieldUnknown, NotCommitted),
        _CLUSTER_PARAMETERS,
    ),
    Page("/problems/{code}", "What an error code means and what to do.", Explanation, _explain, (NotFound,)),
    Page("/openapi.json", "This document.", "application/json", None),
)


class _RestOfPath(StringConvertor):
    """Like Starlette's `path`, but a line break is part of the name too, so that it is refused as a name."""

    regex = r"[\s\S]*"


register_url_convertor("rest", _RestOfPath())

_TAKES_REST_OF_PATH = {
    "/lock/{resource}": "/lock/{resource:rest}",
    "/queue/{topic}": "/queue/{topic:rest}",
    "/cache/{key}": "/cache/{key:rest}",
}


def refuse(error: SimpulError) -> Response:
    status, headers, body = problem(error)
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


def name_in_path(request: Request, before: str) -> str:
    """The rest of the path as it was sent: the server's own decoding replaces bytes that are not UTF-8."""
    raw: bytes = request.scope["raw_path"]
    try:
        return unquote_to_bytes(raw.partition(b"?")[0].removeprefix(before.encode())).decode()
    except UnicodeDecodeError:
        raise PathNotUnicode from None


def routes(context: Context, openapi: bytes) -> list[Route]:
    made = registry(context)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(made), media_type=CONTENT_TYPE_LATEST)

    async def api(_: Request) -> Response:
        return Response(openapi, media_type="application/json")

    async def watch(request: Request) -> Response:
        return cast("Response", await events.open_stream(context, request))

    async def value(request: Request) -> Response:
        return await cache_value.show_value(context, request, name_in_path(request, "/cache/"))

    texts = {"/cache/{key}": value, "/metrics": metrics, "/openapi.json": api, "/events": watch}
    return [
        Route(_TAKES_REST_OF_PATH.get(page.path, page.path), texts.get(page.path) or _endpoint(page, context))
        for page in PAGES
    ]


def _endpoint(page: Page, context: Context) -> Callable[[Request], Awaitable[Response]]:
    read = page.read
    if read is None:
        raise TypeError(f"{page.path} has nothing to read")

    async def endpoint(request: Request) -> Response:
        return Response(msgspec.json.encode(await read(context, request)), media_type="application/json")

    return endpoint
