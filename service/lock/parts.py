"""What lock requests work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from service.decisions.node.delegation import Delegation
from service.decisions.node.leases import Leases
from service.decisions.node.witnesses import Witnesses
from service.keys import Keys
from service.lock.waiting import Waiting
from service.store.scripts import Scripts

Patience = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]
"""Runs a wait for as long as its caller is there to hear the answer."""


@dataclass(frozen=True, slots=True)
class Parts:
    scripts: Scripts
    keys: Keys
    waiting: Waiting
    delegation: Delegation
    leases: Leases
    witnesses: Witnesses
    keep_ms: int
