"""What watchers are told of locks, through whatever node things happen, and what operators can do about holds."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.event_stream import Stream, watching
from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, list[NodeProcess]]]:
    folder = tmp_path_factory.mktemp("events")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as nodes:
        yield server, nodes


Trio = tuple[RedisServer, list[NodeProcess]]


def acquire(node: NodeProcess, resource: str, owner: str, **more: Any) -> Any:
    answer = node.post("/lock/acquire", {"resource": resource, "owner": owner, "timeout": 0, **more})
    assert answer.status == 200, answer.json
    return answer.json


def release(node: NodeProcess, resource: str, owner: str) -> None:
    assert node.post("/lock/release", {"resource": resource, "owner": owner}).status == 200


def begun(stream: Stream) -> Stream:
    assert stream.next().name == "state"
    return stream


def test_nothing_is_recorded_while_nobody_watches(trio: Trio) -> None:
    server, (one, two, _) = trio
    acquire(one, "unwatched", "a")
    release(two, "unwatched", "a")
    with server.client() as client:
        assert not client.keys("*lock_events*")


def test_a_watcher_hears_what_happens_through_other_nodes_in_order(trio: Trio) -> None:
    _, (one, two, three) = trio
    acquire(one, "watched", "a")
    with watching(one.url, lock="watched") as stream:
        state = stream.next()
        assert (state.name, state.data["holders"][0]["owner"]) == ("state", "a")
        waiter = threading.Thread(target=acquire, args=(two, "watched", "b"), kwargs={"timeout": 10})
        waiter.start()
        wait_until(lambda: one.get("/lock/watched").json["waiter_count"], "b to wait")
        release(three, "watched", "a")
        waiter.join()
        release(three, "watched", "b")
        assert stream.names(3) == [("released", "a"), ("granted", "b"), ("released", "b")]
    tokens = [told.data["token"] for told in stream.seen[1:]]
    assert tokens[0] < tokens[1] == tokens[2]


def test_a_watcher_that_comes_back_to_another_node_missed_nothing(trio: Trio) -> None:
    _, (one, two, three) = trio
    with watching(one.url, lock="resumed") as stream:
        begun(stream)
        acquire(two, "resumed", "a")
        assert stream.names(1) == [("granted", "a")]
    release(two, "resumed", "a")
    acquire(two, "resumed", "b")
    with watching(three.url, stream.last_id, lock="resumed") as again:
        release(one, "resumed", "b")
        assert again.names(3) == [("released", "a"), ("granted", "b"), ("released", "b")]


def test_the_end_of_a_lease_is_told_without_anybody_touching_the_lock(trio: Trio) -> None:
    _, (one, two, three) = trio
    with watching(one.url, lock="expiring") as stream, watching(three.url, lock_prefix="expir") as other:
        begun(stream)
        acquire(two, "expiring", "a", ttl_ms=200)
        assert stream.names(2) == [("granted", "a"), ("expired", "a")]
        assert other.names(2) == [("granted", "a"), ("expired", "a")]
        lasted_ms = stream.seen[2].data["at_ms"] - stream.seen[1].data["at_ms"]
        assert lasted_ms >= 200
        acquire(two, "expiring", "b")
        assert stream.names(1) == [("granted", "b")], "one end for one hold, whoever watched"


def test_the_history_of_a_lock_is_there_while_it_is_recorded(trio: Trio) -> None:
    _, (one, two, three) = trio
    with watching(one.url, lock="history") as stream:
        begun(stream)
        for owner in "abc":
            acquire(two, "history", owner)
            release(two, "history", owner)
        stream.names(6)
        found = three.get("/lock/history?history=3").json["history"]
    assert [(event["event"], event["owner"]) for event in found["events"]] == [
        ("released", "c"),
        ("granted", "c"),
        ("released", "b"),
    ]
    assert found["more"]


def forced_on(node: NodeProcess) -> list[tuple[str, str]]:
    return [(one["resource"], one["reason"]) for one in node.get("/cluster").json["forced_releases"]]


def renewal(node: NodeProcess, token: int) -> Any:
    """What the former holder is answered."""
    refused = node.post("/lock/renew", {"resource": "stuck", "owner": "a", "token": token})
    assert (refused.status, refused.json["code"]) == (409, "lock_lost")
    return refused.json


def test_a_hold_ended_by_force_is_lost_for_a_reason_and_goes_to_the_next(trio: Trio) -> None:
    _, nodes = trio
    follower = next(node for node in nodes if node.get("/raft/state").json["role"] == "follower")
    token = acquire(nodes[0], "stuck", "a", ttl_ms=60_000)["token"]
    answers: list[Any] = []
    waiter = threading.Thread(target=lambda: answers.append(acquire(nodes[1], "stuck", "b", timeout=10)))
    waiter.start()
    wait_until(lambda: nodes[0].get("/lock/stuck").json["waiter_count"], "b to wait")
    with watching(nodes[2].url, lock="stuck") as stream:
        begun(stream)
        forced = follower.post("/lock/force-release", {"resource": "stuck", "reason": "host is gone"})
        assert forced.json["holds"] == [{"owner": "a", "token": token}]
        assert stream.names(2) == [("released", "a"), ("granted", "b")]
        assert stream.seen[1].data["reason"] == "host is gone"
    waiter.join()
    assert answers[0]["token"] > token
    # Why is in the log, which reaches the other nodes a moment later.
    wait_until(lambda: renewal(nodes[1], token).get("reason") == "host is gone", "the reason to reach another node")
    wait_until(lambda: ("stuck", "host is gone") in forced_on(nodes[2]), "the release to reach a third node")


def test_a_forced_release_that_is_repeated_ends_nothing_that_came_later(trio: Trio) -> None:
    _, (one, two, three) = trio
    acquire(one, "again", "a")
    body = {"resource": "again", "reason": "twice", "request_id": "force-again"}
    assert two.post("/lock/force-release", body).status == 200
    acquire(one, "again", "b")
    assert three.post("/lock/force-release", body).json["holds"][0]["owner"] == "a"
    assert one.get("/lock/again").json["holders"][0]["owner"] == "b"
    nobody = two.post("/lock/force-release", {"resource": "again", "reason": "x", "owner": "stranger"})
    assert (nobody.status, nobody.json["code"]) == (409, "no_such_hold")


def test_pages_of_locks_show_each_that_is_held_or_waited_for(trio: Trio) -> None:
    _, (one, two, three) = trio
    held = {f"page:{number}" for number in range(23)}
    for resource in sorted(held):
        acquire(one, resource, "a")
    acquire(one, "other:1", "a")
    found: list[str] = []
    cursor = ""
    for node in [one, two, three] * 100:
        page = node.get(f"/locks?prefix=page:&limit=5&cursor={cursor}").json
        found += [lock["resource"] for lock in page["locks"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert set(found) == held


def test_watchers_are_told_that_redis_may_have_lost_data(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server, cluster(tmp_path, server.url, nodes=3) as nodes:
        token = acquire(nodes[0], "doubtful", "a", ttl_ms=20_000)["token"]
        with watching(nodes[1].url, lock="doubtful") as stream:
            begun(stream)
            with server.client() as client:
                client.flushall()
            gap = stream.until(lambda told: told.name == "gap")
            assert gap.data["reason"] == "generation"
            renew = {"resource": "doubtful", "owner": "a", "token": token}
            wait_until(lambda: nodes[2].post("/lock/renew", renew).status == 200, "the hold to be taken up again")
            stream.until(lambda told: told.what == ("reattached", "a"))
