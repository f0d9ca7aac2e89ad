"""A query that a page cannot answer is refused, and its field named."""

import pytest

from tests.support import NodeProcess, call

REFUSED = [
    ("/events", "lock"),
    ("/events?lock=", "lock"),
    ("/events?lock_prefix=", "lock_prefix"),
    ("/events?lock=a&topic=t", "topic"),
    ("/events?locks=a", "locks"),
    ("/events?lock=" + "a" * 513, "lock"),
    ("/events?lock=a%00b", "lock"),
    ("/events?" + "&".join(f"lock=l{number}" for number in range(33)), "lock"),
    ("/locks?limit=0", "limit"),
    ("/locks?limit=101", "limit"),
    ("/locks?limit=x", "limit"),
    ("/locks?limit=1&limit=2", "limit"),
    ("/locks?cursor=nonsense", "cursor"),
    ("/locks?cursor=k8Sj", "cursor"),
    ("/locks?prefix=" + "a" * 513, "prefix"),
    ("/locks?page=2", "page"),
    ("/caches/audit?sample=0", "sample"),
    ("/caches/audit?sample=1001", "sample"),
    ("/caches/audit?sample=-1", "sample"),
    ("/caches/audit?sample=all", "sample"),
    ("/caches/audit?sample=1&sample=2", "sample"),
    ("/caches/audit?samples=1", "samples"),
    ("/lock/r?history=101", "history"),
    ("/lock/r?history=-1", "history"),
    ("/lock/r?histori=1", "histori"),
]


@pytest.mark.parametrize(("path", "field"), REFUSED)
def test_a_bad_query_is_refused_and_its_field_named(node: NodeProcess, path: str, field: str) -> None:
    answer = node.get(path)
    assert (answer.status, answer.json["field"]) == (422, field)


def test_a_place_that_no_node_sent_is_refused(node: NodeProcess) -> None:
    answer = call(node.url + "/events?lock=a", "GET", None, {"Last-Event-ID": "nonsense"})
    assert (answer.status, answer.json["field"]) == (422, "Last-Event-ID")
