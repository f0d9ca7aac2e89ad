"""A lock that is right, or wrong in one known way, played by simulated clients: histories to try the checkers on."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import Literal

from tests.chaos.history import Event, Outcome

Bug = Literal["", "ignores the lease", "forgets", "repeats tokens", "lets strangers release", "lets readers in"]


@dataclass
class _Hold:
    owner: str
    token: int
    mode: str
    ends_ms: int


class ModelLock:
    """Time is given by the caller, in whole milliseconds as Redis counts them."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug
        self._holds: list[_Hold] = []
        self._token = 0
        self._calls = 0

    def run(self, event: Event, now_ms: int) -> tuple[Outcome, str, int]:
        """Outcome, code and token of one operation carried out now."""
        self._calls += 1
        if self._bug == "forgets" and self._calls % 10 == 0:
            self._holds.clear()
        self._holds = [hold for hold in self._holds if hold.ends_ms > now_ms]
        if event.operation == "acquire":
            return self._acquire(event, now_ms)
        return self._end_or_renew(event, now_ms)

    def _acquire(self, event: Event, now_ms: int) -> tuple[Outcome, str, int]:
        mode, lease_ms = event.values["mode"], event.values["ttl_ms"]
        held = self._holds and not (mode == "shared" and all(hold.mode == "shared" for hold in self._holds))
        if held and not (mode == "shared" and self._bug == "lets readers in"):
            return "refused", "lock_held", 0
        if self._bug != "repeats tokens" or self._token == 0 or self._calls % 7:
            self._token += 1
        if self._bug == "ignores the lease":
            lease_ms //= 4
        self._holds.append(_Hold(event.client, self._token, mode, now_ms + lease_ms))
        return "ok", "", self._token

    def _end_or_renew(self, event: Event, now_ms: int) -> tuple[Outcome, str, int]:
        token = event.values["token"]
        own = [hold for hold in self._holds if (hold.owner, hold.token) == (event.client, token)]
        if event.operation == "renew":
            if not own:
                return "refused", "lock_lost", token
            own[0].ends_ms = now_ms + event.values["ttl_ms"]
            return "ok", "", token
        if self._bug == "lets strangers release":
            self._holds.clear()
            return "ok", "", token
        if not own:
            return "refused", "lock_not_held", token
        self._holds.remove(own[0])
        return "ok", "", token


@dataclass
class _Client:
    name: str
    token: int = 0
    """Of the grant it last had and did not let go of; 0: none."""


def play(chance: random.Random, *, clients: int, operations: int, shared: bool, bug: Bug = "") -> list[Event]:
    """A history: each operation takes its way to the lock, is carried out, and its answer takes its way back.

    Some answers are lost, some requests too. A client has one operation at a time.
    """
    lock = ModelLock(bug)
    history: list[Event] = []
    arrivals: list[tuple[float, str, _Client, Event]] = []
    for number in range(clients):
        _send(arrivals, _Client(f"c{number}"), chance.uniform(0, 50), chance, shared=shared)
    while len(history) < operations:
        now_ms, _, client, event = heapq.heappop(arrivals)
        outcome: Outcome
        outcome, code, token = ("unknown", "", 0) if chance.random() < 0.05 else lock.run(event, int(now_ms))
        if outcome != "unknown" and chance.random() < 0.05:
            outcome, code = "unknown", ""
        completed_ms = now_ms + chance.choice((0.1, 1, 20, 200)) * chance.random()
        values = event.values | ({"token": token} if outcome == "ok" else {})
        done = Event(client.name, event.operation, "r", event.invoked_ms, completed_ms, outcome, code, "n1", values)
        history.append(done)
        client.token = _held_after(client, done)
        _send(arrivals, client, completed_ms + chance.choice((1, 100, 500)) * chance.random(), chance, shared=shared)
    return history


def _held_after(client: _Client, done: Event) -> int:
    if done.operation == "acquire" and done.outcome == "ok":
        return int(done.values["token"])
    return client.token if done.operation == "renew" and done.outcome != "refused" else 0


def _send(
    arrivals: list[tuple[float, str, _Client, Event]],
    client: _Client,
    at_ms: float,
    chance: random.Random,
    *,
    shared: bool,
) -> None:
    values: dict[str, object] = {"ttl_ms": chance.randint(50, 500)}
    operation = "acquire"
    if client.token and chance.random() < 0.9:
        operation = chance.choice(("renew", "release"))
        values["token"] = client.token
        if operation == "release":
            del values["ttl_ms"]
    else:
        values["mode"] = chance.choice(("shared", "exclusive")) if shared else "exclusive"
    event = Event(client.name, operation, "r", at_ms, at_ms, "unknown", values=values)
    # Two may arrive at one moment: names keep their order the same in every run, and a client is in there once.
    heapq.heappush(arrivals, (at_ms + chance.choice((0.1, 1, 50)) * chance.random(), client.name, client, event))
