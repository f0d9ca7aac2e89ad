"""Random lives of one near cache: a Redis of three keys, and a network that loses, delays, doubles and reorders.

The near cache, its reader and its keeper are the real ones. Simulated are what they speak to (a partition's values and
its counter, messages in flight, questions and answers in flight) and the clock. After every answer to a reader it is
checked that no value was served that had been overwritten for longer than the bound. A seed makes the same life again.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

from service.cache import Caches, Found, GetRequest, Keeper, Names, keeper, near, reading
from service.error_registry import OutcomeUnknown
from service.keys import Keys

BOUND_S = 1.0
NAMES = ("{k}a", "{k}b", "{k}c")
STEPS = 800
FIRST = 1 << 36


class StaleRead(AssertionError):
    """A value was served that had been overwritten for longer than the bound."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Write(NamedTuple):
    at: float
    version: int


class Values(NamedTuple):
    """What Redis has at one moment."""

    counter: int
    versions: dict[bytes, int]


@dataclass(eq=False)
class Question:
    """A script call on its way; `answer` once Redis has run it."""

    name: str
    keys: tuple[bytes, ...]
    known: tuple[Any, ...]
    answered: asyncio.Future[list[Any]]
    answer: list[Any] = field(default_factory=list)


@dataclass
class Redis:
    """Stands for Scripts: what is asked waits until the life runs it and lets the answer arrive."""

    clock: Clock
    counter: int = FIRST
    versions: dict[bytes, int] = field(default_factory=dict)
    writes: dict[bytes, list[Write]] = field(default_factory=dict)
    messages: deque[tuple[int, bytes]] = field(default_factory=deque)
    questions: list[Question] = field(default_factory=list)
    older: Values | None = None
    is_listened_to: bool = True

    def has(self, _: Any) -> bool:
        return True

    async def call(self, call: Any, _: Any, keys: tuple[bytes, ...], known: tuple[Any, ...]) -> list[Any]:
        question = Question(call.name, keys[1:], known, asyncio.get_running_loop().create_future())
        self.questions.append(question)
        return await question.answered

    def write(self, key: bytes, *, removes: bool) -> None:
        self.counter += 1
        if removes:
            self.versions.pop(key, None)
        else:
            self.versions[key] = self.counter
        self.writes.setdefault(key, []).append(Write(self.clock.now, self.counter))
        if self.is_listened_to:
            self.messages.append((self.counter, key))

    @property
    def now(self) -> Values:
        return Values(self.counter, dict(self.versions))

    def run(self, question: Question, values: Values) -> None:
        answer: list[Any] = [b"ok", b"%d" % values.counter]
        for key, known in zip(question.keys, question.known, strict=True):
            version = values.versions.get(key)
            if question.name == "cache.compare":
                answer.append(int(version == known))
            elif version is None:
                answer += [b"", -1]
            else:
                answer += [b"=" if version == known else b"%d v" % version, -1]
        question.answer = answer


class Parts(NamedTuple):
    """The modules under test: the shipped ones, or copies with a rule taken out."""

    near: Any
    reading: Any


SHIPPED = Parts(near, reading)


class Life:
    """One seed. `events` are what can happen, by weight."""

    def __init__(self, seed: int, parts: Parts, redis: Redis) -> None:
        self.chance = random.Random(seed)
        self.redis = redis
        near = parts.near.NearCache(entries_max=100, bytes_max=10_000, bound_ms=int(BOUND_S * 1000))
        self.clock = redis.clock
        self.near = near
        keys = Keys("life")
        self.partition = keys.partition_of(NAMES[0].encode())
        self.keeper = Keeper(redis, keys, near)  # type: ignore[arg-type]
        names = Names(redis, keys, None)  # type: ignore[arg-type]
        self.caches = Caches(redis, keys, near, self.keeper, names, outcome_keep_ms=1)  # type: ignore[arg-type]
        self.caches._reader = parts.reading.Reader(redis, near)
        self.listener = self.caches.listener()
        self.tasks: set[asyncio.Task[None]] = set()
        self.hits = 0
        self.events = {
            self.pass_time: 20,
            self.keep: 20,
            self.read: 60,
            self.write: 20,
            self.deliver: 40,
            self.run_question: 60,
            self.answer: 60,
            self.lose_message: 4,
            self.double_message: 2,
            self.lose_answer: 1,
            self.reconnect: 2,
            self.go_deaf: 1,
            self.answer_from_before: 3,
            self.fail_over: 1,
        }

    async def live(self) -> None:
        self.near.turn_on()
        events, weights = list(self.events), list(self.events.values())
        try:
            for _ in range(STEPS):
                self.chance.choices(events, weights)[0]()
                for _ in range(4):
                    await asyncio.sleep(0)
                for task in [task for task in self.tasks if task.done()]:
                    self.tasks.discard(task)
                    task.result()
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    # -- what happens

    def pass_time(self) -> None:
        self.clock.now += self.chance.choice((0.001, 0.02, 0.1, 0.3, 0.7))

    def keep(self) -> None:
        """A round of the keeper, whose own pauses are of real time."""
        self.tasks.add(asyncio.create_task(self._keep()))

    async def _keep(self) -> None:
        await self.keeper.round()

    def read(self) -> None:
        self.tasks.add(asyncio.create_task(self._read(self.chance.choice(NAMES))))

    async def _read(self, name: str) -> None:
        asked_at = self.clock.now
        try:
            found = await self.caches.get(GetRequest(key=name))
        except OutcomeUnknown:
            return
        version = found.version if isinstance(found, Found) else 0
        is_local = isinstance(found, Found) and found.source == "local"
        self.hits += is_local
        if is_local:
            self._check(self.partition.cache + name.encode(), version, asked_at)

    def _check(self, key: bytes, version: int, asked_at: float) -> None:
        for write in self.redis.writes.get(key, ()):
            if write.version > version and asked_at - write.at > BOUND_S:
                raise StaleRead(f"{version} was served, {write} overwrote it {asked_at - write.at:.3f} s before")

    def write(self) -> None:
        key = self.partition.cache + self.chance.choice(NAMES).encode()
        self.redis.older = self.redis.now
        self.redis.write(key, removes=self.chance.random() < 0.2)

    def deliver(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            if self.redis.messages:
                self.listener(b"%d %b" % self.redis.messages.popleft())

    def run_question(self) -> None:
        waiting = [question for question in self.redis.questions if not question.answer]
        if waiting:
            # One connection: they are run in the order sent.
            self.redis.run(waiting[0], self.redis.now)

    def answer(self) -> None:
        """Mostly in order, as on one connection; a partition that moves has two of them for a moment."""
        run = [question for question in self.redis.questions if question.answer]
        if run:
            question = run[0] if self.chance.random() < 0.6 else self.chance.choice(run)
            self.redis.questions.remove(question)
            if not question.answered.done():
                question.answered.set_result(question.answer)

    # -- what goes wrong

    def lose_message(self) -> None:
        if self.redis.messages:
            del self.redis.messages[self.chance.randrange(len(self.redis.messages))]

    def double_message(self) -> None:
        if self.redis.messages:
            self.redis.messages.appendleft(self.redis.messages[0])

    def lose_answer(self) -> None:
        """The connection for calls ends: what was asked is answered by nobody."""
        for question in self.redis.questions:
            if not question.answered.done():
                question.answered.set_exception(OutcomeUnknown(reason="the life lost it"))
        self.redis.questions.clear()

    def reconnect(self) -> None:
        """The connection for messages ends, and is noticed."""
        self.redis.messages.clear()
        self.near.turn_off()
        self.redis.is_listened_to = True
        if self.chance.random() < 0.5:
            self.redis.write(self.partition.cache + NAMES[0].encode(), removes=False)
            self.redis.messages.clear()
        self.near.turn_on()

    def go_deaf(self) -> None:
        """The connection for messages carries nothing any more, and nobody notices until it is replaced."""
        self.redis.messages.clear()
        self.redis.is_listened_to = False

    def answer_from_before(self) -> None:
        """A server that was replaced answers once more. Only what this node has heard can show that it is too old."""
        waiting = [question for question in self.redis.questions if not question.answer]
        older, seen = self.redis.older, self.near.hearing.ask(self.partition.number, 0.0).seen
        if waiting and older is not None and older.counter < seen:
            self.redis.run(waiting[0], older)
            if self.chance.random() < 0.5:
                self._lose_tail(older)

    def _lose_tail(self, older: Values) -> None:
        """It was no stray answer: Redis lost its last write, and goes on under the next generation."""
        self.lose_answer()
        self.redis.messages.clear()
        for writes in self.redis.writes.values():
            writes[:] = [write for write in writes if write.version <= older.counter]
        self.redis.counter = ((self.redis.counter >> 36) + 1) << 36
        self.redis.versions = dict(older.versions)
        self.near.begin_anew()

    def fail_over(self) -> None:
        if self.redis.older is not None:
            self._lose_tail(self.redis.older)


def live(seed: int, parts: Parts = SHIPPED) -> int:
    """One life; how many reads its near cache answered. Raises StaleRead."""
    clock = Clock()
    with ExitStack() as stack:
        for module in (parts.near, keeper):
            stack.enter_context(patch.object(module, "steady_s", clock))
        life = Life(seed, parts, Redis(clock))
        asyncio.run(life.live())
    return life.hits
