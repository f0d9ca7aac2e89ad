"""The audit finds what is overwritten, says for how long at least, and finds a bound that is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.cache import Audit, GetRequest
from tests.near.mutants import MUTANTS, mutated
from tests.near.races import BOUND_MS, OTHER, K, Node, node
from tests.near.simulator import SHIPPED, Parts
from tests.near.way import CALLS, MESSAGES
from tests.support import DEFAULT_FLAVOUR, RedisServer, eventually

Audited = Callable[[Node], Coroutine[Any, Any, Audit]]


@pytest.fixture
def emptied(servers: dict[str, RedisServer]) -> RedisServer:
    server = servers[DEFAULT_FLAVOUR]
    with server.client() as client:
        client.flushall()
    return server


LONG_MS = 3_000
"""A bound that no stall of a busy machine outlasts, for what does not wait for its end."""


def audited(server: RedisServer, what: Audited, parts: Parts = SHIPPED, bound_ms: int = BOUND_MS) -> Audit:
    async def run() -> Audit:
        async with node(server, parts, bound_ms) as made:
            return await what(made)

    return asyncio.run(run())


async def kept_good(node: Node) -> None:
    """Readers of another key, whose answers would confirm the copies of the partition if they could."""
    while True:
        await node.caches.get(GetRequest(key=OTHER, consistency="strong"))
        await asyncio.sleep(BOUND_MS / 1000 / 20)


async def audit_while_read(node: Node) -> Audit:
    reading = asyncio.create_task(kept_good(node))
    try:
        return await node.auditor.audit(10)
    finally:
        reading.cancel()


def test_copies_that_are_the_latest_are_not_stale(emptied: RedisServer) -> None:
    async def calm(node: Node) -> Audit:
        node.write(b"1", OTHER)
        await node.local(OTHER)
        await node.local(K)
        return await node.auditor.audit(10)

    found = audited(emptied, calm, bound_ms=LONG_MS)
    assert found == Audit(entries=2, sampled=2, stale=0, oldest_stale_ms=0, broken=0, bound_ms=LONG_MS)


def test_no_more_copies_are_looked_at_than_were_asked_for(emptied: RedisServer) -> None:
    async def two_held(node: Node) -> Audit:
        node.write(b"1", OTHER)
        await node.local(OTHER)
        await node.local(K)
        return await node.auditor.audit(1)

    found = audited(emptied, two_held, bound_ms=LONG_MS)
    assert (found.entries, found.sampled) == (2, 1)


def test_a_copy_behind_a_message_is_stale_until_the_message_comes(emptied: RedisServer) -> None:
    async def message_is_late(node: Node) -> Audit:
        node.way.hold(MESSAGES)
        node.write(b"2")
        await node.held(MESSAGES)
        answers = node.way.passed[CALLS]
        audit = asyncio.create_task(node.auditor.audit(10))
        await node.until(lambda: node.way.passed[CALLS] > answers, "the answer")
        await asyncio.sleep(0.05)  # the delay that is to be found
        node.way.let_go(MESSAGES)
        return await audit

    found = audited(emptied, message_is_late, bound_ms=LONG_MS)
    assert (found.sampled, found.stale, found.broken) == (1, 1, 0)
    assert 0 < found.oldest_stale_ms <= LONG_MS


def test_a_copy_that_took_the_place_of_a_stale_one_is_not_stale(emptied: RedisServer) -> None:
    async def read_anew(node: Node) -> Audit:
        node.way.hold(MESSAGES)
        version = node.write(b"2")
        await node.held(MESSAGES)
        answers = node.way.passed[CALLS]
        audit = asyncio.create_task(node.auditor.audit(10))
        await node.until(lambda: node.way.passed[CALLS] > answers, "the answer")
        await node.get(K, consistency="strong")
        node.way.let_go(MESSAGES)
        reading = asyncio.create_task(kept_good(node))
        try:
            assert (await node.local(K)).version == version
            return await audit
        finally:
            reading.cancel()

    found = audited(emptied, read_anew, bound_ms=LONG_MS)
    assert (found.sampled, found.stale, found.broken) == (1, 1, 0)


def test_a_copy_whose_message_never_comes_is_stale_and_the_bound_is_kept(emptied: RedisServer) -> None:
    async def deaf(node: Node) -> Audit:
        node.way.deafen(MESSAGES)
        node.write(b"2")
        return await audit_while_read(node)

    found = audited(emptied, deaf, bound_ms=1_000)
    assert (found.sampled, found.stale, found.broken) == (1, 1, 0)
    assert found.oldest_stale_ms <= 1_000


def test_a_near_cache_that_breaks_its_bound_is_found_out(emptied: RedisServer) -> None:
    (mutant,) = [one for one in MUTANTS if one.rule == "copies are served for ever once confirmed"]

    async def deaf(node: Node) -> Audit:
        node.way.deafen(MESSAGES)
        node.write(b"2")
        found = await audit_while_read(node)
        assert node.near.held(_key_of(node)) is None, "what broke the bound is dropped"
        assert (node.auditor.sampled, node.auditor.stale, node.auditor.broken) == (1, 1, 1)
        return found

    found = audited(emptied, deaf, mutated(mutant))
    assert (found.stale, found.broken) == (1, 1)
    assert found.oldest_stale_ms >= BOUND_MS


def test_a_key_that_was_taken_from_redis_behind_every_script_is_found_out(emptied: RedisServer) -> None:
    """By hand, or by Redis itself for want of memory: no message tells of it, and the counter does not rise."""

    async def evicted(node: Node) -> Audit:
        reading = asyncio.create_task(kept_good(node))
        node.elsewhere.redis.delete(_key_of(node))
        await node.local(K)
        try:
            return await node.auditor.audit(10)
        finally:
            reading.cancel()

    found = audited(emptied, evicted)
    assert (found.sampled, found.stale, found.broken) == (1, 1, 1)


def test_a_copy_that_redis_went_back_to_breaks_no_bound(emptied: RedisServer) -> None:
    """It was overwritten by a write that Redis then lost."""
    (mutant,) = [one for one in MUTANTS if one.rule == "copies are served for ever once confirmed"]

    async def deaf(node: Node) -> Audit:
        node.way.deafen(MESSAGES)
        before = node.elsewhere.redis.get(_key_of(node))
        node.write(b"2")
        node.way.hold(CALLS)
        audit = asyncio.create_task(node.auditor.audit(10))
        await node.held(CALLS)
        node.elsewhere.redis.set(_key_of(node), before)
        node.way.let_go(CALLS)
        return await audit

    found = audited(emptied, deaf, mutated(mutant))
    assert (found.stale, found.broken) == (1, 0)


def test_an_audit_renews_nothing_and_copies_that_lapsed_are_not_looked_at(emptied: RedisServer) -> None:
    async def nobody_reads(node: Node) -> Audit:
        hits = node.near.hits
        node.near.hearing.used[7] = 0

        async def lapsed() -> bool:
            return not (await node.auditor.audit(10)).sampled

        await eventually(lapsed, "the copy to lapse although it is audited")
        assert (node.near.hits, node.near.hearing.used[7]) == (hits, 0)
        return await node.auditor.audit(10)

    found = audited(emptied, nobody_reads)
    assert (found.entries, found.sampled, found.stale) == (1, 0, 0)


def test_copies_in_use_are_looked_at_unasked_and_others_are_no_reason_to_ask_redis(emptied: RedisServer) -> None:
    async def reads_and_rests(node: Node) -> Audit:
        await node.local(K)
        await node.auditor.step()
        found = await node.auditor.audit(10)
        assert (node.auditor.sampled, found.sampled) == (2, 1)
        node.near.hearing.good_until[7] = 0.0
        node.way.kill(CALLS)
        await node.auditor.step()  # would raise, had it asked
        assert node.auditor.sampled == 2
        return found

    audited(emptied, reads_and_rests, bound_ms=LONG_MS)


def _key_of(node: Node) -> bytes:
    return node.elsewhere.partition.cache + K.encode()
