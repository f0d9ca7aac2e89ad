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


MODES: dict[str, dict[str, Any]] = {
    "exclusive": {},
    "shared": {"mode": "shared"},
    "semaphore": {"limit": 1},
    "reentrant": {"reentrant": True},
}


@pytest.mark.parametrize(
    ("held", "waited"),
    [*(("exclusive", waited) for waited in MODES), ("shared", "exclusive"), ("semaphore", "semaphore")],
)
def test_a_lease_that_ends_is_handed_over_without_anybody_asking(
    node: NodeProcess, name: NewName, held: str, waited: str
) -> None:
    resource = name()
    acquire(node, resource, "a", ttl_ms=300, **MODES[held])
    granted = acquire(node, resource, "b", timeout=60, **MODES[waited])
    assert granted["granted"]
    assert 0 < granted["waited_ms"] < 10_000, "by the timer of its line, long before it would ask by itself"


# -- upgrade and downgrade


def change(node: NodeProcess, kind: str, resource: str, owner: str, token: int, **more: object) -> Any:
    return node.post(f"/lock/{kind}", {"resource": resource, "owner": owner, "token": token, **more}).json


def test_the_only_reader_becomes_the_writer_and_a_reader_again(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "a", mode="shared")["token"]
    upgraded = change(node, "upgrade", resource, "a", token, timeout=0)
    new = upgraded.pop("token")
    assert new > token
    assert 0 < upgraded.pop("ttl_ms") <= 30_000
    assert upgraded == {"upgraded": True, "resource": resource, "owner": "a", "mode": "exclusive", "waited_ms": 0}
    assert acquire(node, resource, "b", mode="shared")["code"] == "lock_held"
    assert renew(node, resource, "a", token)["code"] == "lock_lost"
    downgraded = change(node, "downgrade", resource, "a", new)
    assert (downgraded["downgraded"], downgraded["mode"], downgraded["token"]) == (True, "shared", new)
    assert 0 < downgraded["ttl_ms"] <= 30_000
    assert acquire(node, resource, "b", mode="shared")["granted"]
    assert renew(node, resource, "a", new)["renewed"]


def waits(node: NodeProcess, answers: list[Any], kind: str, *about: Any) -> threading.Thread:
    before = waiters(node)
    thread = threading.Thread(target=lambda: answers.append(change(node, kind, *about, timeout=30)))
    thread.start()
    wait_until(lambda: waiters(node) == before + 1, f"the {kind} to wait")
    return thread


def test_an_upgrade_waits_for_the_other_readers_before_the_writer(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "a", mode="shared")["token"]
    acquire(node, resource, "b", mode="shared")
    wrote: list[Any] = []
    writer = threading.Thread(target=lambda: wrote.append(acquire(node, resource, "w", timeout=30)))
    writer.start()
    wait_until(lambda: waiters(node) == 1, "the writer to wait")
    upgraded: list[Any] = []
    upgrade = waits(node, upgraded, "upgrade", resource, "a", token)
    wait_until(lambda: len(node.get(f"/lock/{resource}").json["waiters"]) == 2, "both to stand in line")
    assert node.get(f"/lock/{resource}").json["waiters"][0] == {"owner": "a", "mode": "upgrade", "position": 1}
    release(node, resource, "b")
    upgrade.join()
    assert upgraded[0]["upgraded"]
    assert not wrote
    assert release(node, resource, "a", token=upgraded[0]["token"]) == {"released": True}
    writer.join()
    assert wrote[0]["token"] > upgraded[0]["token"]


def test_a_second_upgrade_is_a_deadlock_at_once(node: NodeProcess, name: NewName) -> None:
    resource = name()
    tokens = {owner: acquire(node, resource, owner, mode="shared")["token"] for owner in "ab"}
    answers: list[Any] = []
    first = waits(node, answers, "upgrade", resource, "a", tokens["a"])
    wait_until(lambda: node.get(f"/lock/{resource}").json["waiters"] != [], "a to stand in line")
    refused = change(node, "upgrade", resource, "b", tokens["b"], timeout=30)
    assert (refused["upgraded"], refused["code"], refused["length"]) == (False, "lock_deadlock", 2)
    assert [(step["owner"], step["held_by"]) for step in refused["cycle"]] == [("b", "a"), ("a", "b")]
    assert renew(node, resource, "b", tokens["b"])["renewed"], "it keeps what it has"
    release(node, resource, "b")
    first.join()
    assert answers[0]["upgraded"]


def test_an_upgrade_in_vain_keeps_the_shared_hold(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "a", mode="shared")["token"]
    acquire(node, resource, "b", mode="shared")
    for timeout in (0, 0.2):
        refused = change(node, "upgrade", resource, "a", token, timeout=timeout)
        assert (refused["upgraded"], refused["code"], refused["holder_count"]) == (False, "lock_held", 2)
    assert node.get(f"/lock/{resource}").json["waiters"] == []
    assert renew(node, resource, "a", token)["renewed"]
    assert acquire(node, resource, "c", mode="shared")["granted"], "nobody is kept out any longer"


def test_an_upgrade_whose_own_lease_ends_while_it_waits_is_told_so(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "a", mode="shared", ttl_ms=300)["token"]
    acquire(node, resource, "b", mode="shared")
    refused = change(node, "upgrade", resource, "a", token, timeout=60)
    assert (refused["upgraded"], refused["code"]) == (False, "lock_not_held")


def test_a_downgrade_lets_the_readers_in_that_wait(node: NodeProcess, name: NewName) -> None:
    resource = name()
    token = acquire(node, resource, "a")["token"]
    read: list[Any] = []
    reader = threading.Thread(target=lambda: read.append(acquire(node, resource, "r", mode="shared", timeout=30)))
    reader.start()
    wait_until(lambda: node.get(f"/lock/{resource}").json["waiters"] != [], "the reader to stand in line")
    assert change(node, "downgrade", resource, "a", token)["downgraded"]
    reader.join()
    assert read[0]["granted"]


@pytest.mark.parametrize(("kind", "mode"), [("upgrade", "exclusive"), ("downgrade", "shared")])
def test_a_change_that_cannot_be_is_refused(node: NodeProcess, name: NewName, kind: str, mode: str) -> None:
    resource = name()
    assert change(node, kind, resource, "a", 1)["code"] == "lock_not_held"
    token = acquire(node, resource, "a", mode=mode)["token"]
    refused = change(node, kind, resource, "a", token)
    assert (refused["code"], refused["held_mode"], refused[f"{kind}d"]) == ("lock_mode_mismatch", mode, False)
    assert change(node, kind, resource, "a", token - 1)["code"] == "token_stale"
    assert change(node, kind, resource, "stranger", token)["code"] == "lock_not_held"
    assert node.get(f"/lock/{resource}").json["holders"][0]["token"] == token


def test_a_repeated_upgrade_gets_the_same_token(node: NodeProcess, name: NewName) -> None:
    resource, request_id = name(), name()
    token = acquire(node, resource, "a", mode="shared")["token"]
    first = change(node, "upgrade", resource, "a", token, request_id=request_id)
    assert change(node, "upgrade", resource, "a", token, request_id=request_id)["token"] == first["token"]
    release(node, resource, "a")
    assert change(node, "upgrade", resource, "a", token, request_id=request_id)["code"] == "lock_released"
