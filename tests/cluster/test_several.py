"""Several locks in one request, over three nodes: all or none, in order, and nothing left behind."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.keys import Keys
from tests.cluster.test_waiting import Waiter, acquire, line, release
from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until

Trio = tuple[RedisServer, list[NodeProcess]]


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    folder = tmp_path_factory.mktemp("several")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as nodes:
        yield server, nodes


def spread(name: str, partitions: int) -> list[str]:
    """Names that live in so many partitions, which are taken in this order."""
    keys = Keys("simpul")
    found = {keys.partition_of(f"{name}{number}".encode()).number: f"{name}{number}" for number in range(200)}
    assert len(found) >= partitions
    return [found[number] for number in sorted(found)[:partitions]]


class Several(Waiter):
    """A request for several locks that waits, in a thread."""

    def __init__(self, node: NodeProcess, names: list[str], owner: str, watch: NodeProcess, **more: Any) -> None:
        self.names = names
        super().__init__(node, more.pop("seen_at", names[-1]), owner, watch, **more)

    def _run(self, node: NodeProcess, body: dict[str, Any]) -> None:
        del body["resource"]
        super()._run(node, {"resources": self.names, **body})


def acquire_all(node: NodeProcess, names: list[str], owner: str, **more: Any) -> Any:
    return node.post("/lock/acquire", {"resources": names, "owner": owner, "timeout": 0, **more}).json


def holder(node: NodeProcess, name: str) -> str | None:
    holders = node.get(f"/lock/{name}").json["holders"]
    return holders[0]["owner"] if holders else None


def left_behind(server: RedisServer, names: list[str]) -> list[bytes]:
    """Keys of locks and lines of these names."""
    with server.client() as client:
        return [key for key in client.keys("simpul:*") for name in names if key.endswith(f":{name}".encode())]


def test_locks_of_several_partitions_are_granted_and_end_together(trio: Trio) -> None:
    _, (one, two, three) = trio
    names = [*spread("plain", 4), "{plain}:a", "{plain}:b"]
    granted = acquire_all(one, names, "a", ttl_ms=20_000)
    assert (granted["granted"], granted["resources"], granted["waited_ms"]) == (True, names, 0)
    assert list(granted["tokens"]) == names
    assert 19_000 < granted["ttl_ms"] <= 20_000
    assert [holder(two, name) for name in names] == ["a"] * len(names)
    renewed = three.post("/lock/renew", {"resources": names, "owner": "a", "tokens": granted["tokens"]})
    assert renewed.json == {"renewed": True, "ttl_ms": 20_000, "tokens": granted["tokens"]}
    ended = two.post("/lock/release", {"resources": names, "owner": "a", "tokens": granted["tokens"]})
    assert ended.json == {"released": True, "outcomes": dict.fromkeys(names, "released")}
    assert [holder(one, name) for name in names] == [None] * len(names)


def test_a_lower_partition_is_held_while_a_higher_one_is_awaited_and_never_the_other_way(trio: Trio) -> None:
    _, (one, two, three) = trio
    low, middle, high = spread("order", 3)
    acquire(one, middle, "first")
    several = Several(two, [high, low, middle], "m", one, seen_at=middle)
    assert [holder(three, name) for name in (low, middle, high)] == ["m", "first", None]
    release(three, middle, "first")
    assert several.result()["granted"]
    assert [holder(three, name) for name in (low, middle, high)] == ["m"] * 3
    assert one.post("/lock/release", {"resources": [low, middle, high], "owner": "m"}).status == 200


def test_a_wait_in_vain_gives_everything_back_at_once(trio: Trio) -> None:
    server, (one, two, three) = trio
    low, high, higher = spread("vain", 3)
    acquire(one, high, "first")
    several = Several(two, [low, high, higher], "m", one, timeout=1.0, seen_at=high)
    single = Waiter(three, low, "s", one)
    refused = several.result()
    assert (refused["granted"], refused["code"], refused["resource"]) == (False, "lock_held", high)
    assert (refused["position"], refused["holders"][0]["owner"]) == (1, "first")
    assert single.result()["granted"], "by the giving back, long before the lease of m ends"
    release(one, low, "s")
    release(one, high, "first")
    assert not left_behind(server, [low, high])


def test_one_that_does_not_wait_gives_everything_back(trio: Trio) -> None:
    server, (one, two, _) = trio
    low, high = spread("try", 2)
    acquire(one, high, "first")
    assert acquire_all(two, [low, high], "m")["resource"] == high
    assert holder(one, low) is None
    release(one, high, "first")
    assert not left_behind(server, [low, high])


def test_a_client_that_goes_away_leaves_all_lines_and_what_it_held(trio: Trio) -> None:
    server, (one, two, three) = trio
    low, high = spread("gone", 2)
    acquire(one, high, "first")
    body = f'{{"resources":["{low}","{high}"],"owner":"ghost","timeout":60}}'.encode()
    ghost = socket.create_connection(("127.0.0.1", two.port))
    ghost.sendall(b"POST /lock/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    wait_until(lambda: line(one, high) == ["ghost"], "the ghost to wait")
    single = Waiter(three, low, "s", one)
    ghost.close()
    assert single.result()["granted"]
    wait_until(lambda: line(one, high) == [], "the ghost to leave the line")
    release(one, low, "s")
    release(one, high, "first")
    assert not left_behind(server, [low, high])


def test_the_order_of_arrival_is_kept_between_one_lock_and_several(trio: Trio) -> None:
    _, nodes = trio
    a, b = "{fifo}:a", "{fifo}:b"
    for name in (a, b):
        acquire(nodes[0], name, "first")
    waiters: list[Waiter] = []
    for number in range(6):
        if number % 2:
            waiters.append(Waiter(nodes[number % 3], b, f"w{number}", nodes[0]))
        else:
            waiters.append(Several(nodes[number % 3], [a, b], f"w{number}", nodes[0]))
    assert line(nodes[1], b) == [f"w{number}" for number in range(6)]
    assert nodes[2].post("/lock/release", {"resources": [a, b], "owner": "first"}).status == 200
    for number, waiter in enumerate(waiters):
        granted = waiter.result()
        assert granted["owner"] == f"w{number}"
        assert [one.answer for one in waiters[number + 1 :]] == [None] * (5 - number)
        for name in granted.get("resources", [b]):
            release(nodes[0], name, f"w{number}")


def test_leases_taken_early_are_renewed_while_later_locks_are_awaited(trio: Trio) -> None:
    _, (one, two, three) = trio
    low, high = spread("long", 2)
    acquire(one, high, "first")
    several = Several(two, [low, high], "m", one, ttl_ms=1_000)
    began = time.monotonic()
    while time.monotonic() - began < 1.6:  # several leases long
        assert acquire(three, low, "other")["code"] == "lock_held"
    release(one, high, "first")
    granted = several.result()
    assert (granted["granted"], 0 < granted["ttl_ms"] <= 1_000) == (True, True)
    kept = three.post("/lock/renew", {"resources": [low, high], "owner": "m", "tokens": granted["tokens"]})
    assert kept.status == 200, kept
    one.post("/lock/release", {"resources": [low, high], "owner": "m"})


def test_a_retry_through_another_node_gets_the_one_grant(trio: Trio) -> None:
    _, (one, two, three) = trio
    low, high = spread("retry", 2)
    acquire(one, high, "first")
    same: dict[str, Any] = {"timeout": 3, "request_id": "retry-several"}
    first = Several(two, [low, high], "m", one, **same)
    again: list[Any] = []
    ask = threading.Thread(target=lambda: again.append(acquire_all(three, [low, high], "m", **same)))
    ask.start()
    wait_until(lambda: b"simpul_lock_waiters 1.0" in three.get("/metrics").body, "the retry to wait")
    assert line(one, high) == ["m"], "one place"
    release(one, high, "first")
    ask.join()
    assert again[0]["granted"]
    assert first.result()["tokens"] == again[0]["tokens"], "the earlier one at its deadline"
    assert acquire_all(one, [low, high], "m", **same)["tokens"] == again[0]["tokens"]
    one.post("/lock/release", {"resources": [low, high], "owner": "m"})
    released = acquire_all(one, [low, high], "m", **same)
    assert (released["code"], released["token"]) == ("lock_released", again[0]["tokens"][low])


def test_a_word_that_was_lost_is_found(trio: Trio) -> None:
    server, (one, two, _) = trio
    names = ["{lost}:a", "{lost}:b"]
    acquire(one, names[1], "first")
    several = Several(two, names, "m", one)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-subscribe")
        try:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            wait_until(lambda: b"simpul_subscription_up 0.0" in two.get("/metrics").body, "the loss to be noticed")
            release(one, names[1], "first")
            assert several.result()["granted"]
            assert several.answer["waited_ms"] < 8_000, "not by its own look after ten seconds"
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+subscribe")
    wait_until(lambda: b"simpul_subscription_up 1.0" in two.get("/metrics").body, "the subscription")
    one.post("/lock/release", {"resources": names, "owner": "m"})


def test_what_cannot_be_given_back_ends_with_its_lease(trio: Trio) -> None:
    server, (one, two, three) = trio
    low, high = spread("away", 2)
    acquire(one, high, "first", ttl_ms=60_000)
    several = Several(two, [low, high], "m", one, timeout=12, ttl_ms=1_500)
    single = Waiter(three, low, "s", one)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha")
        try:
            assert several.result()["code"] == "store_refused"
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+evalsha")
    assert single.result()["granted"]
    release(one, low, "s")
    release(one, high, "first")


def test_many_overlapping_requests_all_finish_and_exclude_each_other(trio: Trio) -> None:
    server, nodes = trio
    names = [*spread("many", 3), "{many}:a", "{many}:b", "{many}:c"]
    inside: dict[str, set[str]] = {name: set() for name in names}
    last_token = dict.fromkeys(names, 0)
    failures: list[Any] = []

    def work(number: int) -> None:
        choose = random.Random(number)
        for turn in range(25):
            owner = f"m{number}-{turn}"
            wanted = choose.sample(names, choose.randint(1, 4))
            target = {"resources": wanted} if len(wanted) > 1 else {"resource": wanted[0]}
            node = nodes[choose.randrange(3)]
            granted = node.post("/lock/acquire", {**target, "owner": owner, "timeout": 14}).json
            if not granted["granted"]:
                failures.append(granted)
                return
            tokens = granted.get("tokens") or {wanted[0]: granted["token"]}
            for name in wanted:
                if inside[name] or tokens[name] <= last_token[name]:
                    failures.append((owner, name, inside[name], tokens[name], last_token[name]))
                inside[name].add(owner)
                last_token[name] = tokens[name]
            for name in wanted:
                inside[name].remove(owner)
            ended = nodes[choose.randrange(3)].post("/lock/release", {**target, "owner": owner})
            if ended.status != 200:
                failures.append(ended)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not left_behind(server, names)


def test_a_node_that_stops_gives_up_its_places_and_what_it_took(trio: Trio) -> None:
    server, (one, two, three) = trio
    low, high = spread("stop", 2)
    acquire(one, high, "first", ttl_ms=60_000)
    stopped = Several(three, [low, high], "stopped", one, ttl_ms=60_000, timeout=60)
    single = Waiter(two, low, "s", one, timeout=14)
    assert three.stop() == 0
    assert stopped.result()["code"] == "node_stopping"
    assert single.result()["granted"], "long before the lease of the other ends"
    assert line(one, high) == []
    release(one, low, "s")
    release(one, high, "first")
    assert not left_behind(server, [low, high])
    three.start()


def test_a_node_killed_with_half_of_the_locks_holds_up_nobody_for_longer_than_its_lease(trio: Trio) -> None:
    """The last one here: a node is gone after it."""
    server, (one, two, three) = trio
    low, high = spread("half", 2)
    acquire(one, high, "first", ttl_ms=60_000)
    dead = Several(three, [low, high], "dead", one, ttl_ms=1_500, timeout=60)
    single = Waiter(two, low, "s", one, timeout=14)
    living = Waiter(two, high, "living", one, timeout=14)
    three.signal(9)
    dead.result()
    assert single.result()["granted"]
    release(one, low, "s")
    release(one, high, "first")
    assert living.result()["granted"], "the turn of the dead one passed on, for it was not used"
    release(one, high, "living")
    assert not left_behind(server, [low, high])


def test_several_that_wait_stand_in_line_again_after_a_loss_of_data_and_holders_keep_theirs(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server, cluster(tmp_path, server.url, nodes=3) as (one, two, _):
        low, high = spread("loss", 2)
        held = acquire_all(one, [low, high], "a", ttl_ms=4_000)
        waiting = Several(two, [low, high], "m", one, timeout=14, seen_at=low)
        with server.client() as client:
            client.flushall()
        kept: list[Any] = []

        def is_kept() -> bool:
            kept[:] = [one.post("/lock/renew", _renewal(held))]
            return bool(kept[0].status == 200)

        wait_until(is_kept, "the holder to be taken up again")
        assert kept[0].json["tokens"] == held["tokens"]
        assert holder(two, low) == holder(two, high) == "a"
        granted = waiting.result()
        assert granted["granted"], granted
        assert all(granted["tokens"][name] > held["tokens"][name] for name in (low, high))


def _renewal(held: Any) -> dict[str, Any]:
    return {"resources": held["resources"], "owner": held["owner"], "tokens": held["tokens"], "ttl_ms": 1_000}
