"""`simpul evalsha`: what Redis and the cluster say, put into a line for redis-cli."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service import config
from service.cli.node import Node, node_at
from service.cli.scripts import write_sources
from service.cli.speak import Failure, Misuse, data_option, note
from service.config import Config
from service.keys import Keys, Partition
from service.redis_url import Server, Topology, parse, without_password

if TYPE_CHECKING:
    from service.evalsha import Standing
    from service.store.bundle import ScriptSet

_ASK_S = 2.0
"""How long Redis, and whoever knows where it is, may take to answer."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option(
    "--redis-url", help="Default: REDIS_URL, else the Redis of `simpul up` on DATA, else redis://127.0.0.1:6379/0."
)
@click.option("--url", help="A node to ask for scripts that this installation lacks; default as for `simpul status`.")
@data_option("Folder of a running `simpul up`.")
@click.option("--offline", is_flag=True, help="Do not ask Redis: the fence is a placeholder of generation 1.")
@click.option(
    "--ldb",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the script into this folder and print the line for redis-cli's Lua debugger instead.",
)
def evalsha(
    *,
    name: str,
    words: tuple[str, ...],
    redis_url: str | None,
    url: str | None,
    data: Path,
    offline: bool,
    ldb: Path | None,
) -> None:
    """Print the redis-cli line that runs the script NAME, as a node would send it.

    Example: simpul evalsha lock.acquire resource=r1 owner=alice
    """
    from service.evalsha import EvalshaError, invocation  # noqa: PLC0415
    from service.store import by_hand  # noqa: PLC0415
    from service.store.bundle import shipped  # noqa: PLC0415

    settings = config.load(_with_redis(redis_url, data))
    redis = None if offline else _Redis(settings)
    script_set, running = shipped(), redis.running_set() if redis else ""
    if running not in ("", script_set.version):
        script_set = _active(running, script_set, node_at(url, data))
    try:
        call = invocation(script_set, name, words, settings, redis.standing if redis else None)
    except EvalshaError as error:
        raise Misuse(str(error)) from error
    address = parse(settings.redis_url)
    if offline and address.topology is Topology.SENTINEL:
        note(f"the primary is not looked up offline; a sentinel knows it: {by_hand.how_to_ask_a_sentinel(address)}")
    redis_cli = by_hand.redis_cli(address, redis.server.address if redis and redis.server else None)
    if "@" in settings.redis_url:
        note("the password is left out: put it into the environment variable REDISCLI_AUTH")
    if ldb is None:
        click.echo(call.evalsha_line(redis_cli))
        return
    write_sources(ldb, {name: call.script.source})
    click.echo(call.debugger_line(redis_cli, ldb))


def _active(version: str, own: "ScriptSet", node: Node) -> "ScriptSet":
    """The cluster's scripts, which are not those of this installation; these, if no node tells."""
    from service.store.bundle import Argument  # noqa: PLC0415

    differ = f"the cluster runs script set {version}, this installation has {own.version}"
    try:
        page = node.get(f"/scripts/{version}")
    except Failure as failure:
        note(f"{differ}: Redis may not know this script (NOSCRIPT). The other could not be had: {failure.message}")
        return own
    note(f"{differ}: this line is for the former")
    template = next(iter(own.scripts.values()))
    scripts = {
        name: replace(
            template,
            name=name,
            keys=tuple(Argument(**key) for key in one["keys"]),
            args=tuple(Argument(**argument) for argument in one["args"]),
            source=one["source"],
            sha=one["sha"],
        )
        for name, one in page["scripts"].items()
    }
    return replace(own, version=version, scripts=scripts)


def _with_redis(redis_url: str | None, data: Path) -> dict[str, str]:
    """The environment, with the Redis that evalsha is to speak to."""
    from service.up import URL_FILE  # noqa: PLC0415

    env = dict(os.environ)
    remembered = data / URL_FILE
    if redis_url:
        env["REDIS_URL"] = redis_url
    elif not env.get("REDIS_URL") and remembered.exists():
        env["REDIS_URL"] = remembered.read_text(encoding="utf-8").strip()
    return env


class _Redis:
    """The Redis that the line is for, asked what a node would know."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self.server: Server | None = None
        """The one that was asked last, for it holds the partition in question."""

    def running_set(self) -> str:
        """The script set that the first partition is fenced for, empty if it is not."""
        first = Keys(self._settings.cluster_name).partitions[0]
        return self._read(first, first.fence)[0].partition(".")[2]

    def standing(self, partition: Partition) -> "Standing":
        from service.evalsha import Standing  # noqa: PLC0415

        standing = Standing(*self._read(partition, partition.fence, partition.cluster, partition.duty))
        if not standing.fence:
            raise Failure(
                f"Redis at {self._shown} has no fence for partition {partition.number} of cluster "
                f"{self._settings.cluster_name!r}: no node of it has used this Redis. Start one, or use --offline"
            )
        return standing

    def _read(self, partition: Partition, *keys: bytes) -> list[str]:
        from redis import Redis  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        from service.store.by_hand import holder_of  # noqa: PLC0415
        from service.store.dial import DialError  # noqa: PLC0415

        try:
            self.server = asyncio.run(holder_of(partition, parse(self._settings.redis_url), _ASK_S))
            with Redis.from_url(self.server.url, socket_timeout=_ASK_S, socket_connect_timeout=_ASK_S) as client:
                return [(client.get(key) or b"").decode() for key in keys]
        except (RedisError, DialError) as error:
            raise Failure(
                f"Redis at {self._shown} did not tell the fence ({error}): name another with --redis-url, or use "
                "--offline"
            ) from error

    @property
    def _shown(self) -> str:
        return without_password(self._settings.redis_url)
