"""How a command says what went wrong, and the options that several commands take."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import click

EXIT_MISUSED = 2
DATA_DEFAULT = ".simpul"
WIDTH = 100
"""Columns that what people read keeps to."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Failure(click.ClickException):
    """Ends the command: one line on standard error, and the exit code."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        note(self.message)


class Misuse(Failure):
    """The command cannot be understood, whatever the cluster would say."""

    exit_code = EXIT_MISUSED


def note(text: str) -> None:
    click.echo(f"simpul: {text}", err=True)


def data_option(about: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=DATA_DEFAULT,
        show_default=True,
        help=about,
    )


json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
