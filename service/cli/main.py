"""The program and its commands that need no other node: to run some, and to say what it is."""

import os
import sys
from pathlib import Path

import click

from service import __version__, config
from service.cli.cache import cache
from service.cli.evalsha import evalsha
from service.cli.scripts import scripts
from service.cli.speak import EXIT_MISUSED, Failure, data_option, note
from service.cli.status import adopt, status
from service.cli.waits import waits
from service.config import ConfigError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Simpul: locks, queues and caches as atomic Lua in Redis."""


@cli.command()
@click.option("--nodes", type=click.Choice(["1", "3", "5"]), default="3", show_default=True, help="How many nodes.")
@click.option("--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="Of n1; n2 has the next.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), default=9001, show_default=True, help="Of n1; 0: none.")
@data_option("Folder that holds everything; delete it to begin afresh.")
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
        raise Failure(str(error)) from error


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
def version() -> None:
    """Print the version of the program and of its script set."""
    from service.store.bundle import shipped  # noqa: PLC0415

    click.echo(f"simpul {__version__}, script set {shipped().version}, Python {sys.version.split()[0]}")


for command in (status, waits, cache, scripts, evalsha, adopt):
    cli.add_command(command)


def main() -> None:
    try:
        cli()
    except ConfigError as error:
        note(str(error))
        sys.exit(EXIT_MISUSED)
