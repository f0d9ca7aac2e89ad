"""Look for deadlocks from the command line."""

from tests.deadlock.cli import run

run()
