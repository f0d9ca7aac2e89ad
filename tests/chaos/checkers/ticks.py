"""Schedules publish each of their ticks once, whoever owns the partition.

`schedule` has the values name, every_ms and `next_ms`, the ticks that were announced first; what a schedule publishes
is called `name@tick`. That none comes twice is judged as of any message. It is for schedules that publish all that they
missed.
"""

from __future__ import annotations

from tests.chaos.checkers.messages import Topic, topics
from tests.chaos.history import Event, History, Violation, conflict, losses


def every_tick_comes(history: History) -> list[Violation]:
    """Between the first and the last that came, and none that is not of the schedule; unless data was lost."""
    if losses(history):
        return []
    return [
        found
        for topic in topics(history)
        for said in topic.of("schedule")
        if said.outcome == "ok"
        for found in _judge(topic, said)
    ]


def _judge(topic: Topic, said: Event) -> list[Violation]:
    name, every_ms, first = str(said.values["name"]), int(said.values["every_ms"]), int(said.values["next_ms"][0])
    came = {
        int(one.id.rpartition("@")[2]): one.deliveries[0].event
        for one in topic.messages.values()
        if one.deliveries and one.id.rpartition("@")[0] == name
    }
    planned = range(first, max(came, default=0) + 1, every_ms)
    found = []
    for tick in sorted(set(planned) - set(came)):
        later = came[min(other for other in came if other > tick)]
        found.append(
            conflict("tick missing", f"{topic.name}: {name}@{tick} never came, and a later one did", said, later)
        )
    for tick in sorted(set(came) - set(planned)):
        found.append(conflict("tick out of nowhere", f"{topic.name}: {name} has no tick at {tick}", said, came[tick]))
    return found
