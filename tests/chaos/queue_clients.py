"""What the clients of queues do in a run: publish, take, give back, give up, overstay; and at the end, drain.

A topic of each kind: a plain one, for which nothing is set; one with ordering keys, whose consumers wait; one with
priorities and delays; one whose workers acknowledge in one group with the publish of what came of it; one to which
schedules publish; and one with subscriptions, each of them a queue of its own to the checkers. Where Redis loses what
it acknowledged it may lose schedules and subscriptions, and nobody says them again: there those two rest.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from tests.chaos.checkers.effects import EFFECTS, WORK
from tests.chaos.history import Event
from tests.chaos.recorder import Client
from tests.chaos.stage import Stage, a_node

PLAIN, KEYED, RANKED = "t", "keyed", "ranked"
TOPICS = (PLAIN, KEYED, RANKED)
CLOCK, SCHEDULES, EVERY_MS = "clock", ("s0", "s1", "s2", "s3"), 1_000
FANNED, SUBSCRIPTIONS = "news", ("mail", "audit")
VISIBILITY_MS = 300
DELAYS_MS = (0, 0, 0, 60, 150)
KEYS = ("k0", "k1", "k2")
MANY_DELIVERIES = 1_000
"""So that what lapses of many faults is not dead, and holds its key up."""
SENDS_MOST = 3
"""How often a publish or a consume is sent, with one request id, while its outcome is unknown."""
DRAIN_MOST_S = 8.0
TOLD = {name: name for name in ("id", "receipt", "attempt", "message", "messages")}
STATES = ("ready", "delayed", "inflight", "waiting", "dead")

QueueClient = Callable[[Stage, str], Coroutine[Any, Any, None]]


@dataclass
class _Party:
    """One client of one topic."""

    client: Client
    chance: random.Random
    topic: str
    subscription: str = ""
    number: int = 0

    @property
    def target(self) -> str:
        """Of its events: the queue that they are about."""
        return f"{self.topic}/{self.subscription}" if self.subscription else self.topic

    @property
    def names(self) -> dict[str, str]:
        return {"topic": self.topic, "subscription": self.subscription} if self.subscription else {"topic": self.topic}

    def name(self) -> str:
        self.number += 1
        return f"{self.client.name}-{self.number}"

    async def ask(self, path: str, body: dict[str, Any], **note: Any) -> Event:
        return await self.client.ask(a_node(self.chance), path, self.target, {**self.names, **body}, **note)

    async def send(self, path: str, body: dict[str, Any], keep: dict[str, str]) -> Event:
        """With a request id, again and again until the outcome is known; the events but the last are recorded."""
        body = {**self.names, "request_id": f"{self.name()}-{path[-7:]}", **body}
        note: dict[str, Any] = {}
        for left in reversed(range(SENDS_MOST)):
            event = await self.client.exchange(a_node(self.chance), path, self.target, body, keep, **note)
            if event.outcome != "unknown" or not left:
                break
            self._record(event, body)
            note = {"asked_ms": note.get("asked_ms", event.invoked_ms)}
        return event

    async def publish(self, messages: list[dict[str, Any]]) -> None:
        """One, or a batch of one request."""
        messages = [{"id": self.name(), "data": self.number, **message} for message in messages]
        body = {"messages": messages} if len(messages) > 1 else messages[0]
        self._record(await self.send("/queue/publish", body, {}), body)

    async def take(self, **body: Any) -> list[Event]:
        """The deliveries, each an event of its own."""
        body = {"consumer": self.client.name, "visibility_ms": VISIBILITY_MS, **body}
        events = self._record(await self.send("/queue/consume", body, TOLD), body)
        return [event for event in events if "id" in event.values]

    def _record(self, event: Event, body: dict[str, Any]) -> list[Event]:
        """As one event for each message that was sent, or came."""
        each: list[dict[str, Any]] = event.values.pop("messages", None) or [{}]
        if "messages" in body:
            batch = body["messages"][0]["id"]
            each = [{**message, "batch": batch, "place": place} for place, message in enumerate(body["messages"])]
        # A message of the topic with subscriptions is one of each.
        is_fanned = self.topic == FANNED and event.operation == "publish"
        targets = [f"{FANNED}/{name}" for name in SUBSCRIPTIONS] if is_fanned else [event.target]
        return [
            self.client.recorder.add(replace(event, target=target, values=_flat({**event.values, **one})))
            for target in targets
            for one in each
        ]

    async def settle(self, taken: Event) -> None:
        """Mostly an ack in time."""
        chance, what = self.chance, self.chance.random()
        note = {"id": taken.values["id"]}
        body = {"receipt": taken.values["receipt"]}
        if what < 0.03:
            return
        if what < 0.06:
            await asyncio.sleep(1.5 * VISIBILITY_MS / 1000)
        elif what < 0.16:
            await self.ask("/queue/nack", {**body, "delay_ms": chance.choice(DELAYS_MS)}, **note)
            return
        elif what < 0.19:
            await self.ask("/queue/bury", body, **note)
            return
        elif what < 0.23:
            await self.ask("/queue/extend", {**body, "visibility_ms": 2 * VISIBILITY_MS}, **note)
            await asyncio.sleep(1.2 * VISIBILITY_MS / 1000)
        await self.ask("/queue/ack", body, **note)

    async def finish(self, taken: Event) -> None:
        """Acknowledge, and publish what came of it, in one group: again with its request id while its outcome is
        unknown. Recorded as one ack and one publish that took from the first asking to the last answer."""
        receipt, effect = taken.values["receipt"], {"id": self.name(), "data": taken.values["id"]}
        acked, published = (
            {"op": "queue.ack", "topic": WORK, "receipt": receipt},
            {"op": "queue.publish", "topic": EFFECTS},
        )
        body = {"operations": [acked, {**published, **effect}], "request_id": effect["id"]}
        sent: list[Event] = []
        while len(sent) < SENDS_MOST and all(event.outcome == "unknown" for event in sent):
            sent.append(await self.client.exchange(a_node(self.chance), "/atomic", self.target, body))
        last = sent[-1]
        # One that was not answered may come about as long as it is not known that a later one did.
        outcome = last.outcome if last.outcome == "ok" or len(sent) == 1 else "unknown"
        whole = replace(last, invoked_ms=sent[0].invoked_ms, outcome=outcome)
        add = self.client.recorder.add
        add(replace(whole, operation="ack", values={"id": taken.values["id"], "receipt": receipt}))
        add(replace(whole, operation="publish", target=EFFECTS, values=effect))


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """What came with a delivery, beside it; but not its time, which is Redis'."""
    content = values.pop("message", {})
    return values | {name: content[name] for name in ("data", "key") if name in content}


async def _plain(stage: Stage, name: str) -> None:
    party = _Party(*stage.client(name), PLAIN)
    while stage.running:
        await party.publish([{}])
        for taken in await party.take():
            await party.settle(taken)
        await asyncio.sleep(party.chance.uniform(0.01, 0.04))
    party.client.close()


async def _publisher_of_keys(stage: Stage, name: str) -> None:
    party = _Party(*stage.client(name), KEYED)
    await party.ask("/queue/settings", {"max_deliveries": MANY_DELIVERIES})
    while stage.running:
        chance = party.chance
        count = chance.choice((1, 1, 3))
        await party.publish([{"key": chance.choice(KEYS)} for _ in range(count)])
        await asyncio.sleep(chance.uniform(0.02, 0.08))
    party.client.close()


async def _parked(stage: Stage, name: str) -> None:
    party = _Party(*stage.client(name), KEYED)
    while stage.running:
        for taken in await party.take(max=party.chance.choice((1, 1, 3)), wait_ms=party.chance.choice((0, 200, 600))):
            await party.settle(taken)
    party.client.close()


async def _ranked(stage: Stage, name: str) -> None:
    """Publishes by twos and takes by twos, so that there mostly is something to choose from."""
    party = _Party(*stage.client(name), RANKED)
    while stage.running:
        chance = party.chance
        await party.publish(
            [{"priority": chance.choice((0, 5, 9)), "delay_ms": chance.choice(DELAYS_MS)} for _ in range(2)]
        )
        for _ in range(2):
            for taken in await party.take():
                await party.settle(taken)
            await asyncio.sleep(chance.uniform(0.01, 0.04))
    party.client.close()


async def _publisher_to_all(stage: Stage, name: str) -> None:
    party = _Party(*stage.client(name), FANNED)
    while stage.running and stage.keeps_all:
        chance = party.chance
        await party.publish([{"delay_ms": chance.choice(DELAYS_MS)} for _ in range(chance.choice((1, 1, 2)))])
        await asyncio.sleep(chance.uniform(0.03, 0.08))
    party.client.close()


async def _subscriber(stage: Stage, name: str, subscription: str, wait_ms: int) -> None:
    party = _Party(*stage.client(name), FANNED, subscription)
    while stage.running and stage.keeps_all:
        waiting = {"wait_ms": wait_ms} if wait_ms else {}
        for taken in await party.take(max=party.chance.choice((1, 1, 3)), **waiting):
            await party.settle(taken)
        if not wait_ms:
            await asyncio.sleep(party.chance.uniform(0.01, 0.04))
    party.client.close()


async def _mail(stage: Stage, name: str) -> None:
    await _subscriber(stage, name, SUBSCRIPTIONS[0], wait_ms=300)


async def _audit(stage: Stage, name: str) -> None:
    await _subscriber(stage, name, SUBSCRIPTIONS[1], wait_ms=0)


async def _publisher_of_work(stage: Stage, name: str) -> None:
    party = _Party(*stage.client(name), WORK)
    while stage.running:
        await party.publish([{} for _ in range(party.chance.choice((1, 1, 2)))])
        await asyncio.sleep(party.chance.uniform(0.03, 0.1))
    party.client.close()


async def _worker(stage: Stage, name: str) -> None:
    """Now and then one is killed at its work, or is late."""
    party = _Party(*stage.client(name), WORK)
    while stage.running:
        for taken in await party.take(max=party.chance.choice((1, 2))):
            what = party.chance.random()
            if what < 0.08:
                await asyncio.sleep(1.1 * VISIBILITY_MS / 1000)
            if what > 0.06:
                await party.finish(taken)
        await asyncio.sleep(party.chance.uniform(0.01, 0.05))
    party.client.close()


async def _taker_of_effects(stage: Stage, name: str) -> None:
    party = _Party(*stage.client(name), EFFECTS)
    while stage.running:
        for taken in await party.take(max=2):
            await party.settle(taken)
        await asyncio.sleep(party.chance.uniform(0.02, 0.06))
    party.client.close()


async def _clock(stage: Stage, name: str) -> None:
    party = _Party(*stage.client(name), CLOCK)
    while stage.running and stage.keeps_all:
        for taken in await party.take(max=2, wait_ms=300):
            await party.settle(taken)
    party.client.close()


async def prepare(stage: Stage) -> None:
    """Before anything fails and anybody publishes."""
    if not stage.keeps_all:
        return
    fanned, clock = _Party(*stage.client("prepare"), FANNED), _Party(*stage.client("prepare"), CLOCK)
    made = [await fanned.ask("/queue/subscribe", {"subscription": name}) for name in SUBSCRIPTIONS]
    for number, name in enumerate(SCHEDULES):
        # One after the other, a quarter of a second apart.
        times = {"every_ms": EVERY_MS, "starts_at_ms": number * EVERY_MS // len(SCHEDULES), "missed": "all"}
        body = {"name": name, "data": number, **times}
        made.append(await clock.ask("/queue/schedule", body, keep={"next_ms": "next_ms"}, name=name, every_ms=EVERY_MS))
    if any(event.outcome != "ok" for event in made):
        raise RuntimeError(f"a sound cluster did not do what was asked: {made}")
    fanned.client.close()
    clock.client.close()


QUEUE_CLIENTS: tuple[QueueClient, ...] = (
    *(_plain, _plain),
    *(_publisher_of_keys, _parked, _parked),
    *(_ranked, _ranked),
    *(_publisher_to_all, _mail, _audit),
    *(_publisher_of_work, _worker, _worker, _taker_of_effects),
    _clock,
)


async def drain(stage: Stage) -> None:
    """Take what is left in the topics, also what has died, until nothing is."""
    queues = [(topic, "") for topic in (*TOPICS, WORK)]
    if stage.keeps_all:
        await _stop_the_clock(_Party(*stage.client("stop-the-clock"), CLOCK))
        queues += [(CLOCK, ""), *((FANNED, subscription) for subscription in SUBSCRIPTIONS)]
    await asyncio.gather(*(_drain(_draining(stage, topic, subscription)) for topic, subscription in queues))
    await _drain(_draining(stage, EFFECTS, ""))


async def _stop_the_clock(party: _Party) -> None:
    for name in SCHEDULES:
        await party.send("/queue/unschedule", {"name": name}, {})
    party.client.close()


def _draining(stage: Stage, topic: str, subscription: str) -> _Party:
    return _Party(*stage.client(f"drain-{topic}-{subscription}"), topic, subscription)


async def _drain(party: _Party) -> None:
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + DRAIN_MOST_S
    while loop.time() < ends_at:
        taken = await party.take(max=10)
        for one in taken:
            if party.topic == WORK:
                await party.finish(one)
            else:
                await party.ask("/queue/ack", {"receipt": one.values["receipt"]}, id=one.values["id"])
        if taken:
            continue
        await party.ask("/queue/redrive", {}, keep={"redriven": "redriven"})
        of = f"?subscription={party.subscription}" if party.subscription else ""
        state = await party.client.look(a_node(party.chance), f"/queue/{party.topic}{of}")
        if state and not any(state[name] for name in STATES):
            break
        await asyncio.sleep(0.02)
    party.client.close()
