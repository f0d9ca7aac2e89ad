"""In which order messages come: one of a key at a time, as they were published; higher priorities first, and of one
priority the oldest; and nobody is told that there is nothing while there is something.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tests.chaos.checkers.messages import Delivery, Message, Topic, topics
from tests.chaos.history import Event, History, Violation, conflict


def messages_of_a_key_come_in_order(history: History) -> list[Violation]:
    """The next of a key is not delivered before the one before it was acked, or died."""
    found = []
    for topic in topics(history):
        by_key: dict[object, list[Message]] = {}
        for one in topic.messages.values():
            if one.publishes and one.deliveries and one.value("key"):
                by_key.setdefault(one.value("key"), []).append(one)
        for key, of_key in by_key.items():
            for first, second in combinations(sorted(of_key, key=_asked), 2):
                found += _judge_pair(topic, str(key), first, second)
    return found


def _judge_pair(topic: Topic, key: str, first: Message, second: Message) -> list[Violation]:
    """`first` is the one that was asked for first."""
    one, other = _first(first), _first(second)
    if topic.forgot(first.asked_ms, max(one.told_ms, other.told_ms)):
        return []
    if _may_have_left(topic, first, other.told_ms):
        return []
    shown = (one.event, other.event)
    if first.came_before(second) and not first.value("delay_ms"):
        says = f"{topic.name}: {second.id} of key {key} was delivered before {first.id}, which came before it, was done"
        return [conflict("order of a key", says, first.publishes[0], second.publishes[0], *shown)]
    if not _may_have_left(topic, second, one.told_ms):
        says = f"{topic.name}: {first.id} and {second.id} of key {key} were under way at the same time"
        return [conflict("two of a key", says, *shown)]
    return []


def _asked(one: Message) -> tuple[float, int]:
    return one.asked_ms, int(one.publishes[0].values.get("place", 0))


def _first(one: Message) -> Delivery:
    return min(one.deliveries, key=lambda delivery: delivery.told_ms)


def _may_have_left(topic: Topic, one: Message, until_ms: float) -> bool:
    """Whether it may have let the next of its key pass before then."""
    tried = one.tried("ack", "bury")
    return any(event.invoked_ms <= until_ms for event in tried) or topic.may_have_died(one, until_ms)


def the_next_message_comes_first(history: History) -> list[Violation]:
    """None is passed by one of a lower priority, nor by one that was published after it with the same."""
    found = []
    for topic in topics(history):
        everything = [(one, delivery) for one in topic.messages.values() for delivery in one.deliveries]
        for first, own in _waiting(topic):
            for second, passing in everything:
                # What comes back stands at the head.
                is_behind = second.priority < first.priority or (
                    second.priority == first.priority and passing.attempt == 1 and first.came_before(second)
                )
                if is_behind and first.stored_ms < passing.asked_ms and passing.told_ms < own.asked_ms:
                    says = f"{topic.name}: {second.id} of priority {second.priority} was delivered before {first.id} of"
                    says += f" priority {first.priority}, which was ready"
                    found.append(conflict("passed in line", says, first.publishes[0], passing.event, own.event))
                    break
    return found


def nobody_is_sent_away_from_a_message(history: History) -> list[Violation]:
    """Where nobody waits, for whom a message might be kept, no consume brings nothing while one is ready."""
    found = []
    for topic in topics(history):
        consumes = topic.of("consume")
        if any(event.values.get("wait_ms") for event in consumes):
            continue
        # A repeat brings nothing when what it had brought is no longer in flight.
        firsts = [event for event in consumes if event.outcome == "ok" and "asked_ms" not in event.values]
        empty = [event for event in firsts if "id" not in event.values]
        for one, own in _waiting(topic):
            in_vain = _within(empty, one.stored_ms, own.asked_ms)
            if in_vain:
                says = f"{topic.name}: a consumer got nothing while {one.id} was ready"
                found.append(conflict("sent away", says, one.publishes[0], in_vain, own.event))
    return found


def _within(events: list[Event], since_ms: float, until_ms: float) -> Event | None:
    return next((e for e in events if since_ms < e.invoked_ms and e.completed_ms < until_ms), None)


def _waiting(topic: Topic) -> Iterator[tuple[Message, Delivery]]:
    """Messages that were ready from the time they were stored until their first delivery, which is the one given."""
    for one in topic.messages.values():
        if not one.publishes or not one.deliveries or not one.is_plain:
            continue
        own = _first(one)
        since_ms, until_ms = one.asked_ms, own.told_ms
        if own.attempt == 1 and not (topic.forgot(since_ms, until_ms) or topic.redrive(since_ms, until_ms)):
            yield one, own
