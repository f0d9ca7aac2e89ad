"""Run the simulator from the command line."""

from tests.raft.simulator.cli import run

run()
