"""Run the nemeses from the command line."""

from tests.chaos.cli import run

run()
