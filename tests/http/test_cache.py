"""The cache over HTTP: what a client of one node sees."""

from collections.abc import Callable
from typing import Any

from tests.support import NodeProcess, wait_until

NewName = Callable[[], str]


def get(node: NodeProcess, key: str, **more: object) -> Any:
    return node.post("/cache/get", {"key": key, **more}).json


def put(node: NodeProcess, key: str, value: object, **more: object) -> int:
    answer = node.post("/cache/put", {"key": key, "value": value, **more})
    assert answer.status == 200, answer
    return int(answer.json["version"])


def test_a_value_comes_back_with_its_version(node: NodeProcess, name: NewName) -> None:
    key = name()
    version = put(node, key, {"x": 1})
    assert get(node, key, consistency="strong") == {
        "value": {"x": 1},
        "found": True,
        "version": version,
        "source": "redis",
    }


def test_the_second_read_is_local_and_the_same(node: NodeProcess, name: NewName) -> None:
    key = name()
    version = put(node, key, [1, 2])
    assert get(node, key)["source"] == "redis"
    # Not the second for certain: the message of the put may come while the first one reads, and then it keeps nothing.
    again = wait_until(lambda: one if (one := get(node, key))["source"] == "local" else None, "a copy")
    assert again == {"value": [1, 2], "found": True, "version": version, "source": "local"}


def test_an_absent_key_is_null_and_not_found(node: NodeProcess, name: NewName) -> None:
    assert get(node, name()) == {"value": None, "found": False}


def test_a_stored_null_is_found(node: NodeProcess, name: NewName) -> None:
    key = name()
    put(node, key, None)
    assert get(node, key)["found"] is True


def test_versions_rise_and_survive_invalidation(node: NodeProcess, name: NewName) -> None:
    key = name()
    first = put(node, key, 1)
    assert node.post("/cache/invalidate", {"key": key}).json == {"ok": True, "invalidated": 1}
    assert get(node, key)["found"] is False
    assert put(node, key, 2) > first


def test_a_put_is_seen_by_the_next_local_read(node: NodeProcess, name: NewName) -> None:
    key = name()
    for value in range(20):
        put(node, key, value)
        assert get(node, key)["value"] == value
        assert get(node, key)["value"] == value


def test_if_version_stores_only_over_that_version(node: NodeProcess, name: NewName) -> None:
    key = name()
    version = put(node, key, 1, if_version=0)
    exists = node.post("/cache/put", {"key": key, "value": 2, "if_version": 0})
    assert (exists.status, exists.json["code"], exists.json["version"], exists.json["ok"]) == (
        412,
        "version_mismatch",
        version,
        False,
    )
    newer = put(node, key, 2, if_version=version)
    assert node.post("/cache/put", {"key": key, "value": 3, "if_version": version}).json["version"] == newer
    assert get(node, key, consistency="strong")["value"] == 2


def test_a_value_with_a_lifetime_ends_also_in_the_near_cache(node: NodeProcess, name: NewName) -> None:
    key = name()
    put(node, key, 1, ttl_ms=300)
    assert get(node, key)["found"] is True
    wait_until(lambda: get(node, key)["found"] is False, "the lifetime to end")


def test_several_keys_are_invalidated_in_one_request(node: NodeProcess, name: NewName) -> None:
    keys = [name() for _ in range(50)]
    for key in keys:
        put(node, key, 1)
        get(node, key)
    reply = node.post("/cache/invalidate", {"keys": [*keys, name()]}).json
    assert reply == {"ok": True, "invalidated": 50}
    assert not any(get(node, key)["found"] for key in keys)


def test_a_retried_put_keeps_its_version(node: NodeProcess, name: NewName) -> None:
    key, request_id = name(), name()
    version = put(node, key, 1, request_id=request_id)
    later = put(node, key, 2)
    assert put(node, key, 1, request_id=request_id) == version
    assert get(node, key, consistency="strong") == {"value": 2, "found": True, "version": later, "source": "redis"}


def test_a_value_comes_back_byte_for_byte(node: NodeProcess, name: NewName) -> None:
    key = name().encode()
    value = b'{"empty": [] ,"n":123456789012345678901234567890,"f":1.10,"u":"\\u00e9"}'
    node.post("/cache/put", b'{"key":"%s","value":%s}' % (key, value))
    for _ in range(2):
        assert b'{"value":' + value + b"," in node.post("/cache/get", b'{"key":"%s"}' % key).body
