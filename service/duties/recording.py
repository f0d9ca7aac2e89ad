"""Keeps the events of a partition's locks recorded while the cluster setting `lock_history` says so."""

from __future__ import annotations

from service.decisions.replicated.machine import DecisionMachine
from service.duties.round import Post
from service.keys import Partition
from service.limits import LOCK_EVENTS_KEEP_MS
from service.lock.calls import RECORD
from service.store.scripts import Scripts


class RecordEvents:
    def __init__(self, scripts: Scripts, machine: DecisionMachine) -> None:
        self._scripts = scripts
        self._machine = machine

    async def work(self, partition: Partition, _: Post) -> float | None:
        """Done twice it is done once, so an owner that slept through its end does no harm. Raises what the store
        raises."""
        if not self._machine.setting("lock_history"):
            return None
        await self._scripts.call(RECORD, partition, (partition.lock_events,), (LOCK_EVENTS_KEEP_MS,))
        return LOCK_EVENTS_KEEP_MS / 1000 / 10
