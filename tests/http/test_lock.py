"""Locks over HTTP: what a client sees."""

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.support import NodeProcess, wait_until

NewName = Callable[[], str]


def acquire(node: NodeProcess, resource: str, owner: str, **more: object) -> Any:
    answer = node.post("/lock/acquire", {"resource": resource, "owner": owner, "timeout": 0, **more})
    assert answer.status in (200, 409), answer
    return answer.json


def waiters(node: NodeProcess) -> int:
    """How many requests are parked on the node."""
    line = next(line for line in node.get("/metrics").body.splitlines() if line.startswith(b"simpul_lock_waiters "))
    return int(float(line.split()[1]))


def test_a_grant_names_resource_owner_mode_token_and_lease(node: NodeProcess, name: NewName) -> None:
    resource = name()
    granted = acquire(node, resource, "alice", ttl_ms=1234)
    token = granted.pop("token")
    assert isinstance(token, int)
    assert token > 2**36
    assert granted == {
        "granted": True,
        "resource": resource,
        "owner": "alice",
        "mode": "exclusive",
        "ttl_ms": 1234,
        "waited_ms": 0,
    }


def test_a_refusal_lists_the_holders(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "alice")["token"]
    refused = acquire(node, resource, "bob")
    assert refused["granted"] is False
    assert refused["code"] == "lock_held"
    (holder,) = refused["holders"]
    assert holder["owner"] == "alice"
    assert holder["token"] == token
    assert 0 < holder["expires_in_ms"] <= 30_000


def test_many_share_and_a_writer_is_refused_until_all_left(node: NodeProcess, name: NewName) -> None:
    resource = name()
    assert acquire(node, resource, "r1", mode="shared")["granted"]
    assert acquire(node, resource, "r2", mode="shared")["granted"]
    assert acquire(node, resource, "w")["holder_count"] == 2
    for reader in ("r1", "r2"):
        assert node.post("/lock/release", {"resource": resource, "owner": reader}).json == {"released": True}
    assert acquire(node, resource, "w")["granted"]


def test_a_reader_is_refused_while_a_writer_holds(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "w")
    assert acquire(node, resource, "r", mode="shared")["held_mode"] == "exclusive"


def test_only_the_owner_releases_and_only_with_its_token(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "alice")["token"]
    stranger = node.post("/lock/release", {"resource": resource, "owner": "bob"})
    assert (stranger.status, stranger.json["code"], stranger.json["released"]) == (409, "lock_not_held", False)
    stale = node.post("/lock/release", {"resource": resource, "owner": "alice", "token": token - 1})
    assert (stale.status, stale.json["code"]) == (409, "token_stale")
    right = node.post("/lock/release", {"resource": resource, "owner": "alice", "token": token})
    assert right.json == {"released": True}


def test_renew_sets_what_is_left_and_keeps_the_token(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "alice", ttl_ms=60_000)["token"]
    renewed = node.post("/lock/renew", {"resource": resource, "owner": "alice", "token": token, "ttl_ms": 5_000})
    assert renewed.json == {"renewed": True, "ttl_ms": 5_000, "token": token}
    assert node.get(f"/lock/{resource}").json["holders"][0]["expires_in_ms"] <= 5_000
    again = node.post("/lock/renew", {"resource": resource, "owner": "alice", "token": token})
    assert again.json["ttl_ms"] == 5_000


def test_a_lease_that_ended_is_lost_and_can_be_taken(node: NodeProcess, name: NewName) -> None:
    resource = name()
    first = acquire(node, resource, "alice", ttl_ms=50)
    second = wait_until(lambda: (got := acquire(node, resource, "bob")).get("granted") and got, "the lease to end")
    assert second["token"] > first["token"]
    lost = node.post("/lock/renew", {"resource": resource, "owner": "alice", "token": first["token"]})
    assert (lost.status, lost.json["code"], lost.json["renewed"]) == (409, "lock_lost", False)


def test_a_waiting_request_is_granted_by_the_release(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "alice")
    got: list[Any] = []
    waiter = threading.Thread(target=lambda: got.append(acquire(node, resource, "bob", timeout=10)))
    waiter.start()
    wait_until(lambda: waiters(node) == 1, "bob to wait")
    started = time.monotonic()
    node.post("/lock/release", {"resource": resource, "owner": "alice"})
    waiter.join()
    assert got[0]["granted"]
    assert time.monotonic() - started < 5, "woken by the release, not by the end of the lease"


def test_waiters_are_granted_in_order_of_arrival_on_a_node(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "first")
    order: list[str] = []

    def wait_turn(owner: str) -> None:
        assert acquire(node, resource, owner, timeout=10)["granted"]
        order.append(owner)
        node.post("/lock/release", {"resource": resource, "owner": owner})

    threads = []
    for number in range(1, 5):
        thread = threading.Thread(target=wait_turn, args=(f"w{number}",))
        thread.start()
        threads.append(thread)
        wait_until(lambda: waiters(node) == number, f"{number} waiters")  # noqa: B023 - called in this turn only
    started = time.monotonic()
    node.post("/lock/release", {"resource": resource, "owner": "first"})
    for thread in threads:
        thread.join()
    assert order == ["w1", "w2", "w3", "w4"]
    assert time.monotonic() - started < 5, "each woken by the one before, not by its own timeout"


def test_a_waiting_request_is_granted_when_the_lease_ends(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "dead client", ttl_ms=200)
    granted = acquire(node, resource, "bob", timeout=10)
    assert granted["granted"]
    assert 100 <= granted["waited_ms"] < 5_000


def test_a_wait_ends_with_409_at_its_timeout(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "alice")
    started = time.monotonic()
    refused = acquire(node, resource, "bob", timeout=0.3)
    assert refused["code"] == "lock_held"
    assert 0.25 <= time.monotonic() - started < 3


def test_waiting_readers_are_let_in_together(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "writer")
    got: list[object] = []
    readers = [
        threading.Thread(
            target=lambda owner: got.append(acquire(node, resource, owner, mode="shared", timeout=10)["granted"]),
            args=(f"r{number}",),
        )
        for number in range(3)
    ]
    for reader in readers:
        reader.start()
    wait_until(lambda: waiters(node) == 3, "three readers to wait")
    started = time.monotonic()
    node.post("/lock/release", {"resource": resource, "owner": "writer"})
    for reader in readers:
        reader.join()
    assert got == [True, True, True]
    assert time.monotonic() - started < 5, "woken, not timed out"


def test_a_retried_acquire_gets_the_same_grant_until_it_is_released(node: NodeProcess, name: NewName) -> None:
    request = {"resource": name(), "owner": "alice", "request_id": name()}
    first = node.post("/lock/acquire", request).json
    assert node.post("/lock/acquire", request).json["token"] == first["token"]
    node.post("/lock/release", {"resource": request["resource"], "owner": "alice"})
    dead = node.post("/lock/acquire", request)
    assert (dead.status, dead.json["code"], dead.json["token"]) == (409, "lock_released", first["token"])


def test_the_state_of_a_free_lock_is_empty(node: NodeProcess, name: NewName) -> None:
    resource = name()
    nobody = {"holder_count": 0, "holders": [], "more": False, "waiter_count": 0, "waiters": []}
    expected: Any = {"resource": resource, "mode": None, **nobody}
    assert node.get(f"/lock/{resource}").json == expected


def test_a_name_in_the_path_is_percent_encoded_utf8_and_may_hold_slashes(node: NodeProcess) -> None:
    acquire(node, "böd/ega 1", "alice")
    assert node.get("/lock/b%C3%B6d%2Fega%201").json["holder_count"] == 1
    assert node.get("/lock/b%C3%B6d/ega%201").json["holder_count"] == 1
    assert node.get("/lock/%FF").json["code"] == "path_not_unicode"
