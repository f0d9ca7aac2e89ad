"""Consumers parked on this node until there is a message for them.

Each stands in its topic's line in Redis, in one line for all nodes. Whatever makes a message ready wakes the first of
them inside its script and publishes that to the session of its node, which then takes the message. Nothing is polled:
a place lives as long as the node's session does, which one call a partition keeps alive.
"""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from itertools import count
from typing import Any

from service import background
from service.error_registry import ConsumersFull
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.limits import CONSUMERS_PER_NODE_MAX
from service.queue.calls import ATTEND
from service.queue.topics import Topic
from service.store.scripts import Scripts

log = logging.getLogger("simpul.queue")

SESSION_MS = 10_000
"""A node that is silent for so long waits for nothing any more."""
ATTEND_EVERY_S = 3.0


class Taker:
    """One request that waits."""

    __slots__ = ("id", "topic", "woken")

    def __init__(self, topic: Topic, taker_id: bytes) -> None:
        self.topic = topic
        self.id = taker_id
        self.woken = asyncio.Event()


class Takers:
    """One node's parked consumers. Methods that return nothing never raise."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self.session = secrets.token_hex(8).encode()
        self.channel = keys.wake_channel + b":" + self.session
        """Where this node hears of messages for its consumers."""
        self._parked: dict[bytes, Taker] = {}
        self._numbers = count(1)
        self._task: asyncio.Task[None] | None = None
        self.is_closed = False

    def start(self) -> None:
        self._task = background.start(self._attend_for_ever(), "attending to consumers")

    async def stop(self) -> None:
        await background.stop(self._task)

    @property
    def parked(self) -> int:
        return len(self._parked)

    def park(self, topic: Topic) -> Taker:
        """Before standing in line, so that nobody is woken in vain. Raises ConsumersFull."""
        if len(self._parked) >= CONSUMERS_PER_NODE_MAX:
            raise ConsumersFull(limit=CONSUMERS_PER_NODE_MAX)
        taker = Taker(topic, b"%b:%d" % (self.session, next(self._numbers)))
        self._parked[taker.id] = taker
        return taker

    def leave(self, taker: Taker) -> None:
        self._parked.pop(taker.id, None)

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry on for a client that is gone."""
        background.finite(work, "withdrawing a consumer")

    def heard(self, message: bytes) -> None:
        """The id of one that was woken."""
        taker = self._parked.get(message)
        if taker is not None:
            taker.woken.set()

    def wake_all(self, partition: Partition | None = None) -> None:
        """They look for themselves: after a gap in which wake-ups were lost, or their places in line."""
        for taker in self._parked.values():
            if partition is None or taker.topic.partition is partition:
                taker.woken.set()

    def close(self) -> None:
        """The node stops: nobody waits any longer."""
        self.is_closed = True
        self.wake_all()

    async def _attend_for_ever(self) -> None:
        while True:
            await asyncio.sleep(ATTEND_EVERY_S)
            partitions = {taker.topic.partition for taker in self._parked.values()}
            await asyncio.gather(*(self._attend(partition) for partition in partitions))

    async def _attend(self, partition: Partition) -> None:
        try:
            reply = await self._scripts.call(ATTEND, partition, (partition.sessions,), (self.session, SESSION_MS))
        except SimpulError as error:
            log.debug("attending to partition %d: %s", partition.number, error.detail)
            return
        if reply[1]:
            self.wake_all(partition)
