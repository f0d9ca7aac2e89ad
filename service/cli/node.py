"""One node, asked over HTTP by a command. Its refusals are problem documents, and are told in their own words."""

import json
import os
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import click

from service import config
from service.cli.speak import Failure, data_option

TIMEOUT_S = 10.0
"""A decision may take 5 s, and a node that cannot take it answers only then."""
_AT_ONCE_MAX = 8

_Command = TypeVar("_Command", bound=Callable[..., Any])


class NodeAway(Failure):
    """Nothing that speaks HTTP answers there."""


class Refusal(Failure):
    """The node refused; `code` is that of the error registry."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Node:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Raises NodeAway, Refusal."""
        return self._ask(path, None, timeout_s)

    def post(self, path: str, **fields: Any) -> Any:
        """With a request id of its own, so that whoever repeats it after a lost answer acts once. Raises NodeAway,
        Refusal."""
        return self._ask(path, {"request_id": uuid.uuid4().hex, **fields}, TIMEOUT_S)

    def _ask(self, path: str, body: dict[str, Any] | None, timeout_s: float) -> Any:
        # Not before somebody asks: this import takes longer than most commands.
        import urllib.error  # noqa: PLC0415
        import urllib.request  # noqa: PLC0415
        from http.client import HTTPException  # noqa: PLC0415

        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data)  # noqa: S310 - config.load takes http and https only
        # A node is asked directly: a proxy of the environment is for the world outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout_s) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as refused:
            with refused:
                raise _refusal(self.url, refused.code, refused.read()) from None
        except (OSError, HTTPException, ValueError) as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> NodeAway:
        reason = getattr(error, "reason", None) or error
        reason = getattr(reason, "strerror", None) or reason or type(error).__name__
        return NodeAway(
            f"no node answers at {self.url} ({reason}). Is it running, and is this its address? "
            f"Name another node with --url"
        )


def from_each(urls: Iterable[str], path: str, timeout_s: float) -> dict[str, Any]:
    """The answers of several nodes, asked at once; None for one that does not answer or refuses."""

    def ask(url: str) -> Any:
        try:
            return Node(url).get(path, timeout_s)
        except Failure:
            return None

    wanted = list(urls)
    with ThreadPoolExecutor(_AT_ONCE_MAX) as pool:
        return dict(zip(wanted, pool.map(ask, wanted), strict=True))


def _refusal(url: str, status: int, body: bytes) -> Failure:
    try:
        problem = json.loads(body)
        return Refusal(problem["code"], f"{problem['detail']} {problem['action']}")
    except (ValueError, TypeError, KeyError):
        return Failure(f"{url} answers with status {status} and is no Simpul node: name one with --url")


def node_options(command: _Command) -> _Command:
    """--url and --data, for commands that begin with `node_at(url, data)`."""
    url = click.option(
        "--url",
        help="Any node of the cluster. Default: SELF_URL or HTTP_PORT, else the first node of `simpul up` on DATA, "
        "else http://127.0.0.1:8001.",
    )
    return url(data_option("Folder of a running `simpul up`.")(command))


def node_at(url: str | None, data: Path) -> Node:
    """The node that a command is about. Raises ConfigError for an address that is none."""
    from service.up import NODE_FILE  # noqa: PLC0415

    remembered = data / NODE_FILE
    env = {name: os.environ.get(name, "") for name in ("SELF_URL", "HTTP_PORT")}
    if url:
        env = {"SELF_URL": url}
    elif not any(env.values()) and remembered.exists():
        env = {"SELF_URL": remembered.read_text(encoding="utf-8").strip()}
    return Node(config.load(env).self_url)
