"""Removal by prefix over HTTP: everything that begins so and was put before, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[NodeProcess], RedisServer]]:
    folder = tmp_path_factory.mktemp("prefix")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as nodes:
        yield nodes, server


def put(node: NodeProcess, *keys: str, **more: Any) -> None:
    for key in keys:
        assert node.post("/cache/put", {"key": key, "value": key, **more}).status == 200


def found(node: NodeProcess, *keys: str) -> list[str]:
    """Keys with a value, wherever it is read."""
    entries = node.post("/cache/mget", {"keys": list(keys)}).json["entries"]
    return [key for key, entry in zip(keys, entries, strict=True) if entry["found"]]


def remove(node: NodeProcess, prefix: str, **more: Any) -> Any:
    answer = node.post("/cache/invalidate", {"prefix": prefix, **more})
    assert answer.status == 200, answer
    return answer.json


def test_keys_put_before_anybody_removed_by_prefix_are_found(pair: tuple[list[NodeProcess], RedisServer]) -> None:
    (one, two, three), server = pair
    keys = [f"user:7:{number}" for number in range(97)]
    put(one, *keys, "user:70", "users", "other")
    assert found(two, *keys) == keys
    with server.client() as client:
        assert not client.keys("*}:names"), "a cluster that never removes by prefix keeps no names"
    assert remove(three, "user:7:") == {"ok": True, "invalidated": 97}
    assert found(three, *keys, "user:70", "users", "other") == ["user:70", "users", "other"]
    wait_until(lambda: not found(two, *keys), "the near cache of another node to hear of it")
    assert remove(one, "user:7:") == {"ok": True, "invalidated": 0}


def test_keys_put_since_are_found_whichever_way_they_came(pair: tuple[list[NodeProcess], RedisServer]) -> None:
    (one, two, three), _ = pair
    remove(one, "none:")
    put(two, "new:1")
    put(three, "new:2", tags=["t"])
    assert one.post("/cache/mput", {"items": [{"key": "new:3", "value": 1}, {"key": "new:4", "value": 1}]}).json["ok"]
    token = two.post("/cache/get", {"key": "new:5", "fill_ms": 60_000}).json["fill_token"]
    put(two, "new:6", request_id="once")
    put(two, "new:6", request_id="once")
    assert remove(two, "new:") == {"ok": True, "invalidated": 5}
    late = two.post("/cache/put", {"key": "new:5", "value": "read before", "fill_token": token})
    assert late.json["code"] == "fill_superseded"
    assert found(one, *(f"new:{number}" for number in range(7))) == []


def test_keys_of_one_partition_are_asked_there_alone(pair: tuple[list[NodeProcess], RedisServer]) -> None:
    (one, two, _), _ = pair
    put(one, "{cart}:1", "{cart}:2", "{cart2}:1")
    assert remove(two, "{cart}")["invalidated"] == 2
    put(one, "{cart}:1")
    assert remove(two, "{ca")["invalidated"] == 2


def test_all_removes_everything(pair: tuple[list[NodeProcess], RedisServer]) -> None:
    (one, two, _), server = pair
    put(one, "a", "bb", "é", "a key of its own")
    assert remove(two, "", all=True)["invalidated"] >= 4
    with server.client() as client:
        assert not client.keys("*}:cache:*")
    put(one, "a", "ab")
    assert remove(two, "a", all=True)["invalidated"] == 2


def test_names_of_values_that_ended_are_swept_while_others_are_written(
    pair: tuple[list[NodeProcess], RedisServer],
) -> None:
    (one, _, _), server = pair
    remove(one, "none:")
    put(one, *(f"{{ends}}:{number}" for number in range(20)), ttl_ms=1)
    with server.client() as client:
        (names,) = (key for key in client.keys("*}:names") if client.zscore(key, "{ends}:0") is not None)

        def swept() -> bool:
            one.post("/cache/mput", {"items": [{"key": f"{{ends}}:more{n}", "value": 1} for n in range(128)]})
            return client.zscore(names, "{ends}:0") is None and client.zcard(names) == 129

        wait_until(swept, "names of values that ended to be forgotten")
    assert remove(one, "{ends}:")["invalidated"] == 128


def test_names_begin_anew_after_redis_lost_them(pair: tuple[list[NodeProcess], RedisServer]) -> None:
    (one, two, _), server = pair
    remove(one, "none:")
    put(one, "again:1", "again:2")
    with server.client() as client:
        client.delete(*client.keys("*}:names"))
    assert remove(two, "again:") == {"ok": True, "invalidated": 2}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prefix": ""}, "prefix"),
        ({"prefix": "ab"}, "prefix"),
        ({"prefix": "é"}, "prefix"),
        ({"prefix": "ab", "all": False}, "prefix"),
        ({"prefix": "a\nb", "all": True}, "prefix"),
        ({"prefix": "x" * 513}, "prefix"),
        ({"prefix": "é" * 257}, "prefix"),
        ({"prefix": 7}, "prefix"),
        ({"prefix": None}, "prefix"),
        ({"prefix": "abc", "all": 1}, "all"),
        ({"prefix": "abc", "key": "k"}, "prefix"),
        ({"prefix": "abc", "tag": "t"}, "prefix"),
        ({"key": "k", "all": True}, "all"),
        ({"all": True}, "prefix"),
    ],
    ids=repr,
)
def test_a_prefix_that_cannot_be_is_refused_and_removes_nothing(
    pair: tuple[list[NodeProcess], RedisServer], body: Any, field: str
) -> None:
    (one, _, _), _ = pair
    put(one, "abc", "k")
    answer = one.post("/cache/invalidate", body)
    assert (answer.status, answer.json["field"]) == (422, field)
    assert found(one, "abc", "k") == ["abc", "k"]
