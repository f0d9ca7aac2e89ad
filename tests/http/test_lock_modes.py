"""Modes of locks over HTTP: re-entrant holds, semaphores, the longest time and metadata, as a client sees them."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.test_lock import acquire, waiters
from tests.support import NodeProcess, wait_until

NewName = Callable[[], str]


def release(node: NodeProcess, resource: str, owner: str, **more: object) -> Any:
    return node.post("/lock/release", {"resource": resource, "owner": owner, **more}).json


def renew(node: NodeProcess, resource: str, owner: str, token: int, **more: object) -> Any:
    return node.post("/lock/renew", {"resource": resource, "owner": owner, "token": token, **more}).json


@pytest.mark.parametrize("more", [{}, {"mode": "shared"}, {"limit": 2}], ids=repr)
def test_a_reentrant_hold_is_counted_up_and_down(node: NodeProcess, name: NewName, more: dict[str, Any]) -> None:
    resource = name()
    first = acquire(node, resource, "a", reentrant=True, **more)
    again = acquire(node, resource, "a", reentrant=True, **more)
    assert (first["holds"], again["holds"]) == (1, 2)
    assert first["token"] == again["token"]
    assert node.get(f"/lock/{resource}").json["holders"][0]["holds"] == 2
    assert release(node, resource, "a", token=first["token"]) == {"released": True, "holds": 1}
    assert release(node, resource, "a", token=first["token"]) == {"released": True, "holds": 0}
    assert release(node, resource, "a", token=first["token"])["code"] == "lock_not_held"


def test_all_gives_a_reentrant_hold_back_at_once(node: NodeProcess, name: NewName) -> None:
    resource = name()
    for _ in range(3):
        acquire(node, resource, "a", reentrant=True)
    assert release(node, resource, "a", all=True) == {"released": True, "holds": 0}
    assert acquire(node, resource, "b")["granted"]


def test_an_owner_enters_past_a_request_that_waits_for_it(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "a", reentrant=True)
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(acquire(node, resource, "b", timeout=30)))
    waiting.start()
    wait_until(lambda: waiters(node) == 1, "b to wait")
    assert acquire(node, resource, "a", reentrant=True)["holds"] == 2
    release(node, resource, "a", all=True)
    waiting.join()
    assert got[0]["granted"]


def test_a_semaphore_is_shared_up_to_its_limit(node: NodeProcess, name: NewName) -> None:
    resource = name()
    granted = acquire(node, resource, "a", limit=3, permits=2)
    assert (granted["mode"], granted["limit"], granted["permits"]) == ("semaphore", 3, 2)
    assert acquire(node, resource, "b", limit=3, mode="semaphore")["permits"] == 1
    refused = acquire(node, resource, "c", limit=3)
    assert (refused["code"], refused["limit"], refused["held_mode"]) == ("lock_held", 3, "semaphore")
    assert {holder["owner"]: holder["permits"] for holder in refused["holders"]} == {"a": 2, "b": 1}
    shown = node.get(f"/lock/{resource}").json
    assert (shown["mode"], shown["limit"], shown["holder_count"]) == ("semaphore", 3, 2)
    mismatch = acquire(node, resource, "c", limit=4)
    assert (mismatch["code"], mismatch["limit"], mismatch["granted"]) == ("limit_mismatch", 3, False)
    for owner in "ab":
        assert release(node, resource, owner) == {"released": True}
    assert acquire(node, resource, "c", limit=4)["granted"]


def test_a_semaphore_that_is_waited_for_keeps_its_limit(node: NodeProcess, name: NewName) -> None:
    resource = name()
    acquire(node, resource, "x")
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(acquire(node, resource, "a", limit=2, timeout=30)))
    waiting.start()
    wait_until(lambda: waiters(node) == 1, "a to wait")
    mismatch = acquire(node, resource, "b", limit=3, timeout=30)
    assert (mismatch["code"], mismatch["limit"]) == ("limit_mismatch", 2)
    assert node.get(f"/lock/{resource}").json["waiters"] == [{"owner": "a", "mode": "semaphore", "position": 1}]
    release(node, resource, "x")
    waiting.join()
    assert got[0]["permits"] == 1


def test_metadata_comes_back_byte_for_byte(node: NodeProcess, name: NewName) -> None:
    resource = name()
    raw = b'{"b": 1.0, "a":[ ], "n": 12345678901234567890}'
    body = b'{"resource":"%s","owner":"a","timeout":0,"metadata":%s}' % (resource.encode(), raw)
    assert node.post("/lock/acquire", body).status == 200
    assert b'"metadata":' + raw in node.get(f"/lock/{resource}").body
    refused = node.post("/lock/acquire", {"resource": resource, "owner": "b", "timeout": 0})
    assert b'"metadata":' + raw in refused.body


def test_a_plain_lock_is_answered_as_ever(node: NodeProcess, name: NewName) -> None:
    resource = name()
    granted = acquire(node, resource, "a")
    assert set(granted) == {"granted", "resource", "owner", "mode", "token", "ttl_ms", "waited_ms"}
    (holder,) = node.get(f"/lock/{resource}").json["holders"]
    assert set(holder) == {"owner", "mode", "token", "expires_in_ms"}
    assert set(renew(node, resource, "a", granted["token"])) == {"renewed", "ttl_ms", "token"}
    assert release(node, resource, "a") == {"released": True}


def test_a_renewal_is_cut_short_at_the_longest_time(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "a", ttl_ms=20_000, max_hold_ms=30_000)["token"]
    renewed = renew(node, resource, "a", token, ttl_ms=60_000)
    assert renewed["renewed"]
    assert 20_000 < renewed["ttl_ms"] <= 30_000
    assert node.get(f"/lock/{resource}").json["holders"][0]["hold_left_ms"] <= 30_000


def test_a_hold_that_is_renewed_for_ever_ends_at_its_longest_time(node: NodeProcess, name: NewName) -> None:
    resource = name()
    started = time.monotonic()
    token = acquire(node, resource, "a", ttl_ms=400, max_hold_ms=400)["token"]

    def is_over() -> bool:
        return bool(renew(node, resource, "a", token).get("code") in ("lock_hold_exceeded", "lock_lost"))

    wait_until(is_over, "the longest time to be over")
    assert acquire(node, resource, "b", timeout=5)["granted"]
    assert time.monotonic() - started > 0.4


def test_a_repeat_of_a_reentrant_request_counts_once(node: NodeProcess, name: NewName) -> None:
    resource, request_id = name(), name()
    acquire(node, resource, "a", reentrant=True)
    for _ in range(2):
        assert acquire(node, resource, "a", reentrant=True, request_id=request_id)["holds"] == 2
    assert node.get(f"/lock/{resource}").json["holders"][0]["holds"] == 2
