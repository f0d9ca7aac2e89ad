"""The command line. Imports are made where they are used: `simpul node` must start fast, and --help faster."""

from service.cli.main import cli, main

__all__ = ["cli", "main"]
