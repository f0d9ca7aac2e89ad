"""Groups of operations over HTTP: all or nothing, and a refusal that says why and which."""

from collections.abc import Callable
from typing import Any

import pytest

from service import limits
from tests.support import Answer, NodeProcess

NewName = Callable[[], str]


def apply(node: NodeProcess, *operations: dict[str, Any], **more: Any) -> Answer:
    return node.post("/atomic", {"operations": list(operations), **more})


def delivery(node: NodeProcess, topic: str, data: Any = 1) -> Any:
    assert node.post("/queue/publish", {"topic": topic, "data": data}).status == 200
    return node.post("/queue/consume", {"topic": topic}).json


def group_on(node: NodeProcess, tag: str) -> list[dict[str, Any]]:
    """One operation of each kind against which nothing stands."""
    held = node.post("/lock/acquire", {"resource": tag, "owner": "w"}).json
    node.post("/cache/put", {"key": f"{tag}:draft", "value": 0})
    return [
        {"op": "lock.check", "resource": tag, "token": held["token"], "owner": "w"},
        {"op": "queue.ack", "topic": f"{tag}:in", "receipt": delivery(node, f"{tag}:in")["receipt"]},
        {"op": "queue.publish", "topic": f"{tag}:out", "data": {"n": []}, "priority": 3, "headers": {"ä": "ö"}},
        {"op": "cache.put", "key": f"{tag}:state", "value": "paid", "ttl_ms": 60_000, "tags": ["orders"]},
        {"op": "cache.invalidate", "key": f"{tag}:draft"},
    ]


@pytest.fixture
def tag(name: NewName) -> str:
    return f"{{{name()}}}"


def test_all_of_a_group_is_done_and_each_result_told_in_order(node: NodeProcess, tag: str) -> None:
    done = apply(node, *group_on(node, tag)).json
    held, acked, published, put, removed = done["results"]
    assert (done["ok"], held, acked) == (
        True,
        {"op": "lock.check", "held": True},
        {"op": "queue.ack", "ack": True},
    )
    assert removed == {"op": "cache.invalidate", "invalidated": 1}
    assert node.get(f"/queue/{tag}:in").json["inflight"] == 0
    got = node.post("/queue/consume", {"topic": f"{tag}:out"}).json
    assert (got["id"], got["message"]["data"]) == (published["id"], {"n": []})
    assert (got["message"]["priority"], got["message"]["headers"]) == (3, {"ä": "ö"})
    found = node.post("/cache/get", {"key": f"{tag}:state", "consistency": "strong"}).json
    assert (found["value"], found["version"]) == ("paid", put["version"])
    assert node.post("/cache/get", {"key": f"{tag}:draft", "consistency": "strong"}).json["found"] is False


def test_the_nodes_own_readers_see_the_group_with_its_answer(node: NodeProcess, tag: str) -> None:
    for key in ("a", "b"):
        node.post("/cache/put", {"key": f"{tag}:{key}", "value": 1})
        for _ in range(2):
            node.post("/cache/get", {"key": f"{tag}:{key}"})
    put: dict[str, Any] = {"op": "cache.put", "key": f"{tag}:a", "value": 2}
    assert apply(node, put, {"op": "cache.invalidate", "key": f"{tag}:b"}).status == 200
    assert node.post("/cache/get", {"key": f"{tag}:a"}).json["value"] == 2
    assert node.post("/cache/get", {"key": f"{tag}:b"}).json["found"] is False


def test_a_refusal_says_which_operation_and_why_as_if_it_had_been_asked_alone(node: NodeProcess, tag: str) -> None:
    stale = delivery(node, f"{tag}:in")
    node.post("/queue/ack", {"topic": f"{tag}:in", "receipt": stale["receipt"]})
    held = node.post("/lock/acquire", {"resource": f"{tag}:shared", "owner": "r", "mode": "shared"}).json
    node.post("/queue/settings", {"topic": f"{tag}:full", "max_length": 1})
    node.post("/queue/publish", {"topic": f"{tag}:full", "data": 1})
    node.post("/queue/pause", {"topic": f"{tag}:paused", "publish": True})
    version = node.post("/cache/put", {"key": f"{tag}:k", "value": 1}).json["version"]
    told = [
        (
            {"op": "lock.check", "resource": tag, "token": 5, "owner": "w"},
            {"code": "lock_lost", "status": 409, "retry": "no", "owner": "w", "token": 5, "resource": tag},
        ),
        (
            {"op": "lock.check", "resource": f"{tag}:shared", "token": held["token"]},
            {"code": "lock_is_shared", "mode": "shared", "owner": None},
        ),
        (
            {"op": "queue.ack", "topic": f"{tag}:in", "receipt": stale["receipt"]},
            {"code": "already_acked", "topic": f"{tag}:in", "id": stale["id"]},
        ),
        (
            {"op": "queue.publish", "topic": f"{tag}:full", "data": 2},
            {"code": "topic_full", "status": 429, "retry": "later", "length": 1},
        ),
        ({"op": "queue.publish", "topic": f"{tag}:paused", "data": 2}, {"code": "topic_paused", "retry": "later"}),
        (
            {"op": "cache.put", "key": f"{tag}:k", "value": 2, "if_version": 1},
            {"code": "version_mismatch", "status": 412, "version": version, "if_version": 1},
        ),
    ]
    for refused, expected in told:
        answer = apply(node, *group_on(node, f"{tag}:more"), refused)
        assert (answer.status, answer.json["code"], answer.json["ok"]) == (409, "operation_refused", False)
        assert (answer.json["index"], answer.json["operation"]) == (5, refused["op"])
        assert answer.json["retry"] == answer.json["refusal"]["retry"]
        assert answer.json["refusal"] == answer.json["refusal"] | expected
        assert answer.json["refusal"]["detail"] in answer.json["detail"]
        assert node.post("/cache/get", {"key": f"{tag}:more:state", "consistency": "strong"}).json["found"] is False
        node.post("/lock/release", {"resource": f"{tag}:more", "owner": "w"})


def test_a_repeat_gets_the_results_of_the_first_time(node: NodeProcess, tag: str) -> None:
    group = group_on(node, tag)
    first = apply(node, *group, request_id="once").json
    assert apply(node, *group, request_id="once").json == first
    assert node.post("/atomic", {"operations": group}, Idempotency_Key="once").json == first
    assert node.get(f"/queue/{tag}:out").json["ready"] == 1
    other = apply(node, *group[2:], request_id="once")
    assert (other.status, other.json["code"]) == (422, "request_id_reused")


def test_a_refused_group_is_judged_anew_with_the_same_request_id(node: NodeProcess, tag: str) -> None:
    group = [
        {"op": "queue.publish", "topic": f"{tag}:t", "data": 1},
        {"op": "cache.put", "key": f"{tag}:k", "value": 1, "if_version": 0},
    ]
    node.post("/cache/put", {"key": f"{tag}:k", "value": 0})
    assert apply(node, *group, request_id="r").json["refusal"]["code"] == "version_mismatch"
    node.post("/cache/invalidate", {"key": f"{tag}:k"})
    assert apply(node, *group, request_id="r").status == 200


def test_an_id_that_is_in_the_topic_is_a_duplicate_and_no_refusal(node: NodeProcess, tag: str) -> None:
    publish = {"op": "queue.publish", "topic": f"{tag}:t", "data": 1, "id": "m"}
    assert apply(node, publish).json["results"] == [{"op": "queue.publish", "id": "m"}]
    done = apply(node, publish, {"op": "cache.put", "key": tag, "value": 1}).json
    assert done["results"][0] == {"op": "queue.publish", "id": "m", "duplicate": True}


def test_payloads_come_back_byte_for_byte(node: NodeProcess, tag: str) -> None:
    payload = '{"a": [] ,"b":{},"n":12345678901234567890.10,"s":"\\u0000\\ud83d\\ude00","e":1E+2}'
    group = (
        f'{{"operations":[{{"op":"queue.publish","topic":"{tag}","data":{payload}}},'
        f'{{"op":"cache.put","key":"{tag}","value":{payload}}}]}}'
    )
    assert node.post("/atomic", group.encode()).status == 200
    assert payload.encode() in node.post("/queue/consume", {"topic": tag}).body
    assert payload.encode() in node.post("/cache/get", {"key": tag, "consistency": "strong"}).body


def test_names_without_braces_share_a_partition_when_they_are_the_same(node: NodeProcess, name: NewName) -> None:
    same = name()
    group = [{"op": "queue.publish", "topic": same, "data": 1}, {"op": "cache.put", "key": same, "value": 1}]
    assert apply(node, *group).status == 200


def refused(answer: Answer, code: str, field: str) -> Any:
    assert (answer.status, answer.json["code"], answer.json["field"]) == (422, code, field), answer.json
    return answer.json


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "b"), ("{x}", "x-y"), ("{x}", "{y}"), ("{x}", "y{}"), ("{orders-38}", "{orders-46}")],
    ids=["no braces", "one without", "two tags", "an empty tag", "two tags in one partition"],
)
@pytest.mark.parametrize("kind", ["resource", "topic", "receipt", "key", "removed"])
def test_names_without_a_common_tag_are_refused_and_it_is_said_how_to_write_them(
    node: NodeProcess, first: str, second: str, kind: str
) -> None:
    of_kind: dict[str, dict[str, Any]] = {
        "resource": {"op": "lock.check", "resource": second, "token": 1},
        "topic": {"op": "queue.publish", "topic": second, "data": 1},
        "receipt": {"op": "queue.ack", "topic": second, "receipt": "1.1.5.m"},
        "key": {"op": "cache.put", "key": second, "value": 1},
        "removed": {"op": "cache.invalidate", "key": second},
    }
    group = [{"op": "queue.publish", "topic": first, "data": 1}, {"op": "cache.put", "key": first, "value": 1}]
    field = {"receipt": "topic", "removed": "key"}.get(kind, kind)
    problem = refused(apply(node, *group, of_kind[kind]), "tag_not_shared", f"operations[2].{field}")
    assert problem["other_field"] == "operations[0].topic"
    assert problem["example"] == f"{{{first.strip('{}')}}}:{second}"
    assert problem["example"] in problem["action"]


def test_two_operations_on_one_thing_are_refused_and_both_are_named(node: NodeProcess, tag: str) -> None:
    publish = {"op": "queue.publish", "topic": tag, "data": 1, "id": "m"}
    put, remove = {"op": "cache.put", "key": tag, "value": 1}, {"op": "cache.invalidate", "key": tag}
    ack = {"op": "queue.ack", "topic": tag, "receipt": "1.1.5.m"}
    check = {"op": "lock.check", "resource": tag, "token": 1}
    for one, other, field in (
        (put, put, "key"),
        (put, remove, "key"),
        (remove, remove, "key"),
        (publish, publish, "id"),
        (ack, publish, "id"),
        (publish, ack, "receipt"),
        (ack, {**ack, "receipt": "1.2.6.m"}, "receipt"),
        (check, {**check, "token": 2}, "resource"),
    ):
        apart: dict[str, Any] = {"op": "queue.publish", "topic": f"{tag}:apart", "data": 1}
        problem = refused(apply(node, one, apart, other), "field_invalid", f"operations[2].{field}")
        assert "operations[0]" in problem["reason"]
    other_topic = {**publish, "topic": f"{tag}:other"}
    assert apply(node, publish, other_topic, put, {"op": "queue.publish", "topic": tag, "data": 2}).status == 200


@pytest.mark.parametrize(
    ("operation", "code", "field"),
    [
        ({"key": "k", "value": 1}, "field_missing", ".op"),
        ({"op": "cache.get", "key": "k"}, "field_invalid", ".op"),
        ({"op": 1, "key": "k"}, "field_invalid", ".op"),
        ({"op": "cache.put", "key": "k"}, "field_missing", ".value"),
        ({"op": "cache.put", "key": "k", "value": 1, "stale_ms": 1}, "field_unknown", ".stale_ms"),
        ({"op": "cache.put", "key": "k", "value": 1, "tags": []}, "field_invalid", ".tags"),
        ({"op": "cache.put", "key": "k", "value": 1, "tags": ["a\nb"]}, "field_invalid", ".tags[0]"),
        ({"op": "cache.put", "key": "k", "value": 1, "ttl_ms": 0}, "field_invalid", ".ttl_ms"),
        ({"op": "cache.put", "key": "k", "value": 1, "if_version": -1}, "field_invalid", ".if_version"),
        ({"op": "cache.put", "key": "k\x00", "value": 1}, "field_invalid", ".key"),
        ({"op": "cache.invalidate", "keys": ["k"]}, "field_unknown", ".keys"),
        ({"op": "queue.publish", "data": 1}, "field_missing", ".topic"),
        ({"op": "queue.publish", "topic": "t"}, "field_missing", ".data"),
        ({"op": "queue.publish", "topic": "t", "data": 1, "priority": 10}, "field_invalid", ".priority"),
        ({"op": "queue.publish", "topic": "t", "data": 1, "delay_ms": -1}, "field_invalid", ".delay_ms"),
        ({"op": "queue.publish", "topic": "t", "data": 1, "id": "\x85"}, "field_invalid", ".id"),
        ({"op": "queue.publish", "topic": "t", "data": 1, "key": ""}, "field_invalid", ".key"),
        ({"op": "queue.ack", "topic": "t", "id": "m"}, "field_unknown", ".id"),
        ({"op": "queue.ack", "topic": "t", "receipt": "m"}, "field_invalid", ".receipt"),
        ({"op": "lock.check", "resource": "r"}, "field_missing", ".token"),
        ({"op": "lock.check", "resource": "r", "token": 0}, "field_invalid", ".token"),
        ({"op": "lock.check", "resource": "r", "token": 1, "owner": "a\nb"}, "field_invalid", ".owner"),
        ("cache.put", "field_invalid", ""),
    ],
    ids=repr,
)
def test_a_bad_operation_is_named_by_its_place(node: NodeProcess, operation: Any, code: str, field: str) -> None:
    refused(apply(node, operation), code, f"operations[0]{field}")


def test_a_group_is_bounded(node: NodeProcess, tag: str) -> None:
    publish = {"op": "queue.publish", "topic": tag, "data": 1}
    refused(apply(node), "field_invalid", "operations")
    refused(apply(node, *[publish] * (limits.ATOMIC_OPERATIONS_MAX + 1)), "field_invalid", "operations")
    assert apply(node, *[publish] * limits.ATOMIC_OPERATIONS_MAX).status == 200
    large = {**publish, "data": "x" * (limits.PAYLOAD_BYTES_MAX - 2)}
    one = apply(node, {**publish, "data": "x" * limits.PAYLOAD_BYTES_MAX})
    assert (one.status, one.json["field"]) == (413, "operations[0].data")
    assert apply(node, *[large] * 4).status == 200
    over = apply(node, *[large] * 4, publish)
    assert (over.status, over.json["field"], over.json["limit_bytes"]) == (413, "operations", limits.ATOMIC_BYTES_MAX)
    assert node.get(f"/queue/{tag}").json["ready"] == limits.ATOMIC_OPERATIONS_MAX + 4
