"""Filling, batches and tags over HTTP: one caller makes a missing value, the others wait for it or take the old one."""

import threading
from collections.abc import Callable
from typing import Any

from tests.support import NodeProcess, wait_until

NewName = Callable[[], str]


def get(node: NodeProcess, key: str, **more: object) -> Any:
    return node.post("/cache/get", {"key": key, **more}).json


def put(node: NodeProcess, key: str, value: object, **more: object) -> Any:
    return node.post("/cache/put", {"key": key, "value": value, **more}).json


def in_background(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(call()))
    thread.start()
    return thread, got


def filling(node: NodeProcess) -> int:
    page = node.get("/metrics").body.decode()
    return int(float(page.partition("\nsimpul_cache_fill_waiters ")[2].partition("\n")[0]))


def test_one_caller_fills_and_the_others_get_what_it_made(node: NodeProcess, name: NewName) -> None:
    key = name()
    first = get(node, key, fill_ms=30_000)
    assert set(first) == {"value", "found", "fill_token"}
    waiting = [in_background(lambda: get(node, key, fill_ms=30_000)) for _ in range(5)]
    wait_until(lambda: filling(node) == 5, "five to wait")
    done = put(node, key, "made", fill_token=first["fill_token"])
    assert done["ok"] is True
    for thread, got in waiting:
        thread.join()
        assert (got[0]["value"], got[0]["version"]) == ("made", done["version"])
    assert filling(node) == 0


def test_when_the_filler_does_not_come_back_a_waiter_becomes_it(node: NodeProcess, name: NewName) -> None:
    key = name()
    first = get(node, key, fill_ms=200)
    second = get(node, key, fill_ms=30_000)
    assert second["fill_token"] != first["fill_token"]
    late = node.post("/cache/put", {"key": key, "value": 1, "fill_token": first["fill_token"]})
    assert (late.status, late.json["code"], late.json["ok"]) == (412, "fill_superseded", False)
    assert put(node, key, 2, fill_token=second["fill_token"])["ok"] is True


def test_who_does_not_wait_is_told_that_somebody_fills(node: NodeProcess, name: NewName) -> None:
    key = name()
    get(node, key, fill_ms=30_000)
    told = get(node, key, fill_ms=30_000, wait_ms=0)
    assert (told["found"], 0 < told["filling_ms"] <= 30_000) == (False, True)


def test_an_invalidation_makes_a_late_filler_harmless(node: NodeProcess, name: NewName) -> None:
    key = name()
    token = get(node, key, fill_ms=30_000)["fill_token"]
    node.post("/cache/invalidate", {"key": key})
    assert node.post("/cache/put", {"key": key, "value": "old", "fill_token": token}).status == 412


def test_a_value_that_ended_is_given_while_it_is_made_anew(node: NodeProcess, name: NewName) -> None:
    key = name()
    put(node, key, "old", ttl_ms=150, stale_ms=60_000)
    wait_until(lambda: get(node, key)["found"] is False, "its end")
    first = get(node, key, fill_ms=30_000, stale_ms=60_000)
    assert (first["value"], first["stale"], bool(first["fill_token"])) == ("old", True, True)
    other = get(node, key, fill_ms=30_000, stale_ms=60_000)
    assert (other["value"], other["stale"], "fill_token" in other) == ("old", True, False)
    assert get(node, key, stale_ms=60_000)["value"] == "old"
    assert get(node, key, stale_ms=1)["found"] is False


def test_the_knowledge_that_there_is_none_is_cached(node: NodeProcess, name: NewName) -> None:
    key = name()
    token = get(node, key, fill_ms=30_000)["fill_token"]
    done = node.post("/cache/put", {"key": key, "negative_ttl_ms": 60_000, "fill_token": token})
    assert done.json["ok"] is True
    for _ in range(2):
        assert get(node, key, fill_ms=30_000) == {"value": None, "found": False, "absent": True}
    put(node, key, 1, if_version=0)
    assert get(node, key)["value"] == 1


def test_a_tag_removes_its_values_in_every_partition(node: NodeProcess, name: NewName) -> None:
    tag, keys = name(), [name() for _ in range(30)]
    for key in keys:
        put(node, key, 1, tags=[tag, "other"])
        get(node, key)
    put(node, keys[0], 2)
    assert node.post("/cache/invalidate", {"tag": tag}).json == {"ok": True, "invalidated": 29}
    assert get(node, keys[0])["value"] == 2
    assert not any(get(node, key)["found"] for key in keys[1:])


def test_many_values_are_stored_and_read_in_order(node: NodeProcess, name: NewName) -> None:
    keys = [name() for _ in range(40)]
    items = [{"key": key, "value": at} for at, key in enumerate(keys)]
    done = node.post("/cache/mput", {"items": items}).json
    assert done["ok"] is True

    def read(source: str) -> Any:
        entries = node.post("/cache/mget", {"keys": [*keys, name()]}).json["entries"]
        assert [entry["value"] for entry in entries] == [*range(40), None]
        assert entries[-1] == {"value": None, "found": False}
        return {entry["source"] for entry in entries[:-1]} == {source} and entries

    assert read("redis")
    # A message of the puts that comes while they are read keeps its copy out: the next read has it.
    entries = wait_until(lambda: read("local"), "copies of all")
    assert [one["version"] for one in done["results"]] == [entry["version"] for entry in entries[:-1]]
    again = node.post("/cache/mput", {"items": [{**items[0], "if_version": 0}, items[1]]}).json
    assert (again["ok"], [one["ok"] for one in again["results"]]) == (False, [False, True])


def test_an_mput_repeated_with_its_request_id_stores_once(node: NodeProcess, name: NewName) -> None:
    body = {"items": [{"key": name(), "value": 1}, {"key": name(), "value": 2}], "request_id": name()}
    assert node.post("/cache/mput", body).json == node.post("/cache/mput", body).json
