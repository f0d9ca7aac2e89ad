"""The command line. Imports are made where they are used: `simpul node` must start fast, and --help faster."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from service import __version__, config
from service.config import Config, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.keys import Partition
    from service.redis_url import Server
    from service.store.bundle import ScriptSet

_DATA_DEFAULT = ".simpul"
_ASK_S = 2.0
_EXIT_FAILED = 1
_EXIT_MISUSED = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Simpul: locks, queues and caches as atomic Lua in Redis."""


@cli.command()
@click.option("--nodes", type=click.Choice(["1", "3", "5"]), default="3", show_default=True, help="How many nodes.")
@click.option("--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="Of n1; n2 has the next.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), default=9001, show_default=True, help="Of n1; 0: none.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=_DATA_DEFAULT,
    show_default=True,
    help="Folder that holds everything; delete it to begin afresh.",
)
@click.option("--redis-url", help="Use this Redis instead of the embedded Valkey.")
@click.option("--valkey-port", type=click.IntRange(0, 65535), default=0, help="Of the embedded Valkey; 0: a free one.")
@click.option(
    "--appendfsync",
    type=click.Choice(["everysec", "always"]),
    default="everysec",
    show_default=True,
    help="Of the embedded Valkey: what a power failure may lose. See docs/explanation/durability.md.",
)
def up(
    *, nodes: str, port: int, metrics_port: int, data: Path, redis_url: str | None, valkey_port: int, appendfsync: str
) -> None:
    """Run a development cluster in the foreground: Valkey and a few nodes on this machine."""
    from service import up as development  # noqa: PLC0415

    options = development.Options(int(nodes), port, metrics_port, data, redis_url, valkey_port, appendfsync)
    try:
        sys.exit(development.run(options))
    except development.UpError as error:
        _fail(str(error), _EXIT_FAILED)


@cli.command()
def node() -> None:
    """Run one node with the settings of the environment (see `simpul config`)."""
    settings = config.load()
    from service import node as one_node  # noqa: PLC0415

    sys.exit(one_node.run(settings))


@cli.command("config")
def show_config() -> None:
    """List every setting: its value now, what it accepts and what it is for."""
    from service.redis_url import without_password  # noqa: PLC0415

    settings = config.load()
    for setting in config.SETTINGS:
        # QUORUM is checked and then not kept, so it is shown as it was given.
        value = getattr(settings, setting.field, os.environ.get(setting.env) or setting.default)
        text = ",".join(value) if isinstance(value, tuple) else without_password(str(value))
        if setting.field == "cluster_secret" and text:
            text = "(set)"
        origin = "" if os.environ.get(setting.env) else "  (default)"
        click.echo(f"{click.style(setting.env, bold=True)}={text}{origin}")
        click.echo(f"    {setting.unit}; takes {setting.accepts}")
        click.echo(click.wrap_text(setting.about, 100, "    ", "    ") + "\n")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--dump",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the flattened scripts into this folder, as `redis-cli --ldb --eval` takes them.",
)
def scripts(as_json: bool, dump: Path | None) -> None:
    """List the Lua scripts of this installation: name, SHA-1 for EVALSHA, what it does."""
    from service.store.bundle import shipped  # noqa: PLC0415

    script_set = shipped()
    if dump is not None:
        _dump(script_set, dump)
    elif as_json:
        listed = {name: {"sha": one.sha, "summary": one.summary} for name, one in script_set.scripts.items()}
        click.echo(json.dumps({"script_set": script_set.version, "scripts": listed}, indent=2))
    else:
        width = max(map(len, script_set.scripts))
        for name, one in script_set.scripts.items():
            click.echo(f"{name:<{width}}  {one.sha}  {one.summary}")
        click.echo(f"script set {script_set.version}")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option(
    "--redis-url", help="Default: REDIS_URL, else the Redis of `simpul up` on DATA, else redis://127.0.0.1:6379/0."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=_DATA_DEFAULT,
    show_default=True,
    help="Folder of a running `simpul up`.",
)
@click.option("--offline", is_flag=True, help="Do not ask Redis: the fence is a placeholder of generation 1.")
@click.option(
    "--ldb",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the script into this folder and print the line for redis-cli's Lua debugger instead.",
)
def evalsha(
    *, name: str, words: tuple[str, ...], redis_url: str | None, data: Path, offline: bool, ldb: Path | None
) -> None:
    """Print the redis-cli line that runs the script NAME, as a node would send it.

    Example: simpul evalsha lock.acquire resource=r1 owner=alice
    """
    from service.evalsha import EvalshaError, invocation  # noqa: PLC0415
    from service.redis_url import Topology, parse  # noqa: PLC0415
    from service.store import by_hand  # noqa: PLC0415
    from service.store.bundle import shipped  # noqa: PLC0415

    settings = config.load(_with_redis(redis_url, data))
    script_set = shipped()
    found: list[Server] = []
    try:
        call = invocation(script_set, name, words, settings, None if offline else _fence_reader(settings, found))
    except EvalshaError as error:
        _fail(str(error), _EXIT_MISUSED)
    running = call.fence.partition(".")[2]
    if running != script_set.version:
        _note(
            f"the cluster runs script set {running}, this installation has {script_set.version}: "
            f"Redis may not know this script (NOSCRIPT)"
        )
    if "@" in settings.redis_url:
        _note("the password is left out: put it into the environment variable REDISCLI_AUTH")
    url = parse(settings.redis_url)
    if offline and url.topology is Topology.SENTINEL:
        _note(f"the primary is not looked up offline; a sentinel knows it: {by_hand.how_to_ask_a_sentinel(url)}")
    redis_cli = by_hand.redis_cli(url, found[0].address if found else None)
    if ldb is None:
        click.echo(call.evalsha_line(redis_cli))
        return
    _dump(script_set, ldb, only=name)
    click.echo(call.debugger_line(redis_cli, ldb))


@cli.command()
def version() -> None:
    """Print the version of the program and of its script set."""
    from service.store.bundle import shipped  # noqa: PLC0415

    click.echo(f"simpul {__version__}, script set {shipped().version}, Python {sys.version.split()[0]}")


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


def _fence_reader(settings: Config, found: "list[Server]") -> "Callable[[Partition], str]":
    """Reads fences of Redis, and notes in `found` which server gave them."""

    def read(partition: "Partition") -> str:
        from redis import Redis  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        from service.redis_url import parse, without_password  # noqa: PLC0415
        from service.store.by_hand import holder_of  # noqa: PLC0415
        from service.store.dial import DialError  # noqa: PLC0415

        shown = without_password(settings.redis_url)
        try:
            found.append(asyncio.run(holder_of(partition, parse(settings.redis_url), _ASK_S)))
            with Redis.from_url(found[0].url, socket_timeout=_ASK_S, socket_connect_timeout=_ASK_S) as client:
                fence = client.get(partition.fence)
        except (RedisError, DialError) as error:
            _fail(
                f"Redis at {shown} did not tell the fence ({error}): name another with --redis-url, or use --offline",
                _EXIT_FAILED,
            )
        if not isinstance(fence, bytes):
            _fail(
                f"Redis at {shown} has no fence for partition {partition.number} of cluster "
                f"{settings.cluster_name!r}: no node of it has used this Redis. Start one, or use --offline",
                _EXIT_FAILED,
            )
        return fence.decode()

    return read


def _dump(script_set: "ScriptSet", folder: Path, only: str | None = None) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, script in script_set.scripts.items():
            if only in (None, name):
                (folder / f"{name}.lua").write_text(script.source, encoding="utf-8")
    except OSError as error:
        _fail(f"cannot write scripts into {folder}: {error.strerror}", _EXIT_FAILED)


def _note(text: str) -> None:
    click.echo(f"simpul: {text}", err=True)


def _fail(text: str, exit_code: int) -> NoReturn:
    _note(text)
    sys.exit(exit_code)


def main() -> None:
    try:
        cli()
    except ConfigError as error:
        _fail(str(error), _EXIT_MISUSED)


if __name__ == "__main__":
    main()
