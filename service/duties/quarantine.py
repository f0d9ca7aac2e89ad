"""Ends a partition's quarantine at its time, so that those who wait are woken then and do not have to ask."""

from __future__ import annotations

from service.duties.round import Post, check_duty
from service.keys import Keys, Partition
from service.store.scripts import Scripts, declare

LIFT = declare("lock.lift", keys="fence duty tokens quarantine", args="fence assignment node wake_channel")


class LiftQuarantine:
    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    async def work(self, partition: Partition, post: Post) -> float | None:
        """Raises DutyStale, or what the store raises."""
        reply = await self._scripts.call(
            LIFT,
            partition,
            (partition.duty, partition.tokens, partition.quarantine),
            (post.assignment, post.node, self._keys.wake_channel),
        )
        check_duty(reply, partition)
        left_ms = int(reply[1])
        return (left_ms + 1) / 1000 if left_ms > 0 else None
