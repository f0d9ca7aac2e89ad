"""At least once, and never more often than was promised: the total queue of Jepsen, with leases.

What was acknowledged is delivered and acknowledged; nothing comes that was not published, or was done; a message comes
twice only after its visibility timeout, a nack, a redrive, or a loss of data; a refusal has its reason.
"""

from __future__ import annotations

from itertools import combinations

from tests.chaos.checkers.messages import Delivery, Message, Topic, topics
from tests.chaos.history import Event, History, Violation, conflict, losses


def no_acknowledged_message_is_lost(history: History) -> list[Violation]:
    """Each message whose publish was answered is acked at least once, unless data was lost after it was asked for.

    An ack of unknown outcome counts: the message may be gone because of it.
    """
    lost_until_ms = max((loss.completed_ms for loss in losses(history)), default=float("-inf"))
    found = []
    for topic in topics(history):
        for one in topic.messages.values():
            answered = [e for e in one.publishes if e.outcome == "ok" and e.invoked_ms > lost_until_ms]
            if answered and not one.tried("ack"):
                fate = "delivered, but never acked" if one.deliveries else "never delivered"
                last = [delivery.event for delivery in one.deliveries[-1:]]
                says = f"{topic.name}: {one.id} was acknowledged and {fate}"
                found.append(conflict("message lost", says, answered[0], *last))
    return found


def nothing_unexpected_comes(history: History) -> list[Violation]:
    """What is delivered was published as it comes, was not acknowledged, and has a receipt of its own."""
    return [
        found
        for topic in topics(history)
        for one in topic.messages.values()
        for found in (*_strangers(topic, one), *_revenants(topic, one))
    ]


def _strangers(topic: Topic, one: Message) -> list[Violation]:
    found = []
    receipts: dict[str, Event] = {}
    for event in (delivery.event for delivery in one.deliveries):
        name = f"{topic.name}: {one.id}"
        if not one.publishes or event.completed_ms < one.asked_ms:
            found.append(conflict("message out of nowhere", f"{name} was delivered and not published", event))
            continue
        for field in ("data", "key"):
            if one.value(field) != event.values.get(field):
                says = f"{name} came with another {field}: {event.values.get(field)!r}"
                found.append(conflict("message changed", says, one.publishes[0], event))
        known = receipts.setdefault(str(event.values["receipt"]), event)
        if known is not event:
            found.append(conflict("receipt given twice", f"{name} came twice with one receipt", known, event))
    return found


def _revenants(topic: Topic, one: Message) -> list[Violation]:
    """The retry of a publish brings nothing back, for it has its first one's request id."""
    for ack in one.tried("ack"):
        for delivery in one.deliveries:
            is_late = ack.outcome == "ok" and delivery.asked_ms > ack.completed_ms
            if is_late and not topic.forgot(ack.invoked_ms, delivery.told_ms):
                says = f"{topic.name}: {one.id} was delivered after it had been acked"
                return [conflict("acked message delivered", says, ack, delivery.event)]
    return []


def duplicates_have_a_reason(history: History) -> list[Violation]:
    """A message in flight is nobody else's; one that comes again says how often it came; a dead letter stays dead."""
    found = []
    for topic in topics(history):
        for one in topic.messages.values():
            for first, second in combinations(one.deliveries, 2):
                if not topic.forgot(min(first.asked_ms, second.asked_ms), max(first.told_ms, second.told_ms)):
                    found += _judge_pair(topic, one, first, second)
            found += _judge_deaths(topic, one)
    return found


def _judge_pair(topic: Topic, one: Message, first: Delivery, second: Delivery) -> list[Violation]:
    name = f"{topic.name}: {one.id}"
    if second.told_ms < first.ends_ms and first.told_ms < second.ends_ms:
        early, late = sorted((first, second), key=lambda delivery: delivery.asked_ms)
        says = f"{name} was delivered again {early.ends_ms - late.told_ms:.2f} ms before its visibility ended"
        return [conflict("delivered in flight", says, early.event, late.event)]
    for early, late in ((first, second), (second, first)):
        falls = early.told_ms < late.asked_ms and early.attempt >= late.attempt
        if falls and not topic.redrive(early.asked_ms, late.told_ms):
            says = f"{name} was delivered for the {late.attempt}. time after the {early.attempt}."
            return [conflict("attempts do not rise", says, early.event, late.event)]
    return []


def _judge_deaths(topic: Topic, one: Message) -> list[Violation]:
    found = []
    for delivery in one.deliveries:
        if delivery.attempt > topic.max_deliveries:
            says = f"{topic.name}: {one.id} was delivered for the {delivery.attempt}. time"
            found.append(conflict("delivered too often", says, delivery.event))
        for bury in (event for event in one.tried("bury") if event.outcome == "ok"):
            since_ms, until_ms = bury.invoked_ms, delivery.told_ms
            if delivery.asked_ms > bury.completed_ms and not (
                topic.redrive(since_ms, until_ms) or topic.forgot(since_ms, until_ms)
            ):
                says = f"{topic.name}: {one.id} was delivered though it was dead, and nobody had redriven it"
                found.append(conflict("dead letter delivered", says, bury, delivery.event))
    return found


def only_a_current_receipt_acts(history: History) -> list[Violation]:
    """Nothing succeeds with a receipt when its time was over, or a later delivery of the message was answered, before
    it was asked for."""
    found = []
    for topic in topics(history):
        for one in topic.messages.values():
            by_receipt = {delivery.event.values["receipt"]: delivery for delivery in one.deliveries}
            for event in (event for event in one.settled if event.outcome == "ok"):
                own = by_receipt.get(event.values["receipt"])
                if own is not None:
                    found += _judge_receipt(topic, one, own, event)
    return found


def _judge_receipt(topic: Topic, one: Message, own: Delivery, event: Event) -> list[Violation]:
    name = f"{topic.name}: {event.operation} of {one.id} by a receipt"
    if event.invoked_ms > own.over_ms:
        says = f"{name} {event.invoked_ms - own.over_ms:.2f} ms after its time"
        return [conflict("expired receipt taken", says, own.event, event)]
    for later in one.deliveries:
        # One asked for after the other was answered is the later one, whatever a counter that was lost says.
        if later.asked_ms > own.told_ms and later.told_ms < event.invoked_ms:
            says = f"{name} after it was delivered again"
            return [conflict("superseded receipt taken", says, own.event, later.event, event)]
    return []


def refusals_have_a_reason(history: History) -> list[Violation]:
    """`already_acked` is answered only after an ack, `receipt_expired` only after the delivery's time."""
    found = []
    for topic in topics(history):
        for one in topic.messages.values():
            by_receipt = {delivery.event.values["receipt"]: delivery for delivery in one.deliveries}
            for event in (event for event in one.settled if event.outcome == "refused"):
                own = by_receipt.get(event.values["receipt"])
                if own is None or topic.forgot(own.asked_ms, event.completed_ms):
                    continue
                acked = any(ack.invoked_ms < event.completed_ms for ack in one.tried("ack"))
                if event.code == "already_acked" and not acked:
                    says = f"{topic.name}: {one.id} is said to be acked, and nobody had acked it"
                    found.append(conflict("refused without a reason", says, own.event, event))
                if event.code == "receipt_expired" and event.completed_ms < own.ends_ms:
                    says = f"{topic.name}: the delivery of {one.id} is said to be over, and ran"
                    found.append(conflict("refused without a reason", says, own.event, event))
    return found


def nothing_comes_before_its_time(history: History) -> list[Violation]:
    """Neither a delayed message, nor one that was given back with a delay."""
    found = []
    for topic in topics(history):
        for one in (one for one in topic.messages.values() if one.publishes):
            name = f"{topic.name}: {one.id}"
            due_ms = one.asked_ms + int(one.publishes[0].values.get("delay_ms", 0)) - 1
            for event in (delivery.event for delivery in one.deliveries):
                if event.completed_ms < due_ms and one.value("delay_ms"):
                    says = f"{name} came {due_ms - event.completed_ms:.2f} ms before its delay was over"
                    found.append(conflict("delivered early", says, one.publishes[0], event))
            for nack in (event for event in one.tried("nack") if event.outcome == "ok" and event.values["delay_ms"]):
                back_ms = nack.invoked_ms + nack.values["delay_ms"] - 1
                for again in one.deliveries:
                    comes_early = again.asked_ms > nack.completed_ms and again.told_ms < back_ms
                    if comes_early and not topic.forgot(nack.invoked_ms, again.told_ms):
                        says = f"{name} came {back_ms - again.told_ms:.2f} ms before it was to come back"
                        found.append(conflict("delivered early", says, nack, again.event))
    return found
