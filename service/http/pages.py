"""Everything that is read with GET: state of locks and topics, the node's health, its scripts, the API document."""

from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.decisions import leadership
from service.error_registry import BY_CODE, NotFound, PathNotUnicode
from service.errors import SimpulError
from service.http.context import Context
from service.http.metrics import registry
from service.http.problem import problem


def json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


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

    async def lock(request: Request) -> Response:
        return json(await context.locks.inspect(name_in_path(request, "/lock/")))

    async def topic(request: Request) -> Response:
        return json(await context.queues.inspect(name_in_path(request, "/queue/")))

    async def health(_: Request) -> Response:
        return json({"ok": True, "node": context.config.node_id})

    async def ready(_: Request) -> Response:
        if not context.link.is_up:
            return refuse(context.link.refusal)
        return json({"ready": True, "node": context.config.node_id, "redis": str(context.link.incarnation)})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(made), media_type=CONTENT_TYPE_LATEST)

    async def scripts(_: Request) -> Response:
        return json(scripts_page(context))

    async def raft_state(_: Request) -> Response:
        return json(raft_page(context))

    async def api(_: Request) -> Response:
        return Response(openapi, media_type="application/json")

    async def explain(request: Request) -> Response:
        error = BY_CODE.get(request.path_params["code"])
        if error is None:
            raise NotFound(path=request.url.path)
        words = {"code": error.code, "status": error.status, "title": error.title, "detail": error.detail_template}
        return json({**words, "action": error.action, "retry": error.retry})

    paths = {
        "/health": health,
        "/livez": health,
        "/readyz": ready,
        "/metrics": metrics,
        "/scripts": scripts,
        "/raft/state": raft_state,
        "/openapi.json": api,
        "/problems/{code}": explain,
        "/lock/{resource:path}": lock,
        "/queue/{topic:path}": topic,
    }
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in paths.items()]


def scripts_page(context: Context) -> dict[str, Any]:
    script_set = context.scripts.script_set
    return {
        "version": script_set.version,
        "fence": context.generation.fence.decode(),
        "scripts": {
            name: {"sha": script.sha, "summary": script.summary} for name, script in script_set.scripts.items()
        },
    }


def raft_page(context: Context) -> dict[str, Any]:
    config = context.config
    role, term, leader_url = leadership.configured(config)
    return {
        "node": config.node_id,
        "role": role,
        "term": term,
        "leader": leader_url,
        "leader_url": leader_url,
        "generation": context.generation.number,
        "script_set": context.scripts.script_set.version,
        "peers": {url: {"self": url == config.self_url} for url in config.members},
    }
