"""Timetables over HTTP: schedules are said, listed and taken away, and publish at their time."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.test_topic import post
from tests.support import NodeProcess

NewName = Callable[[], str]


def schedules(node: NodeProcess, topic: str, **more: Any) -> Any:
    query = "&".join(f"{name}={value}" for name, value in {"topic": topic, **more}.items())
    return node.get(f"/schedules?{query}").json


def test_a_tick_brings_what_was_said_and_when_it_was_planned(node: NodeProcess, name: NewName) -> None:
    topic = name()
    said = post(
        node,
        "/queue/schedule",
        topic=topic,
        name="ä job",
        every_ms=1_000,
        data={"x": [1]},
        priority=3,
        key="k",
        headers={"trace": "1"},
    )
    first, second, *_ = said["next_ms"]
    assert second - first == 1_000
    taken = post(node, "/queue/consume", topic=topic, wait_ms=10_000)
    assert taken["id"] == f"ä job@{first}"
    assert taken["message"] == {
        **taken["message"],
        "data": {"x": [1]},
        "priority": 3,
        "key": "k",
        "headers": {"trace": "1", "schedule": "ä job", "scheduled-ms": str(first)},
    }
    assert taken["message"]["ts"] * 1000 >= first


def test_schedules_are_listed_as_they_were_said(node: NodeProcess, name: NewName) -> None:
    topic = name()
    for one in ("b", "a"):
        post(node, "/queue/schedule", topic=topic, name=one, cron="0  3 * * mon", time_zone="Asia/Jakarta", data=1)
    post(node, "/queue/schedule", topic=topic, name="b", cron="0 3 * * 1", data=2, missed="skip", paused=True)
    page = schedules(node, topic, limit=1)
    (a,) = page["schedules"]
    assert {**a, "next_ms": 0} == {
        "name": "a",
        "next_ms": 0,
        "missed": "once",
        "data": 1,
        "cron": "0 3 * * MON",
        "time_zone": "Asia/Jakarta",
    }
    assert time.gmtime(a["next_ms"] / 1000)[3:6] == (20, 0, 0), "Jakarta is seven hours ahead"
    assert page["next"] == "a"
    (b,) = schedules(node, topic, after="a")["schedules"]
    assert (b["next_ms"], b["missed"], b["data"]) == (None, "skip", 2)


def test_a_schedule_that_was_taken_away_is_gone(node: NodeProcess, name: NewName) -> None:
    topic = name()
    post(node, "/queue/schedule", topic=topic, name="s", every_ms=3_600_000, data=1)
    assert post(node, "/queue/unschedule", topic=topic, name="s", request_id=f"{topic}1") == {"unscheduled": True}
    assert post(node, "/queue/unschedule", topic=topic, name="s", request_id=f"{topic}1") == {"unscheduled": True}
    assert post(node, "/queue/unschedule", topic=topic, name="s") == {"unscheduled": False}
    assert schedules(node, topic) == {"topic": topic, "schedules": [], "next": None}


def test_a_schedule_said_again_keeps_its_beat(node: NodeProcess, name: NewName) -> None:
    body = {"topic": name(), "name": "s", "every_ms": 86_400_000, "data": 1}
    first = post(node, "/queue/schedule", **body, request_id=f"{body['topic']}1")
    assert post(node, "/queue/schedule", **body, request_id=f"{body['topic']}1") == first
    assert post(node, "/queue/schedule", **{**body, "data": 2})["next_ms"] == first["next_ms"]


def test_an_interval_that_starts_later_counts_from_there(node: NodeProcess, name: NewName) -> None:
    start = (int(time.time()) + 3_600) * 1000 + 7
    said = post(
        node,
        "/queue/schedule",
        topic=name(),
        name="s",
        every_ms=60_000,
        starts_at_ms=start,
        ends_at_ms=start + 130_000,
        data=1,
    )
    assert said["next_ms"] == [start, start + 60_000, start + 120_000]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "* * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "0 0 * * *", "every_ms": 5_000}, "every_ms"),
        ({}, "cron"),
        ({"cron": "0 0 * * *", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"every_ms": 5_000, "starts_at_ms": 10, "ends_at_ms": 9}, "ends_at_ms"),
        ({"every_ms": 5_000, "ends_at_ms": 9}, "ends_at_ms"),
        ({"every_ms": 5_000, "missed": "never"}, "missed"),
        ({"every_ms": 5_000, "name": "n" * 257}, "name"),
        ({"every_ms": 5_000, "name": "a\n"}, "name"),
        ({"every_ms": 5_000, "headers": {f"h{number}": "" for number in range(31)}}, "headers"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_by_its_field(
    node: NodeProcess, name: NewName, wrong: dict[str, Any], field: str
) -> None:
    topic = name()
    answer = node.post("/queue/schedule", {"topic": topic, "name": "s", "data": 1, **wrong})
    assert (answer.status, answer.json["field"]) == (422, field)
    assert schedules(node, topic)["schedules"] == []


def test_a_large_payload_is_not_scheduled(node: NodeProcess, name: NewName) -> None:
    body = {"topic": name(), "name": "s", "every_ms": 5_000, "data": "x" * 16_385}
    answer = node.post("/queue/schedule", body)
    assert (answer.status, answer.json["field"]) == (413, "data")
