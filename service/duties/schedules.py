"""Publishes from schedules whose tick has come.

When that is, Redis knows for each partition; its owner asks once, sleeps until then, and is told when something comes
sooner. What is next after a tick is found here; that it is done once, in the script.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from service.duties.round import Post, check_duty
from service.keys import Partition
from service.queue.calls import FIRE, TICKS
from service.queue.publishing import parts_of, shared_keys, to_its_queues
from service.queue.ticks import turn
from service.queue.timetable import Spec, parse
from service.queue.topics import Topic, Topics
from service.store.scripts import Scripts

log = logging.getLogger("simpul.duties")

REFUSED_S = 0.25
"""Pause after a topic that takes nothing now: its tick stays due."""
_pack = msgspec.msgpack.Encoder().encode


class FireSchedules:
    def __init__(self, scripts: Scripts, topics: Topics) -> None:
        self._scripts = scripts
        self._topics = topics

    async def work(self, partition: Partition, post: Post) -> float | None:
        """Raises DutyStale, or what the store raises."""
        keys = (partition.duty, partition.timetable, partition.schedules)
        reply = await self._scripts.call(TICKS, partition, keys, (post.assignment, post.node))
        check_duty(reply, partition)
        _, left_ms, now_ms, *due = reply
        pause_s = 0.0
        for member, tick, kept in zip(*[iter(due)] * 3, strict=True):
            if not await self._fire(member, int(tick), kept, int(now_ms), post):
                pause_s = REFUSED_S
        return max(int(left_ms) / 1000, pause_s) if int(left_ms) >= 0 else None

    async def _fire(self, member: bytes, tick: int, kept: bytes, now_ms: int, post: Post) -> bool:
        """False when it has to be tried again later."""
        topic_name, _, name = member.decode().partition("\0")
        try:
            times, spec = parse(kept)
        except ValueError as error:
            log.warning("schedule %s of topic %s cannot be read by this release: %s", name, topic_name, error)
            return False
        fired, next_at = turn(times, spec.missed, tick, now_ms)
        options = [_options(spec, name, at) for at in fired]
        # Texts: the packer of scripts would round integers of this size.
        plan = _pack((member.decode(), kept.decode(), str(tick), str(next_at or ""), options))
        messages = [part for at in fired for part in (f"{name}@{at}", spec.data)]
        reply = await self._publish(self._topics.get(topic_name), post, (plan, *messages))
        if reply[0] != b"ok":
            log.debug("schedule %s of topic %s has to wait: %s", name, topic_name, reply[0].decode())
        return bool(reply[0] == b"ok")

    async def _publish(self, topic: Topic, post: Post, args: tuple[bytes | str, ...]) -> list[Any]:
        one = topic.partition
        timetable = (one.timetable, one.schedules, one.schedule_names)

        async def send() -> list[Any]:
            keys = (one.duty, *shared_keys(topic), *timetable, *parts_of(self._topics, topic))
            return await self._scripts.call(FIRE, one, keys, (post.assignment, post.node, *args))

        reply = await to_its_queues(topic, send)
        check_duty(reply, one)
        return reply


def _options(spec: Spec, name: str, at: int) -> tuple[int, int, str, str]:
    """As those of a publish, and who published when."""
    headers = msgspec.json.decode(spec.headers, type=dict[str, str]) if spec.headers else {}
    own = {"schedule": name, "scheduled-ms": str(at)}
    return spec.priority, spec.ttl_ms, spec.key, msgspec.json.encode({**headers, **own}).decode()
