"""Values by plain HTTP: GET with ETag and If-None-Match, and puts on condition by header."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import Answer, NodeProcess, call

NewName = Callable[[], str]


def read(node: NodeProcess, key: str, query: str = "", **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(f"{node.url}/cache/{quote(key, safe='')}{query}", "GET", None, given)


def put(node: NodeProcess, key: str, value: Any, **headers: str) -> Answer:
    return node.post("/cache/put", {"key": key, "value": value}, **headers)


def test_a_get_answers_the_value_byte_for_byte_with_its_version(node: NodeProcess, name: NewName) -> None:
    key = name() + "/ä ?{x}"
    value = b'{"empty": [] ,"n":123456789012345678901234567890}'
    version = node.post("/cache/put", b'{"key":"%s","value":%s}' % (key.encode(), value)).json["version"]
    for query in ("", "", "?consistency=strong", f"?min_version={version}"):
        answer = read(node, key, query)
        assert (answer.status, answer.body) == (200, value)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["etag"] == f'"{version}"'
        assert answer.headers["cache-control"] == "no-cache"


def test_who_has_the_value_is_not_sent_it_again(node: NodeProcess, name: NewName) -> None:
    key = name()
    tag = f'"{put(node, key, 1).json["version"]}"'
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = read(node, key, If_None_Match=known)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert read(node, key, If_None_Match='"1"').body == b"1"
    put(node, key, 2)
    assert read(node, key, If_None_Match=tag).body == b"2"


def test_a_key_without_a_value_is_404(node: NodeProcess, name: NewName) -> None:
    key = name()
    answer = read(node, key)
    assert (answer.status, answer.json["code"], answer.json["key"]) == (404, "key_absent", key)
    node.post("/cache/put", {"key": key, "negative_ttl_ms": 60_000})
    assert read(node, key, If_None_Match="*").status == 404


def test_if_match_puts_over_that_version_only(node: NodeProcess, name: NewName) -> None:
    key = name()
    first = put(node, key, 1, If_None_Match="*")
    assert first.status == 200
    refused = put(node, key, 2, If_None_Match="*")
    assert (refused.status, refused.json["code"], refused.json["ok"]) == (412, "version_mismatch", False)
    tag = read(node, key).headers["etag"]
    assert put(node, key, 2, If_Match=tag).status == 200
    refused = put(node, key, 3, If_Match=tag)
    assert (refused.status, refused.json["if_version"]) == (412, first.json["version"])
    assert refused.headers["content-type"] == "application/problem+json"
    assert read(node, key).body == b"2"


def test_a_condition_over_a_missing_key_is_412_and_stores_nothing(node: NodeProcess, name: NewName) -> None:
    key = name()
    for answer in (
        put(node, key, 1, If_Match='"7"'),
        node.post("/cache/put", {"key": key, "value": 1, "if_version": 7}),
    ):
        assert (answer.status, answer.json["version"], answer.json["if_version"]) == (412, 0, 7)
    assert read(node, key, "?consistency=strong").status == 404


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"If_Match": "*"}, "If-Match"),
        ({"If_Match": "7"}, "If-Match"),
        ({"If_Match": 'W/"7"'}, "If-Match"),
        ({"If_Match": '"7", "8"'}, "If-Match"),
        ({"If_Match": '"0"'}, "If-Match"),
        ({"If_Match": '"9007199254740992"'}, "If-Match"),
        ({"If_None_Match": '"7"'}, "If-None-Match"),
        ({"If_Match": '"7"', "If_None_Match": "*"}, "If-Match"),
        ({"If_Match": '"8"'}, "if_version"),
        ({"If_None_Match": "*"}, "if_version"),
    ],
    ids=repr,
)
def test_a_condition_that_is_none_is_refused_and_named(
    node: NodeProcess, name: NewName, headers: dict[str, str], field: str
) -> None:
    body = {"key": name(), "value": 1, **({"if_version": 7} if field == "if_version" else {})}
    answer = node.post("/cache/put", body, **headers)
    assert (answer.status, answer.json["field"]) == (422, field)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/cache/", "key"),
        ("/cache/a%00b", "key"),
        ("/cache/" + "a" * 513, "key"),
        ("/cache/k?consistency=weak", "consistency"),
        ("/cache/k?min_version=x", "min_version"),
        ("/cache/k?min_version=9007199254740992", "min_version"),
        ("/cache/k?fill_ms=5", "fill_ms"),
    ],
)
def test_a_get_that_cannot_be_is_refused_and_named(node: NodeProcess, path: str, field: str) -> None:
    answer = node.get(path)
    assert (answer.status, answer.json["field"]) == (422, field)


def test_more_that_cannot_be_read(node: NodeProcess, name: NewName) -> None:
    assert node.get("/cache/%ff").json["code"] == "path_not_unicode"
    key = name()
    put(node, key, 1)
    for known in ("7", '"7', "x, y", '"7" "8"'):
        assert read(node, key, If_None_Match=known).json["field"] == "If-None-Match"
    assert node.get("/cache/put").status == 405, "a POST sent as a GET shows nothing"
