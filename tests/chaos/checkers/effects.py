"""Workers that take a message, and acknowledge it in one group with the publish of what came of it.

The effect has the name of its message for `data`. However often a message is delivered and a group is sent, and
whatever fails meanwhile, one effect of it is there to be delivered. The history must end with a drain of the work by
such workers, and then of the effects.
"""

from __future__ import annotations

from tests.chaos.checkers.messages import Message, topics
from tests.chaos.history import History, Violation, conflict, losses

WORK, EFFECTS = "{line}work", "{line}effects"


def each_message_has_one_effect(history: History) -> list[Violation]:
    """Of all that were published after the last loss of data; none is missed of one whose publish nobody heard of."""
    lost_until_ms = max((loss.completed_ms for loss in losses(history)), default=float("-inf"))
    known = {topic.name: topic for topic in topics(history)}
    if WORK not in known:
        return []
    effects: dict[object, list[Message]] = {}
    for effect in known[EFFECTS].messages.values() if EFFECTS in known else ():
        if effect.publishes and effect.deliveries:
            effects.setdefault(effect.value("data"), []).append(effect)
    found = []
    for one in known[WORK].messages.values():
        if one.publishes and one.asked_ms > lost_until_ms:
            found += _judge(one, effects.get(one.id, []))
    return found


def _judge(one: Message, of_it: list[Message]) -> list[Violation]:
    if len(of_it) > 1:
        says = f"{one.id} had {len(of_it)} effects: {', '.join(effect.id for effect in of_it)}"
        return [conflict("more than one effect", says, *(effect.deliveries[0].event for effect in of_it))]
    answered = [event for event in one.publishes if event.outcome == "ok"]
    if answered and not of_it:
        says = f"{one.id} was acknowledged, and nothing came of it"
        return [conflict("no effect", says, answered[0], *one.settled)]
    return []
