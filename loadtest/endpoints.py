"""What is driven: for each row of the table its requests, the echo's equally heavy ones, and proof that it worked."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx2

DATA = {"x": 1, "text": "forty bytes of payload, more or less ..."}
VALUE_1K = "v" * 1022
"""1 KiB as JSON, with its quotes."""
_BATCH = 1000


class Api:
    """Single requests to the node, for filling and for inspecting."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def post(self, path: str, body: Any) -> Any:
        return (await self._client.post(path, json=body)).raise_for_status().json()

    async def get(self, path: str) -> Any:
        return (await self._client.get(path)).raise_for_status().json()


Prepare = Callable[[Api, str, int], Awaitable[Any]]
Check = Callable[[Api, str, Any, int, int], Awaitable[str]]


async def _nothing(*_: Any) -> None:
    return None


class Script(NamedTuple):
    """A wrk script, and its arguments in a round of a given name (topics and resources carry it)."""

    name: str
    node_args: Callable[[str], tuple[str, ...]]
    echo_args: Callable[[str], tuple[str, ...]]


class Endpoint(NamedTuple):
    name: str
    script: Script
    target: float
    """Least acceptable ratio to the Starlette echo; 0: shown, no target."""
    prepare: Prepare = _nothing
    """Given the API, the round and how many requests to expect; its result goes to `check`."""
    check: Check | None = None
    """Given the API, the round, what prepare returned, the requests wrk counted and its connections: '' or what
    is wrong. wrk does not count requests in flight when its time is up, hence the connections."""


def _fixed(method: str, path: str, body: Any = None) -> Script:
    """The same request to both; `ROUND` in it stands for the round's name."""
    text = () if body is None else (json.dumps(body, separators=(",", ":")),)

    def to(where: str) -> Callable[[str], tuple[str, ...]]:
        return lambda name: tuple(part.replace("ROUND", name) for part in (method, where, *text))

    return Script("fixed", to(path), to("/echo"))


async def _check_published(api: Api, name: str, _: Any, requests: int, connections: int) -> str:
    ready = (await api.get(f"/queue/{name}"))["ready"]
    return "" if requests <= ready <= requests + connections else f"{requests} published, {ready} in the topic"


async def _fill(api: Api, name: str, expected: int) -> int:
    filled = 0
    while filled < expected / 2 + _BATCH:
        await api.post("/queue/publish", {"topic": name, "messages": [{"data": DATA}] * _BATCH})
        filled += _BATCH
    return filled


async def _check_consumed(api: Api, name: str, filled: int, requests: int, connections: int) -> str:
    """Every request was one half of a pair: acked + still in flight = consumed, and acked + consumed = requests."""
    state = await api.get(f"/queue/{name}")
    consumed, acked = filled - state["ready"], filled - state["ready"] - state["inflight"]
    if state["ready"] == 0:
        return f"the topic of {filled} messages ran dry"
    if state["inflight"] > connections or not requests <= consumed + acked <= requests + connections:
        return f"{requests} requests, but {consumed} consumed and {acked} acknowledged"
    return ""


async def _put_1k(api: Api, name: str, _: int) -> None:
    await api.post("/cache/put", {"key": name, "value": VALUE_1K})
    await api.post("/cache/get", {"key": name})


async def _check_1k(api: Api, name: str, *_: Any) -> str:
    found = await api.post("/cache/get", {"key": name})
    return "" if found["value"] == VALUE_1K and found["source"] == "local" else "the near cache lost the value"


async def _version(api: Api, name: str, _: int) -> int:
    return int((await api.post("/cache/put", {"key": name, "value": 0}))["version"])


async def _check_put(api: Api, name: str, before: int, requests: int, connections: int) -> str:
    found = await api.post("/cache/get", {"key": name, "consistency": "strong"})
    written = found["version"] - before
    right = found["value"] == DATA and requests <= written <= requests + connections
    return "" if right else f"{requests} puts, {written} versions, value {found['value']}"


async def _hold(api: Api, name: str, _: int) -> None:
    await api.post("/lock/acquire", {"resource": name, "owner": "alice", "ttl_ms": 600_000})


_DELIVERY = json.dumps({"id": "abcdefghijklmnop-123456", "receipt": "1.1.abcdefghijklmnop-123456", "data": DATA})

ENDPOINTS = (
    Endpoint(
        "publish",
        _fixed("POST", "/queue/publish", {"topic": "ROUND", "data": DATA}),
        target=1.0,
        check=_check_published,
    ),
    Endpoint(
        "consume+ack",
        Script(
            "queue_pair",
            lambda name: ("/queue/consume", "/queue/ack", json.dumps({"topic": name, "consumer": "c1"}), name),
            lambda name: ("/echo", "/echo", _DELIVERY.replace(": ", ":"), name),
        ),
        target=1.0,
        prepare=_fill,
        check=_check_consumed,
    ),
    Endpoint(
        "acquire+release",
        Script(
            "lock_pair",
            lambda name: ("/lock/acquire", "/lock/release", f"{name}-"),
            lambda name: ("/echo", "/echo", f"{name}-"),
        ),
        target=1.0,
    ),
    Endpoint(
        "cache put",
        _fixed("POST", "/cache/put", {"key": "ROUND", "value": DATA}),
        target=1.0,
        prepare=_version,
        check=_check_put,
    ),
    Endpoint(
        "cache get, near, 1 KiB",
        _fixed("POST", "/cache/get", {"key": "ROUND"}),
        target=1.2,
        prepare=_put_1k,
        check=_check_1k,
    ),
    Endpoint(
        "cache get, strong, 1 KiB",
        _fixed("POST", "/cache/get", {"key": "ROUND", "consistency": "strong"}),
        target=0,
        prepare=_put_1k,
    ),
    Endpoint("lock state", _fixed("GET", "/lock/ROUND"), target=0, prepare=_hold),
)
