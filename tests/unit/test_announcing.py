"""A lease longer than usual is announced first: decided by the leader, seen by the node when its log has come to it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from service.clock import steady_s
from service.decisions.decide import Decisions
from service.decisions.node.delegation import Delegation
from service.decisions.node.leases import Leases
from service.decisions.replicated import commands
from service.decisions.replicated.commands import Command, RegisterNode, Request
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import LeaseNotCovered, NotCommitted

ME = "http://127.0.0.1:8001"


class LogBehind:
    """Decisions of a node whose way from the leader loses packets: an outcome is there before the log is."""

    def __init__(self, machine: DecisionMachine, *, catches_up: bool = True) -> None:
        self._machine = machine
        self._catches_up = catches_up
        self._log: list[bytes] = []
        self._index = 1
        self.proposed = 0

    async def propose(self, command: Command, **_: Any) -> None:
        self.proposed += 1
        self._log.append(commands.encode(Request(f"id-{self.proposed}", command)))

    async def confirm_read(self, *_: Any) -> None:
        if not self._catches_up:
            raise NotCommitted(reason="no leader")
        for data in self._log:
            self._index += 1
            self._machine.apply(self._index, data)
        self._log.clear()


def delegation(decisions_of: Any) -> tuple[Delegation, Any]:
    machine = DecisionMachine()
    machine.apply(1, commands.encode(Request("me", RegisterNode(ME, "n1", "disk"))))
    decisions = decisions_of(machine)
    made = Delegation(ME, machine, cast("Decisions", decisions), Leases(), usual_ms=60_000)
    made.extend(steady_s(), 10_000)
    return made, decisions


def test_a_node_whose_log_is_behind_grants_as_soon_as_it_sees_what_was_decided() -> None:
    made, decisions = delegation(LogBehind)
    asyncio.run(made.obtain(600_000))
    assert made.covers(600_000)
    assert decisions.proposed == 1, "decided once is enough"


def test_and_grants_nothing_so_long_when_it_does_not_come_to_see_it() -> None:
    made, _ = delegation(lambda machine: LogBehind(machine, catches_up=False))
    with pytest.raises(LeaseNotCovered):
        asyncio.run(made.obtain(600_000))
