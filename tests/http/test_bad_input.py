"""Whatever is sent, the answer is a 4xx problem that names what is wrong, and nothing is changed."""

from collections.abc import Iterator
from typing import Any

import pytest

from service import limits
from service.keys import PARTITIONS
from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until

GOOD: dict[str, dict[str, Any]] = {
    "/lock/acquire": {"resource": "r", "owner": "o", "timeout": 0},
    "/lock/release": {"resource": "r", "owner": "o"},
    "/lock/renew": {"resource": "r", "owner": "o", "token": 1},
    "/lock/upgrade": {"resource": "r", "owner": "o", "token": 1, "timeout": 0},
    "/lock/downgrade": {"resource": "r", "owner": "o", "token": 1},
    "/queue/publish": {"topic": "t", "data": 1},
    "/queue/consume": {"topic": "t", "consumer": "c"},
    "/queue/ack": {"topic": "t", "receipt": "1.1.5.m"},
    "/queue/nack": {"topic": "t", "receipt": "1.1.5.m"},
    "/queue/extend": {"topic": "t", "receipt": "1.1.5.m", "visibility_ms": 1000},
    "/queue/bury": {"topic": "t", "receipt": "1.1.5.m"},
    "/queue/left": {"topic": "t", "receipt": "1.1.5.m"},
    "/queue/settings": {"topic": "t", "max_deliveries": 3},
    "/queue/schedule": {"topic": "t", "name": "s", "every_ms": 60_000, "data": 1},
    "/queue/unschedule": {"topic": "t", "name": "s"},
    "/queue/pause": {"topic": "t", "consume": True},
    "/queue/peek": {"topic": "t"},
    "/queue/redrive": {"topic": "t"},
    "/queue/kick": {"topic": "t"},
    "/queue/purge": {"topic": "t", "state": "dead"},
    "/queue/subscribe": {"topic": "t", "subscription": "s"},
    "/queue/unsubscribe": {"topic": "t", "subscription": "s"},
    "/queue/delete": {"topic": "t"},
    "/cache/put": {"key": "k", "value": 1},
    "/cache/get": {"key": "k"},
    "/cache/invalidate": {"key": "k"},
    "/cache/mput": {"items": [{"key": "k", "value": 1}]},
    "/cache/mget": {"keys": ["k"]},
    "/atomic": {"operations": [{"op": "cache.put", "key": "k", "value": 1}]},
}
REQUIRED = {
    "/lock/acquire": ("resource", "owner"),
    "/lock/release": ("resource", "owner"),
    "/lock/renew": ("resource", "owner", "token"),
    "/lock/upgrade": ("resource", "owner", "token"),
    "/lock/downgrade": ("resource", "owner", "token"),
    "/queue/publish": ("data",),
    "/queue/ack": ("receipt",),
    "/queue/nack": ("receipt",),
    "/queue/extend": ("receipt", "visibility_ms"),
    "/queue/bury": ("receipt",),
    "/queue/left": ("receipt",),
    "/queue/schedule": ("name", "data"),
    "/queue/unschedule": ("name",),
    "/queue/purge": ("state",),
    "/queue/subscribe": ("topic", "subscription"),
    "/queue/unsubscribe": ("topic", "subscription"),
    "/queue/delete": ("topic",),
    "/cache/put": ("key", "value"),
    "/cache/get": ("key",),
    "/cache/invalidate": ("key",),
    "/cache/mput": ("items",),
    "/cache/mget": ("keys",),
    "/atomic": ("operations",),
}
NAMES = {
    "/lock/acquire": ("resource", "owner", "request_id"),
    "/lock/release": ("resource", "owner", "request_id"),
    "/lock/renew": ("resource", "owner", "request_id"),
    "/lock/upgrade": ("resource", "owner", "request_id"),
    "/lock/downgrade": ("resource", "owner", "request_id"),
    "/queue/publish": ("topic", "id", "key", "request_id"),
    "/queue/consume": ("topic", "subscription", "consumer", "request_id"),
    "/queue/ack": ("topic", "subscription", "request_id"),
    "/queue/nack": ("topic", "subscription", "request_id"),
    "/queue/extend": ("topic", "subscription", "request_id"),
    "/queue/bury": ("topic", "subscription", "reason", "request_id"),
    "/queue/left": (
        "topic",
        "subscription",
    ),
    "/queue/settings": ("topic", "subscription", "dead_letter_topic", "request_id"),
    "/queue/pause": ("topic", "subscription", "request_id"),
    "/queue/peek": (
        "topic",
        "subscription",
    ),
    "/queue/redrive": ("topic", "subscription", "to", "request_id"),
    "/queue/kick": ("topic", "subscription", "request_id"),
    "/queue/purge": ("topic", "subscription", "request_id"),
    "/queue/subscribe": ("topic", "subscription", "request_id"),
    "/queue/unsubscribe": ("topic", "subscription", "request_id"),
    "/queue/schedule": ("topic", "name", "time_zone", "key", "request_id"),
    "/queue/unschedule": ("topic", "name", "request_id"),
    "/queue/delete": ("topic",),
    "/cache/put": ("key", "request_id"),
    "/cache/get": ("key",),
    "/cache/invalidate": ("key", "request_id"),
    "/cache/mput": ("request_id",),
    "/cache/mget": (),
    "/atomic": ("request_id",),
}
NUMBERS = [
    ("/lock/acquire", "ttl_ms", limits.LEASE_MS_MIN - 1, limits.LEASE_MS_MAX + 1),
    ("/lock/acquire", "timeout", -0.001, limits.LOCK_WAIT_S_MAX + 1),
    ("/lock/acquire", "limit", 0, limits.LOCK_LIMIT_MAX + 1),
    ("/lock/acquire", "permits", 0, limits.LOCK_LIMIT_MAX + 1),
    ("/lock/acquire", "max_hold_ms", limits.LEASE_MS_MIN - 1, limits.LOCK_HOLD_MS_MAX + 1),
    ("/lock/release", "token", 0, limits.INTEGER_MAX + 1),
    ("/lock/renew", "token", 0, limits.INTEGER_MAX + 1),
    ("/lock/upgrade", "token", 0, limits.INTEGER_MAX + 1),
    ("/lock/upgrade", "ttl_ms", limits.LEASE_MS_MIN - 1, limits.LEASE_MS_MAX + 1),
    ("/lock/upgrade", "timeout", -0.001, limits.LOCK_WAIT_S_MAX + 1),
    ("/lock/downgrade", "token", 0, limits.INTEGER_MAX + 1),
    ("/lock/renew", "ttl_ms", limits.LEASE_MS_MIN - 1, limits.LEASE_MS_MAX + 1),
    ("/queue/publish", "delay_ms", -1, limits.DELAY_MS_MAX + 1),
    ("/queue/publish", "priority", -1, limits.PRIORITY_MAX + 1),
    ("/queue/publish", "ttl_ms", 0, limits.MESSAGE_TTL_MS_MAX + 1),
    ("/queue/consume", "wait_ms", -1, limits.CONSUME_WAIT_MS_MAX + 1),
    ("/queue/schedule", "every_ms", limits.EVERY_MS_MIN - 1, limits.EVERY_MS_MAX + 1),
    ("/queue/schedule", "priority", -1, limits.PRIORITY_MAX + 1),
    ("/queue/settings", "max_deliveries", 0, limits.MAX_DELIVERIES_MAX + 1),
    ("/queue/settings", "max_length", 0, limits.TOPIC_LENGTH_MAX + 1),
    ("/queue/settings", "backoff_ms", 0, limits.DELAY_MS_MAX + 1),
    ("/queue/settings", "backoff_jitter", -1, 101),
    ("/queue/settings", "retention_ms", 999, limits.RETENTION_MS_MAX + 1),
    ("/queue/settings", "dedup_ms", 0, limits.DEDUP_MS_MAX + 1),
    ("/queue/settings", "concurrency", 0, limits.CONCURRENCY_MAX + 1),
    ("/queue/settings", "key_concurrency", 0, limits.KEY_CONCURRENCY_MAX + 1),
    ("/queue/settings", "rate_per_s", 0, limits.RATE_PER_S_MAX + 1),
    ("/queue/peek", "offset", -1, limits.TOPIC_LENGTH_MAX + 1),
    ("/queue/peek", "max", 0, limits.PEEK_MAX + 1),
    ("/queue/redrive", "max", 0, limits.QUEUE_MOVE_MAX + 1),
    ("/queue/kick", "max", 0, limits.QUEUE_MOVE_MAX + 1),
    ("/queue/consume", "max", 0, limits.CONSUME_BATCH_MAX + 1),
    ("/queue/consume", "visibility_ms", limits.VISIBILITY_MS_MIN - 1, limits.VISIBILITY_MS_MAX + 1),
    ("/queue/nack", "delay_ms", -1, limits.DELAY_MS_MAX + 1),
    ("/queue/extend", "visibility_ms", limits.VISIBILITY_MS_MIN - 1, limits.VISIBILITY_MS_MAX + 1),
    ("/cache/put", "ttl_ms", 0, limits.CACHE_TTL_MS_MAX + 1),
    ("/cache/put", "if_version", -1, limits.INTEGER_MAX + 1),
    ("/cache/put", "stale_ms", 0, limits.CACHE_TTL_MS_MAX + 1),
    ("/cache/put", "negative_ttl_ms", 0, limits.CACHE_TTL_MS_MAX + 1),
    ("/cache/get", "min_version", 0, limits.INTEGER_MAX + 1),
    ("/cache/get", "stale_ms", 0, limits.CACHE_TTL_MS_MAX + 1),
    ("/cache/get", "fill_ms", limits.FILL_MS_MIN - 1, limits.FILL_MS_MAX + 1),
    ("/cache/get", "wait_ms", -1, limits.FILL_MS_MAX + 1),
]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, RedisServer]]:
    """A node whose data nothing else changes, so that "nothing was changed" can be seen in Redis."""
    folder = tmp_path_factory.mktemp("bad-input")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=1) as nodes:
        with server.client() as client:
            wait_until(lambda: len(client.keys("*:duty")) == PARTITIONS, "all duties to be taken up")
        yield nodes[0], server


def refused(quiet: tuple[NodeProcess, RedisServer], path: str, body: Any, **headers: str) -> Any:
    """Send it, and insist on a complete 4xx problem and an untouched keyspace."""
    node, server = quiet
    with server.client() as client:
        before = client.info("stats")["total_commands_processed"]
        keys_before = sorted(client.keys("*"))
        answer = node.post(path, body, **headers)
        keys_after = sorted(client.keys("*"))
        assert keys_after == keys_before
        assert before is not None
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json
    assert {"type", "title", "status", "code", "detail", "action"} <= set(document)
    assert document["status"] == answer.status
    assert node.get(document["type"]).json["code"] == document["code"]
    return document


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize(
    "body",
    [b"", b"   ", b"{", b"nonsense", b"{]", b"NaN", b"\xff\xfe", b"\x00", b"'single'"],
    ids=repr,
)
def test_what_is_not_json_is_400(quiet: tuple[NodeProcess, RedisServer], path: str, body: bytes) -> None:
    document = refused(quiet, path, body)
    assert document["code"] == "body_not_json"
    assert document["reason"]


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"true"], ids=repr)
def test_json_that_is_no_object_is_422(quiet: tuple[NodeProcess, RedisServer], path: str, body: bytes) -> None:
    document = refused(quiet, path, body)
    assert (document["status"], document["field"]) == (422, "body")


@pytest.mark.parametrize("path", GOOD)
def test_an_unknown_field_is_named(quiet: tuple[NodeProcess, RedisServer], path: str) -> None:
    document = refused(quiet, path, {**GOOD[path], "colour": "red"})
    assert (document["code"], document["field"]) == ("field_unknown", "colour")


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in REQUIRED.items() for field in fields])
def test_an_absent_field_is_named(quiet: tuple[NodeProcess, RedisServer], path: str, field: str) -> None:
    body = {name: value for name, value in GOOD[path].items() if name != field}
    document = refused(quiet, path, body)
    assert (document["code"], document["field"]) == ("field_missing", field)


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in NAMES.items() for field in fields])
@pytest.mark.parametrize(
    "value",
    ["", "a\x00b", "a\nb", "\x7f", "\x85", "x" * 513, "ö" * 257, 1, True, [], {}, 1.5],
    ids=lambda value: repr(value)[:12],
)
def test_a_bad_name_is_refused_and_its_field_named(
    quiet: tuple[NodeProcess, RedisServer], path: str, field: str, value: Any
) -> None:
    document = refused(quiet, path, {**GOOD[path], field: value})
    assert (document["code"], document["field"]) == ("field_invalid", field)


@pytest.mark.parametrize("path", [path for path, fields in NAMES.items() if fields])
def test_half_a_surrogate_pair_is_refused(quiet: tuple[NodeProcess, RedisServer], path: str) -> None:
    field = NAMES[path][0]
    rest = b"".join(b',"%s":"o"' % name.encode() for name in NAMES[path][1:2])
    assert refused(quiet, path, b'{"%s":"\\ud800"%s}' % (field.encode(), rest))["status"] == 400


@pytest.mark.parametrize(("path", "field", "low", "high"), NUMBERS)
def test_a_number_out_of_range_is_refused_and_its_field_named(
    quiet: tuple[NodeProcess, RedisServer], path: str, field: str, low: float, high: float
) -> None:
    values: tuple[Any, ...] = (
        low,
        high,
        -(2**63),
        2**64,
        10**400,
        -1,
        "1",
        None if field == "visibility_ms" else "",
        [],
        {},
    )
    for value in values:
        document = refused(quiet, path, {**GOOD[path], field: value})
        assert (document["code"], document["field"]) == ("field_invalid", field), value


@pytest.mark.parametrize("text", [b"1e999", b"-1e999", b"-5", b"-0.5"])
def test_an_infinite_or_negative_time_is_refused(quiet: tuple[NodeProcess, RedisServer], text: bytes) -> None:
    document = refused(quiet, "/lock/acquire", b'{"resource":"r","owner":"o","timeout":%s}' % text)
    assert (document["code"], document["field"]) == ("field_invalid", "timeout")


PAYLOADS = [("/queue/publish", b'{"topic":"t","data":%s}', "data"), ("/cache/put", b'{"key":"k","value":%s}', "value")]


@pytest.mark.parametrize(("path", "body", "field"), PAYLOADS)
def test_a_huge_payload_is_413_and_named(
    quiet: tuple[NodeProcess, RedisServer], path: str, body: bytes, field: str
) -> None:
    payload = b'"' + b"x" * limits.PAYLOAD_BYTES_MAX + b'"'
    document = refused(quiet, path, body % payload)
    assert (document["status"], document["field"]) == (413, field)
    assert document["limit_bytes"] == limits.PAYLOAD_BYTES_MAX


@pytest.mark.parametrize(("path", "body", "field"), PAYLOADS)
@pytest.mark.parametrize("depth", [limits.PAYLOAD_DEPTH_MAX + 1, 1_000, 100_000])
def test_deep_nesting_is_refused_and_named(
    quiet: tuple[NodeProcess, RedisServer], path: str, body: bytes, field: str, depth: int
) -> None:
    document = refused(quiet, path, body % (b"[" * depth + b"]" * depth))
    assert (document["status"], document["field"]) == (422, field)


@pytest.mark.parametrize(("path", "body", "field"), PAYLOADS)
@pytest.mark.parametrize("payload", [b'"\xff"', b'"\\ud800"', b'{"a":"\\udc00"}', b"01", b"[1,]"], ids=repr)
def test_a_payload_that_some_reader_cannot_read_is_refused(
    quiet: tuple[NodeProcess, RedisServer], path: str, body: bytes, field: str, payload: bytes
) -> None:
    document = refused(quiet, path, body % payload)
    assert document["status"] in (400, 422)
    assert document.get("field", field) == field


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"mode": "semaphore"}, "limit"),
        ({"mode": "exclusive", "limit": 2}, "limit"),
        ({"mode": "shared", "limit": 2}, "limit"),
        ({"permits": 1}, "permits"),
        ({"mode": "shared", "permits": 1}, "permits"),
        ({"limit": 2, "permits": 3}, "permits"),
        ({"ttl_ms": 1_000, "max_hold_ms": 999}, "max_hold_ms"),
        ({"max_hold_ms": 29_999}, "max_hold_ms"),
        ({"mode": "upgrade"}, "mode"),
        ({"mode": None}, "mode"),
        ({"reentrant": 1}, "reentrant"),
        ({"reentrant": "true"}, "reentrant"),
        ({"limit": True}, "limit"),
        ({"metadata": "x" * limits.LOCK_METADATA_BYTES_MAX}, "metadata"),
    ],
    ids=repr,
)
def test_what_no_lock_can_be_is_refused_and_its_field_named(
    quiet: tuple[NodeProcess, RedisServer], more: dict[str, Any], field: str
) -> None:
    document = refused(quiet, "/lock/acquire", {**GOOD["/lock/acquire"], **more})
    assert document["field"] == field
    assert document["status"] == (413 if field == "metadata" else 422)


@pytest.mark.parametrize("payload", [b'"\xff"', b'"\\ud800"', b"01", b"[1,]", b"[" * 200 + b"]" * 200], ids=repr)
def test_metadata_that_some_reader_cannot_read_is_refused(
    quiet: tuple[NodeProcess, RedisServer], payload: bytes
) -> None:
    document = refused(quiet, "/lock/acquire", b'{"resource":"r","owner":"o","metadata":%s}' % payload)
    assert document["status"] in (400, 422)
    assert document.get("field", "metadata") == "metadata"


def test_all_is_a_yes_or_a_no(quiet: tuple[NodeProcess, RedisServer]) -> None:
    assert refused(quiet, "/lock/release", {**GOOD["/lock/release"], "all": 1})["field"] == "all"


def test_a_body_over_the_limit_is_413(quiet: tuple[NodeProcess, RedisServer]) -> None:
    document = refused(quiet, "/cache/put", b" " * (limits.BODY_BYTES_MAX + 1))
    assert document["limit_bytes"] == limits.BODY_BYTES_MAX


def test_a_bad_item_of_a_batch_is_named_by_its_place_and_nothing_is_published(
    quiet: tuple[NodeProcess, RedisServer],
) -> None:
    document = refused(quiet, "/queue/publish", {"messages": [{"data": 1}, {"data": 2, "id": "a\nb"}]})
    assert document["field"] == "messages[1].id"
    assert refused(quiet, "/queue/publish", {"messages": []})["field"] == "messages"
    assert refused(quiet, "/queue/publish", {"messages": [{"data": 1}] * 1001})["field"] == "messages"
    assert refused(quiet, "/queue/publish", {"messages": [{"data": 1}], "data": 2})["field"] == "messages"


def test_one_id_twice_in_a_batch_is_refused_and_nothing_is_published(quiet: tuple[NodeProcess, RedisServer]) -> None:
    body = {"messages": [{"data": 1, "id": "a"}, {"data": 2}, {"data": 3, "id": "a"}]}
    assert refused(quiet, "/queue/publish", body)["field"] == "messages[2].id"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"a": 1}, 422),
        (["a"], 422),
        ({f"h{number}": "" for number in range(limits.HEADERS_MAX + 1)}, 422),
        ({"a": "x" * limits.HEADERS_BYTES_MAX}, 413),
        ({"a": "\ud800"}, 400),
    ],
    ids=["number", "list", "many", "long", "half a pair"],
)
def test_headers_that_cannot_be_kept_are_refused(
    quiet: tuple[NodeProcess, RedisServer], headers: object, status: int
) -> None:
    document = refused(quiet, "/queue/publish", {"topic": "t", "data": 1, "headers": headers})
    assert document["status"] == status
    assert str(document.get("field", "headers")).startswith("headers")


def test_what_does_not_fit_together_is_refused(quiet: tuple[NodeProcess, RedisServer]) -> None:
    for path, body, field in (
        ("/queue/publish", {"messages": [{"data": 1}], "priority": 1}, "messages"),
        ("/queue/ack", {"receipt": "1.1.5.m", "max": 2}, "then"),
        ("/queue/ack", {"receipt": "1.1.5.m", "then": "sleep"}, "then"),
        ("/queue/settings", {"topic": "t"}, "a setting"),
        ("/queue/settings", {"topic": "t", "overflow": "explode"}, "overflow"),
        ("/queue/settings", {"topic": "t", "dead_letter_topic": "t"}, "dead_letter_topic"),
        ("/queue/pause", {"topic": "t"}, "publish"),
        ("/queue/peek", {"topic": "t", "state": "asleep"}, "state"),
        ("/queue/redrive", {"topic": "t", "to": "t"}, "to"),
        ("/queue/redrive", {"topic": "t", "to": "u", "ids": ["a"]}, "ids"),
        ("/queue/redrive", {"topic": "t", "ids": ["a", "\n"]}, "ids[1]"),
        ("/queue/purge", {"topic": "t"}, "state"),
        ("/queue/purge", {"topic": "t", "state": "dead", "ids": ["a"]}, "ids"),
        ("/queue/purge", {"topic": "t", "ids": []}, "ids"),
    ):
        assert refused(quiet, path, body)["field"] == field, body


@pytest.mark.parametrize("receipt", ["x", "1.1.5", "0.1.5.m", "1.0.5.m", "1.x.5.m", "." * 40, "1.1.5." + "m" * 600])
def test_what_consume_never_returned_is_no_receipt(quiet: tuple[NodeProcess, RedisServer], receipt: str) -> None:
    for path in ("/queue/ack", "/queue/nack", "/queue/extend", "/queue/bury", "/queue/left"):
        assert refused(quiet, path, {**GOOD[path], "receipt": receipt})["field"] == "receipt"


def test_ways_to_name_a_message_or_key_do_not_mix(quiet: tuple[NodeProcess, RedisServer]) -> None:
    assert refused(quiet, "/queue/ack", {"id": "m", "receipt": "1.1.5.m"})["field"] == "receipt"
    assert refused(quiet, "/cache/invalidate", {"key": "k", "keys": ["k"]})["field"] == "keys"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/cache/put", {"key": "k", "value": 1, "tags": []}, "tags"),
        ("/cache/put", {"key": "k", "value": 1, "tags": ["t"] * (limits.TAGS_MAX + 1)}, "tags"),
        ("/cache/put", {"key": "k", "value": 1, "tags": ["t", "a\nb"]}, "tags[1]"),
        ("/cache/put", {"key": "k", "value": 1, "stale_ms": 5}, "stale_ms"),
        ("/cache/put", {"key": "k", "value": 1, "negative_ttl_ms": 5}, "value"),
        ("/cache/put", {"key": "k", "negative_ttl_ms": 5, "tags": ["t"]}, "tags"),
        ("/cache/put", {"key": "k", "value": 1, "fill_token": ""}, "fill_token"),
        ("/cache/put", {"key": "k", "value": 1, "fill_token": "x" * 65}, "fill_token"),
        ("/cache/invalidate", {"key": "k", "tag": "t"}, "tag"),
        ("/cache/invalidate", {"tag": "a\nb"}, "tag"),
        ("/cache/mget", {"keys": []}, "keys"),
        ("/cache/mget", {"keys": ["k"] * (limits.MGET_MAX + 1)}, "keys"),
        ("/cache/mget", {"keys": ["k", "a\nb"]}, "keys[1]"),
        ("/cache/mput", {"items": []}, "items"),
        ("/cache/mput", {"items": [{"key": "k", "value": 1}] * 2}, "items[1].key"),
        ("/cache/mput", {"items": [{"key": "k"}]}, "items[0].value"),
    ],
)
def test_what_the_cache_cannot_do_is_refused_and_named(
    quiet: tuple[NodeProcess, RedisServer], path: str, body: Any, field: str
) -> None:
    assert refused(quiet, path, body)["field"].replace("[...]", "[0]") == field


SEVERAL: dict[str, dict[str, Any]] = {
    "/lock/acquire": {"resources": ["{b}1", "{b}2"], "owner": "o", "timeout": 0},
    "/lock/release": {"resources": ["{b}1", "{b}2"], "owner": "o"},
    "/lock/renew": {"resources": ["{b}1", "{b}2"], "owner": "o", "tokens": {"{b}1": 1, "{b}2": 2}},
}
each_several = pytest.mark.parametrize("path", SEVERAL)


@each_several
@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "resources"),
        ("a", "resources"),
        ({}, "resources"),
        ([], "resources"),
        (["a"], "resources"),
        ([f"{{b}}{number}" for number in range(limits.LOCK_RESOURCES_MAX + 1)], "resources"),
        ([f"n{number}" for number in range(limits.LOCK_RESOURCES_MAX)], "resources"),
        (["a", "b", "a"], "resources[2]"),
        (["a", 1], "resources[1]"),
        (["a", ""], "resources[1]"),
        (["a", "b\n"], "resources[1]"),
        (["a", "ö" * 257], "resources[1]"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_bad_lists_of_locks_are_refused_and_named(
    quiet: tuple[NodeProcess, RedisServer], path: str, value: Any, field: str
) -> None:
    document = refused(quiet, path, {**SEVERAL[path], "resources": value})
    assert (document["code"], document["field"]) == ("field_invalid", field)


@each_several
def test_one_lock_and_several_are_not_asked_for_together(quiet: tuple[NodeProcess, RedisServer], path: str) -> None:
    document = refused(quiet, path, {**SEVERAL[path], "resource": "r"})
    assert (document["status"], document["code"], document["field"]) == (422, "field_invalid", "resources")


@each_several
def test_the_fields_of_several_are_checked_like_those_of_one(quiet: tuple[NodeProcess, RedisServer], path: str) -> None:
    body = SEVERAL[path]
    unknown = refused(quiet, path, {**body, "colour": "red"})
    assert (unknown["code"], unknown["field"]) == ("field_unknown", "colour")
    assert refused(quiet, path, {**body, "token": 1})["field"] == "token", "that of one lock"
    assert refused(quiet, path, {name: value for name, value in body.items() if name != "owner"})["field"] == "owner"
    assert refused(quiet, path, {**body, "owner": "a\nb"})["field"] == "owner"
    assert refused(quiet, path, {**body, "request_id": "a\nb"})["field"] == "request_id"
    assert refused(quiet, path, {**body, "request_id": "a"}, Idempotency_Key="b")["field"] == "request_id"


@pytest.mark.parametrize("field", ["ttl_ms", "timeout", "mode"])
@pytest.mark.parametrize("value", [-1, 10**9, "x", [], {}])
def test_numbers_of_several_are_bounded_like_those_of_one(
    quiet: tuple[NodeProcess, RedisServer], field: str, value: Any
) -> None:
    document = refused(quiet, "/lock/acquire", {**SEVERAL["/lock/acquire"], field: value})
    assert (document["code"], document["field"]) == ("field_invalid", field)


@pytest.mark.parametrize("path", ["/lock/release", "/lock/renew"])
@pytest.mark.parametrize(
    "tokens",
    [[], 1, {"{b}1": 1}, {"{b}1": 1, "{b}2": 2, "c": 3}, {"{b}1": 1, "{b}2": 0}, {"{b}1": 1, "{b}2": 2**53}],
    ids=repr,
)
def test_tokens_that_are_not_one_for_each_lock_are_refused(
    quiet: tuple[NodeProcess, RedisServer], path: str, tokens: Any
) -> None:
    document = refused(quiet, path, {**SEVERAL[path], "tokens": tokens})
    assert document["code"] == "field_invalid"
    assert document["field"].startswith("tokens")


def test_the_idempotency_key_header_is_checked_like_a_request_id(quiet: tuple[NodeProcess, RedisServer]) -> None:
    body = GOOD["/cache/put"]
    assert refused(quiet, "/cache/put", {**body, "request_id": "a"}, Idempotency_Key="b")["field"] == "request_id"
    assert refused(quiet, "/cache/put", body, Idempotency_Key="x" * 600)["field"] == "request_id"


def test_a_wrong_path_or_method_is_a_problem_too(quiet: tuple[NodeProcess, RedisServer]) -> None:
    node, _ = quiet
    assert node.get("/nowhere").json["code"] == "not_found"
    assert node.get("/problems/nothing").json["code"] == "not_found"
    wrong = node.post("/health", {})
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
    assert node.get("/lock/").json["field"] == "resource"


@pytest.mark.parametrize(
    ("second", "field"),
    [
        ({"op": "cache.put", "key": "{two}", "value": 1}, "operations[1].key"),
        ({"op": "cache.invalidate", "key": "{one}"}, "operations[1].key"),
        ({"op": "queue.ack", "topic": "{one}", "receipt": "m"}, "operations[1].receipt"),
        ({"op": "queue.publish", "topic": "{one}", "data": 1, "colour": "red"}, "operations[1].colour"),
    ],
    ids=repr,
)
def test_one_bad_operation_keeps_the_whole_group_from_being_done(
    quiet: tuple[NodeProcess, RedisServer], second: dict[str, Any], field: str
) -> None:
    first = {"op": "cache.put", "key": "{one}", "value": 1}
    assert refused(quiet, "/atomic", {"operations": [first, second]})["field"] == field
