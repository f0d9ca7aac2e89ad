"""Near caches on Redis behind sentinels and on a Redis Cluster: their copies hear of writes, and keep their bound while
slots move and primaries fail over to replicas that lack the last writes."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from service.keys import Keys
from tests.chaos.checkers.cache import no_stale_read, reads
from tests.chaos.history import select
from tests.chaos.recorder import Client, Recorder
from tests.cluster.traffic import ok
from tests.redis_servers import RedisCluster, ask, redis_cluster, watched
from tests.support import Answer, NodeProcess, RedisServer, cluster, wait_until

KEYS = Keys("simpul")
BOUND_MS, LONG_MS = 1_000, 20_000
BUSY = "busy"
"""Read and written all the time."""
LATE = "{busy}late"
"""In the same partition: written when the replica hears nothing any more."""
OTHER = "{busy}other"
_HEARD = re.compile(rb"^simpul_near_cache_invalidations_total ([0-9.]+)$", re.MULTILINE)


@contextmanager
def recorded(nodes: Sequence[NodeProcess]) -> Iterator[Recorder]:
    """What two clients see of one key, through nodes drawn at random, until the end of the block."""
    recorder, ended = Recorder(), threading.Event()

    async def use(name: str, path: str, pause_s: float) -> None:
        client, chance, number = Client(name, recorder, [node.port for node in nodes]), random.Random(name), 0
        while not ended.is_set():
            number += 1
            body = {"key": BUSY, **({"value": number} if path == "/cache/put" else {})}
            await client.ask(chance.randrange(len(nodes)), path, BUSY, body, {"version": "version"})
            await asyncio.sleep(pause_s)
        client.close()

    async def both() -> None:
        await asyncio.gather(use("writer", "/cache/put", 0.02), use("reader", "/cache/get", 0.002))

    thread = threading.Thread(target=lambda: asyncio.run(both()))
    thread.start()
    try:
        yield recorder
    finally:
        ended.set()
        thread.join()


def progress(recorder: Recorder, least: int = 10) -> None:
    """Wait until both clients are answered again."""
    before = {operation: len(select(recorder.history, operation, outcome="ok")) for operation in ("put", "get")}

    def is_made() -> bool:
        return all(len(select(recorder.history, one, outcome="ok")) >= known + least for one, known in before.items())

    wait_until(is_made, "reads and writes to go on")


def heard(node: NodeProcess) -> float:
    found = _HEARD.search(node.get("/metrics").body)
    assert found
    return float(found[1])


def every_write_is_heard(nodes: Sequence[NodeProcess], keys: Sequence[str]) -> None:
    """By the nodes that did not make it, as messages."""
    writer, *others = nodes
    before = {node.name: heard(node) for node in others}
    for key in keys:
        ok(writer.post("/cache/put", {"key": key, "value": 1}))
    for node in others:
        wait_until(lambda node=node: heard(node) >= before[node.name] + len(keys), f"{node.name} to hear")  # type: ignore[misc]


def read(node: NodeProcess, key: str, consistency: str = "local") -> object:
    """What the node answers, once it can."""

    def answer() -> Answer | None:
        given = node.post("/cache/get", {"key": key, "consistency": consistency})
        return given if given.status == 200 else None

    return wait_until(answer, f"{node.name} to read").json["value"]  # type: ignore[union-attr]


def cut_off_replicas(primary: RedisServer) -> None:
    """They stay, and hear nothing any more."""
    ask(primary, "ACL", "SETUSER", "default", "-psync", "-sync")
    ask(primary, "CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: ask(primary, "INFO", "replication")["connected_slaves"] == 0, "the replicas to be cut off")


def lose_what_was_written_last(nodes: Sequence[NodeProcess], primary: RedisServer, recorder: Recorder) -> None:
    """Nodes hold copies of a write that only the primary had when it died.

    Between the cut and the death nothing is waited for: sentinels take no replica that was cut off for long.
    """
    ok(nodes[0].post("/cache/put", {"key": LATE, "value": "replicated"}))
    with primary.client() as client:
        assert client.wait(1, 5000) == 1
    began_ms = recorder.now_ms()
    cut_off_replicas(primary)
    ok(nodes[0].post("/cache/put", {"key": LATE, "value": "lost"}))
    assert [read(node, LATE) for node in nodes] == ["lost"] * len(nodes)
    primary.kill()
    for node in nodes:
        wait_until(partial(is_of_the_next_generation, node), f"{node.name} to work with the replica")
    recorder.fault("failover", began_ms, loses=True)
    assert {read(node, LATE) for node in nodes} == {"replicated"}, "no copy of what is lost outlives the loss"
    assert {read(node, LATE, "strong") for node in nodes} == {"replicated"}


def is_of_the_next_generation(node: NodeProcess) -> bool:
    """And serves the partition. Of the copy in question it is not asked: that would freshen it."""
    is_known = node.get("/raft/state").json["generation"] >= 2
    return is_known and node.post("/cache/get", {"key": OTHER, "consistency": "strong"}).status == 200


def bound_was_kept(recorder: Recorder, bound_ms: int) -> None:
    history = recorder.history
    assert [str(violation) for violation in no_stale_read(history, bound_ms)] == []
    assert len(reads(history)) > 50, "too few reads show nothing"


def one_of_each(redis: RedisCluster) -> list[str]:
    """A key on every primary."""
    found = {redis.owner_of(KEYS.partition_of(name.encode())).port: name for name in map("k{}".format, range(64))}
    return list(found.values())


def test_on_a_cluster_copies_keep_their_bound_while_a_slot_moves_and_its_primary_is_lost(tmp_path: Path) -> None:
    with (
        redis_cluster(tmp_path / "redis", "valkey-9", replicas=1, full_coverage="no") as redis,
        cluster(tmp_path, redis.url, SIMPUL_NEAR_STALE_MS=str(BOUND_MS)) as nodes,
    ):
        keys = one_of_each(redis)
        assert len(keys) == 3
        every_write_is_heard(nodes, keys)
        partition = KEYS.partition_of(BUSY.encode())
        target = next(one for one in redis.primaries if one is not redis.owner_of(partition))
        with recorded(nodes) as recorder:
            progress(recorder)
            redis.migrate(partition, target)
            progress(recorder)
            every_write_is_heard(nodes, [LATE, *keys])
            lose_what_was_written_last(nodes, target, recorder)
            progress(recorder)
        bound_was_kept(recorder, BOUND_MS)
        every_write_is_heard(nodes, [LATE, *keys])


def test_behind_sentinels_copies_keep_their_bound_when_the_primary_is_lost(tmp_path: Path) -> None:
    """With a bound that outlasts the failover: what is lost goes because of it, and not because its time is up."""
    with (
        watched(tmp_path / "redis", "valkey-9") as redis,
        cluster(tmp_path, redis.url, SIMPUL_NEAR_STALE_MS=str(LONG_MS)) as nodes,
    ):
        every_write_is_heard(nodes, ["k1", "k2", "k3"])
        with recorded(nodes) as recorder:
            progress(recorder)
            lose_what_was_written_last(nodes, redis.primary, recorder)
            progress(recorder)
        bound_was_kept(recorder, LONG_MS)
        every_write_is_heard(nodes, ["k1", "k2", "k3"])
