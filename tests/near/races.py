"""The races that make other near caches serve an overwritten value for ever, played against a real server.

A scenario is a claim: it fails with an AssertionError if the near cache breaks it. The store, the subscription, the
near cache, its reader and its keeper are the real ones, on one loop with the way to Redis that plays the tricks. Time
is waited for only where the bound is claimed; what is asserted then does not depend on how late a busy machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from service.atomic import AtomicRequest, Groups
from service.atomic.wire import InvalidateKey, PutValue, ValuePut
from service.cache import Auditor, Caches, Found, GetRequest, InvalidateRequest, Keeper, Names, PutRequest
from service.clock import steady_s
from service.error_registry import OutcomeUnknown
from service.keys import Keys
from service.queue import Queues
from service.queue.takers import Takers
from service.queue.topics import Topics
from service.store.bundle import shipped
from service.store.link import Link
from service.store.primaries import primaries_of
from service.store.scripts import Scripts
from service.store.subscriber import Subscriber
from tests.lua.runner import GENERATION, Runner
from tests.near.simulator import Parts
from tests.near.way import CALLS, MESSAGES, Way
from tests.support import RedisServer, eventually

BOUND_MS = 200
KEYS = Keys("test")


def _names() -> list[str]:
    """In the partition that the Runner works on."""
    return [name for name in map("k{}".format, range(1000)) if KEYS.partition_of(name.encode()).number == 7]


K, OTHER, *_ = _names()


class _Open:
    """Gate and fence source of a cluster in which nothing is ever decided."""

    async def admit(self, link: Link) -> None:
        await link.execute("PING")

    async def refused(self, _: bytes | None) -> bool:
        return False


class Node(NamedTuple):
    """The parts of a node that have to do with its cache, and another client that writes by another way."""

    way: Way
    near: Any
    keeper: Keeper
    auditor: Auditor
    caches: Caches
    groups: Groups
    subscriber: Subscriber
    elsewhere: Runner
    is_up: Callable[[], bool]

    async def get(self, name: str = K, **more: Any) -> Found:
        found = await self.caches.get(GetRequest(key=name, **more))
        assert isinstance(found, Found)
        return found

    async def local(self, name: str = K) -> Found:
        """Read until a copy answers."""

        async def from_copy() -> Found | None:
            found = await self.get(name)
            return found if found.source == "local" else None

        found = await eventually(from_copy, "a copy to be served")
        assert found
        return found

    def write(self, value: bytes, name: str = K) -> int:
        """By another node, as far as this one can see."""
        reply = self.elsewhere.put(name, value, channel=KEYS.invalidate_channel)
        assert reply.code == "ok"
        return int(reply.fields[0])

    async def held(self, kind: str, number: int = 1) -> None:
        await eventually(self._count(lambda: len(self.way.held[kind]) >= number), f"{number} {kind} on the way")

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        await eventually(self._count(condition), what)

    @staticmethod
    def _count(condition: Callable[[], Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
        async def look() -> Any:
            return condition()

        return look

    async def fresh_within_the_bound(self, version: int, name: str = K) -> None:
        """From now on, reads may give something older than `version` for as long as the bound."""
        written_at = steady_s()
        is_over = False
        while not is_over:
            # Another key's reader gets answers of Redis, which confirm the copies of the partition if they can.
            await self.caches.get(GetRequest(key=OTHER, consistency="strong"))
            asked_at = steady_s()
            found = await self.get(name)
            is_over = asked_at - written_at > 1.6 * BOUND_MS / 1000
            if asked_at - written_at > BOUND_MS / 1000:
                assert found.version >= version, f"overwritten {asked_at - written_at:.3f} s before it was asked for"
            await asyncio.sleep(BOUND_MS / 1000 / 50)


Scenario = Callable[[Node], Coroutine[Any, Any, None]]


@asynccontextmanager
async def node(server: RedisServer, parts: Parts, bound_ms: int = BOUND_MS) -> AsyncIterator[Node]:
    elsewhere = Runner(server)
    way = await Way(server.port).open()
    gate = _Open()
    timeout_s = 2.0
    primaries = primaries_of(
        f"redis://127.0.0.1:{way.port}/0",
        keys=KEYS,
        client_name="races",
        in_flight_max=1000,
        timeout_s=timeout_s,
        gate=gate,
    )
    scripts = Scripts(primaries, gate)
    scripts.activate(shipped(), GENERATION, elsewhere.fence.encode())
    near = parts.near.NearCache(entries_max=100, bytes_max=100_000, bound_ms=bound_ms)
    keeper = Keeper(scripts, KEYS, near)
    caches = Caches(scripts, KEYS, near, keeper, Names(scripts, KEYS, primaries), outcome_keep_ms=60_000)
    caches._reader = parts.reading.Reader(scripts, near)
    subscriber = Subscriber(
        primaries.heard_at, client_name="races", timeout_s=timeout_s, on_up=near.turn_on, on_down=near.turn_off
    )
    subscriber.hear(KEYS.invalidate_channel, caches.listener())
    auditor = Auditor(scripts, KEYS, near, per_s=4)
    topics = Topics(scripts, KEYS, 60_000)
    queues = Queues(scripts, topics, Takers(scripts, KEYS))
    groups = Groups(scripts, KEYS, queues, topics, near, outcome_keep_ms=60_000)
    made = Node(way, near, keeper, auditor, caches, groups, subscriber, elsewhere, lambda: primaries.is_up)
    primaries.start()
    subscriber.start()
    keeper.start()
    try:
        await made.until(lambda: primaries.is_up and subscriber.is_up, "the connections")
        made.write(b"1")
        await made.local()
        yield made
    finally:
        await keeper.stop()
        await subscriber.stop()
        await primaries.stop()
        await way.close()
        elsewhere.close()


# -- the scenarios: K is held in version 1 when they begin


async def a_stale_fill(node: Node) -> None:
    """Asked before a write, answered after the write's message: passed on, not kept."""
    node.write(b"2")
    await node.until(lambda: node.near.held(_key()) is None, "the message")
    node.way.hold(CALLS)
    reading = asyncio.create_task(node.get())
    await node.held(CALLS)
    version = node.write(b"3")
    await node.until(lambda: node.near.hearing.covers(7, version), "its message")
    node.way.let_go(CALLS)
    assert (await reading).version < version, "the scenario is about this answer"
    assert (await node.get()).version == version


async def a_reconnect_gap(node: Node) -> None:
    """What was written while nobody listened is known before a copy is served again."""
    node.write(b"1", OTHER)
    await node.local(OTHER)
    await node.local()
    node.elsewhere.redis.execute_command("ACL", "SETUSER", "default", "-subscribe")
    try:
        node.way.kill(MESSAGES)
        await node.until(lambda: not node.subscriber.is_up, "the loss to be noticed")
        version = node.write(b"2", OTHER)
        assert (await node.get()).source == "redis", "local hits stop at once"
    finally:
        node.elsewhere.redis.execute_command("ACL", "SETUSER", "default", "+subscribe")
    await node.until(lambda: node.subscriber.is_up, "the subscription")
    await node.local()
    assert (await node.local(OTHER)).version == version


async def a_lost_message(node: Node) -> None:
    """The next message shows it, and copies are compared before one is served again."""
    node.way.hold(MESSAGES)
    version = node.write(b"2")
    node.write(b"2", OTHER)
    await node.held(MESSAGES, 2)
    node.way.drop(MESSAGES)
    heard = node.near.invalidations
    node.way.let_go(MESSAGES)
    await node.until(lambda: node.near.invalidations > heard, "the message after it")
    assert (await node.get()).version == version
    await node.fresh_within_the_bound(version)


async def a_lost_last_message(node: Node) -> None:
    """No message follows that could show it: the counter does, before the bound is over."""
    node.way.hold(MESSAGES)
    version = node.write(b"2")
    await node.held(MESSAGES)
    node.way.drop(MESSAGES)
    node.way.let_go(MESSAGES)
    await node.fresh_within_the_bound(version)


async def a_deaf_subscription(node: Node) -> None:
    """The connection is there and carries nothing: copies are served for the bound, and no longer."""
    node.way.deafen(MESSAGES)
    version = node.write(b"2")
    await node.fresh_within_the_bound(version)


async def a_message_heard_twice(node: Node) -> None:
    """It must not stand in for one that was lost."""
    node.way.hold(MESSAGES)
    node.write(b"2", OTHER)
    version = node.write(b"2")
    await node.held(MESSAGES, 2)
    node.way.double(MESSAGES)
    node.way.pass_on(MESSAGES)
    node.way.pass_on(MESSAGES)
    node.way.drop(MESSAGES)
    node.way.let_go(MESSAGES)
    await node.fresh_within_the_bound(version)


async def an_old_message_heard_again(node: Node) -> None:
    """It drops no copy that is newer."""
    node.way.hold(MESSAGES)
    node.write(b"2")
    await node.held(MESSAGES)
    node.way.double(MESSAGES)
    node.way.pass_on(MESSAGES)
    version = node.write(b"3")
    await node.held(MESSAGES, 2)
    node.way.held[MESSAGES].rotate(1)
    node.way.pass_on(MESSAGES)
    await node.until(lambda: node.near.hearing.covers(7, version), "the newer message")
    assert (await node.local()).version == version
    heard = node.near.invalidations
    node.way.let_go(MESSAGES)
    await node.until(lambda: node.near.invalidations > heard, "the old message")
    assert node.near.held(_key()) is not None


async def a_swallowed_echo(node: Node) -> None:
    """A node's own readers see its write with its answer, also when its publication never comes."""
    node.way.deafen(MESSAGES)
    done = await node.caches.put(PutRequest(key=K, value=b"2"))  # type: ignore[arg-type]
    assert (await node.get()).version == done.version
    await node.caches.invalidate(InvalidateRequest(key=K))
    assert not isinstance(await node.caches.get(GetRequest(key=K)), Found)


async def a_swallowed_echo_of_a_group(node: Node) -> None:
    """As a_swallowed_echo, of values that a group puts and removes."""
    node.way.deafen(MESSAGES)
    put = PutValue(key=K, value=msgspec.Raw(b"2"))
    (done,) = (await node.groups.apply(AtomicRequest(operations=[put]))).results
    assert isinstance(done, ValuePut)
    assert (await node.get()).version == done.version
    await node.groups.apply(AtomicRequest(operations=[InvalidateKey(key=K)]))
    assert not isinstance(await node.caches.get(GetRequest(key=K)), Found)


async def a_write_of_unknown_outcome(node: Node) -> None:
    """Neither its answer nor its publication comes."""
    node.way.deafen(MESSAGES)
    node.way.hold(CALLS)
    putting = asyncio.create_task(node.caches.put(PutRequest(key=K, value=b"2")))  # type: ignore[arg-type]
    await node.held(CALLS)
    version = int(node.elsewhere.redis.get(node.elsewhere.key("versions")))
    node.way.kill(CALLS)
    with_outcome = await asyncio.gather(putting, return_exceptions=True)
    assert isinstance(with_outcome[0], OutcomeUnknown)
    await node.until(node.is_up, "the connection for calls")
    await node.fresh_within_the_bound(version)


async def a_rollback(node: Node) -> None:
    """A server answers that has lost writes which this node has heard of, and then goes on counting."""
    before = node.elsewhere.snapshot()
    node.write(b"2")
    await node.until(lambda: node.near.held(_key()) is None, "the message")
    node.way.deafen(MESSAGES)
    for key, (dumped, _) in before.items():
        node.elsewhere.redis.restore(key, 0, dumped, replace=True)
    await node.get()
    await node.get()
    version = node.write(b"another 2")
    await node.fresh_within_the_bound(version)
    assert node.near.hearing.rollbacks


def _key() -> bytes:
    return KEYS.partition_of(K.encode()).cache + K.encode()


SCENARIOS: dict[str, Scenario] = {
    made.__name__: made
    for made in (
        a_stale_fill,
        a_reconnect_gap,
        a_lost_message,
        a_lost_last_message,
        a_deaf_subscription,
        a_message_heard_twice,
        an_old_message_heard_again,
        a_swallowed_echo,
        a_swallowed_echo_of_a_group,
        a_write_of_unknown_outcome,
        a_rollback,
    )
}


def play(name: str, server: RedisServer, parts: Parts) -> None:
    async def begin() -> None:
        async with node(server, parts) as made:
            await SCENARIOS[name](made)

    asyncio.run(begin())
