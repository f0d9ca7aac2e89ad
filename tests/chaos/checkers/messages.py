"""The history of a queue, read as the lives of its messages: what each was asked to be, and who got it when.

`publish` has the message as its value `id`, and `data`, `key`, `priority` and `delay_ms` where they were given. A retry
is another event; a batch is one for each message, with its name, `batch`, and their `place` in it. `consume` is one
delivery with `id`, `receipt`, `attempt`, `visibility_ms`, `data` and `key`; one without `id` brought nothing, and one
of unknown outcome may have brought up to `max`. A delivery that was asked for more than once, with one request id, has
`asked_ms`, when it was first. `ack`, `nack`, `bury` and `extend` have `id` and `receipt`; `redrive` has `redriven`;
`settings` has what was set; `schedule` has `name`, and publishes messages called `name@tick`. The history must end with
a drain: consumers that go on until the topic is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.chaos.checkers.holds import GRAIN_MS
from tests.chaos.history import Event, History, by_target, losses, select

MAX_DELIVERIES = 5
"""Of a topic for which nothing else was set, or whose settings were lost."""


@dataclass
class Delivery:
    """Of one message to one client, who knows of it."""

    event: Event
    ends_ms: float = 0.0
    """Before this nobody else may get the message."""
    over_ms: float = 0.0
    """After this its receipt counts no more."""

    @property
    def asked_ms(self) -> float:
        """It was not made before this."""
        return float(self.event.values.get("asked_ms", self.event.invoked_ms))

    @property
    def told_ms(self) -> float:
        """Nor after this."""
        return self.event.completed_ms

    @property
    def attempt(self) -> int:
        return int(self.event.values["attempt"])


@dataclass
class Message:
    id: str
    publishes: list[Event] = field(default_factory=list)
    """Those that may have stored it."""
    deliveries: list[Delivery] = field(default_factory=list)
    settled: list[Event] = field(default_factory=list)
    """Every ack, nack, bury and extend that was tried, also those that were refused."""

    def tried(self, *operations: str) -> list[Event]:
        """What may have taken effect of these."""
        return [event for event in self.settled if event.operation in operations and event.outcome != "refused"]

    @property
    def asked_ms(self) -> float:
        """It was not stored before this."""
        return min(event.invoked_ms for event in self.publishes)

    @property
    def stored_ms(self) -> float:
        """Nor after this; infinite if nobody said that it was."""
        return min((e.completed_ms for e in self.publishes if e.outcome == "ok"), default=float("inf"))

    def value(self, name: str) -> object:
        """As it was published."""
        return self.publishes[0].values.get(name)

    def came_before(self, other: Message) -> bool:
        """Whether it certainly was stored first."""
        one, two = self.publishes[0].values, other.publishes[0].values
        if "batch" in one and one["batch"] == two.get("batch"):
            return bool(one["place"] < two["place"])
        return self.stored_ms < other.asked_ms

    @property
    def is_plain(self) -> bool:
        """Ready as soon as it is stored."""
        return not self.value("key") and not self.value("delay_ms")

    @property
    def priority(self) -> int:
        return int(self.publishes[0].values.get("priority", 0))


@dataclass
class Topic:
    name: str
    events: list[Event]
    lost: list[Event]
    messages: dict[str, Message] = field(default_factory=dict)

    def of(self, *operations: str) -> list[Event]:
        return [event for event in self.events if event.operation in operations]

    def forgot(self, since_ms: float, until_ms: float) -> bool:
        """Whether data may have been lost between these."""
        return any(loss.completed_ms >= since_ms and loss.invoked_ms <= until_ms for loss in self.lost)

    def redrive(self, since_ms: float, until_ms: float) -> bool:
        """Whether dead letters may have been sent back between these."""
        return any(
            event.outcome != "refused"
            and (event.outcome == "unknown" or event.values.get("redriven", 0) > 0)
            and event.completed_ms >= since_ms
            and event.invoked_ms <= until_ms
            for event in self.of("redrive")
        )

    def hidden(self, until_ms: float) -> int:
        """How many deliveries there may have been of which nobody heard."""
        unknown = [event for event in self.of("consume") if event.outcome == "unknown" and event.invoked_ms <= until_ms]
        return sum(int(event.values.get("max", 1)) for event in unknown)

    @property
    def max_deliveries(self) -> int:
        found = [int(event.values["max_deliveries"]) for event in self.of("settings") if event.outcome == "ok"]
        return max([MAX_DELIVERIES, *found])

    def may_have_died(self, one: Message, until_ms: float) -> bool:
        """Of too many deliveries, known or not."""
        known = sum(delivery.asked_ms <= until_ms for delivery in one.deliveries)
        least = MAX_DELIVERIES if self.lost else self.max_deliveries
        return known + self.hidden(until_ms) >= least


def topics(history: History) -> Iterator[Topic]:
    operations = ("publish", "consume", "ack", "nack", "bury", "extend", "redrive", "settings", "schedule")
    lost = losses(history)
    for name, events in by_target(select(history, *operations)).items():
        topic = Topic(name, events, lost)
        for event in events:
            if "id" in event.values:
                _note(topic.messages.setdefault(str(event.values["id"]), Message(str(event.values["id"]))), event)
        for one in topic.messages.values():
            one.publishes += [] if one.publishes else _schedule_of(topic, one)
            for delivery in one.deliveries:
                _set_ends(delivery, one)
        yield topic


def _schedule_of(topic: Topic, one: Message) -> list[Event]:
    """What may have published it, as a publish: nobody was told of any tick that it was stored."""
    name = one.id.rpartition("@")[0]
    said = [event for event in topic.of("schedule") if event.outcome != "refused" and event.values["name"] == name]
    return [replace(event, outcome="unknown") for event in said[:1]]


def _note(one: Message, event: Event) -> None:
    if event.operation == "consume":
        one.deliveries.append(Delivery(event))
    elif event.operation != "publish":
        one.settled.append(event)
    elif event.outcome != "refused":
        one.publishes.append(event)


def _set_ends(delivery: Delivery, one: Message) -> None:
    """An acknowledgement ends nothing: after it the message is not to come at all."""
    visibility_ms = float(delivery.event.values["visibility_ms"])
    delivery.ends_ms = delivery.asked_ms + visibility_ms - GRAIN_MS
    delivery.over_ms = delivery.told_ms + visibility_ms + GRAIN_MS
    for event in one.tried("nack", "bury", "extend"):
        if event.values["receipt"] != delivery.event.values["receipt"]:
            continue
        if event.operation != "extend":
            delivery.ends_ms = min(delivery.ends_ms, event.invoked_ms)
            continue
        visibility_ms = float(event.values["visibility_ms"])
        extended_ms = event.invoked_ms + visibility_ms - GRAIN_MS
        delivery.ends_ms = extended_ms if event.outcome == "ok" else min(delivery.ends_ms, extended_ms)
        # Of unknown outcome: then or later.
        end_ms = event.completed_ms if event.outcome == "ok" else float("inf")
        delivery.over_ms = max(delivery.over_ms, end_ms + visibility_ms + GRAIN_MS)
