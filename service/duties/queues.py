"""Tends topics when something in them is due: deliveries that lapsed, delays that ended, dead letters to move.

When that is, Redis knows for each partition; its owner asks once, sleeps until then, and is told when something comes
sooner. Where nothing is due, nothing is asked.
"""

from __future__ import annotations

import logging

from service.duties.round import Post, check_duty
from service.errors import SimpulError
from service.keys import Partition
from service.queue import Administration
from service.queue.calls import DUE, TEND
from service.queue.topics import Topic, Topics
from service.store.scripts import Scripts

log = logging.getLogger("simpul.duties")

_FORWARDED_MAX = 100


class TendQueues:
    def __init__(self, scripts: Scripts, topics: Topics, administration: Administration) -> None:
        self._scripts = scripts
        self._topics = topics
        self._administration = administration

    async def work(self, partition: Partition, post: Post) -> float | None:
        """Raises DutyStale, or what the store raises."""
        reply = await self._scripts.call(DUE, partition, (partition.duty, partition.due), (post.assignment, post.node))
        check_duty(reply, partition)
        _, left_ms, *due = reply
        for ready in due:
            await self._tend(self._topics.stored_as(ready[len(partition.ready) :].decode()), post)
        # What is left over of what was due is due again.
        return int(left_ms) / 1000 if left_ms >= 0 else None

    async def _tend(self, topic: Topic, post: Post) -> None:
        keys = (topic.partition.duty, *topic.all_keys)
        reply = await self._scripts.call(TEND, topic.partition, keys, (post.assignment, post.node))
        check_duty(reply, topic.partition)
        if reply[0] == b"subscription_unknown":
            return  # it was removed since
        to = reply[3].decode()
        if to:
            await self._forward(topic, to)

    async def _forward(self, topic: Topic, to: str) -> None:
        try:
            await self._administration.forward(topic, to, _FORWARDED_MAX, explain=True)
        except SimpulError as error:
            # The topic stays due: it is tried again in a second.
            log.debug("dead letters of %s stay there: %s", topic.name, error.detail)
