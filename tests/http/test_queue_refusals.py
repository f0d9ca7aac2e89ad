"""Messages under way, and requests about them that cannot be: a typed 4xx, nothing changed, nothing lost."""

from collections.abc import Callable
from typing import Any

import pytest

from service import limits
from tests.support import NodeProcess

NewName = Callable[[], str]
COUNTED = ("ready", "delayed", "inflight", "waiting", "dead", "settings")
NEVER_GIVEN = "1.1.1763890000123.order-17"


class Busy:
    """A topic with messages in flight, waiting for their key, delayed and dead; a second one beside it."""

    def __init__(self, node: NodeProcess, topic: str, beside: str) -> None:
        self.node, self.topic, self.beside = node, topic, beside
        for message in (
            {"id": "dead"},
            {"id": "flying", "key": "k"},
            {"id": "behind", "key": "k"},
            {"id": "late", "delay_ms": 600_000},
        ):
            self.ask("/queue/publish", data=message["id"], **message)
        self.buried, self.receipt = (self.ask("/queue/consume")["receipt"] for _ in range(2))
        self.ask("/queue/bury", receipt=self.buried)
        self.ask("/queue/publish", topic=beside, data=1, id="flying")
        # Given back once, so that no two receipts are alike that were made in one millisecond.
        self.ask("/queue/nack", topic=beside, receipt=self.ask("/queue/consume", topic=beside)["receipt"])
        self.foreign = self.ask("/queue/consume", topic=beside)["receipt"]

    def ask(self, path: str, **body: Any) -> Any:
        answer = self.node.post(path, {"topic": self.topic, **body})
        assert answer.status == 200, answer
        return answer.json

    def state(self) -> dict[str, Any]:
        told = self.node.get(f"/queue/{self.topic}").json
        return {name: told[name] for name in COUNTED}

    def refused(self, path: str, status: int, code: str, **body: Any) -> Any:
        """And the topic is as it was."""
        before = self.state()
        answer = self.node.post(path, {"topic": self.topic, **body})
        assert (answer.status, answer.json["code"]) == (status, code), answer
        assert answer.headers["content-type"] == "application/problem+json"
        assert self.state() == before
        return answer

    def loses_nothing(self) -> None:
        """All that was under way goes on, each message once."""
        assert self.ask("/queue/ack", receipt=self.receipt) == {"ack": True}
        self.ask("/queue/kick")
        self.ask("/queue/redrive")
        rest = self.ask("/queue/consume", max=10)["messages"]
        assert sorted(one["id"] for one in rest) == ["behind", "dead", "late"]
        self.ask("/queue/ack", receipts=[one["receipt"] for one in rest])
        assert not any(self.state()[name] for name in COUNTED[:-1])


@pytest.fixture
def busy(node: NodeProcess, name: NewName) -> Busy:
    return Busy(node, name(), name())


ON_DELIVERIES: dict[str, dict[str, Any]] = {
    "/queue/ack": {},
    "/queue/nack": {"delay_ms": 5},
    "/queue/extend": {"visibility_ms": 1_000},
    "/queue/bury": {},
    "/queue/left": {},
}


def test_a_receipt_that_is_not_of_a_delivery_under_way_is_refused_and_says_why(busy: Busy) -> None:
    for path, more in ON_DELIVERIES.items():
        busy.refused(path, 409, "already_acked", receipt=NEVER_GIVEN, **more)
        busy.refused(path, 409, "receipt_expired", receipt=busy.buried, **more)
        # Of another topic, which has a message of that name, too.
        busy.refused(path, 409, "receipt_superseded", receipt=busy.foreign, **more)
    busy.refused("/queue/ack", 409, "already_acked", id="never-was")
    busy.refused("/queue/ack", 409, "receipt_expired", id="behind")
    busy.loses_nothing()


def test_a_topic_that_nobody_has_used_has_no_deliveries_and_cannot_be_deleted(busy: Busy, name: NewName) -> None:
    unknown = name()
    for path, more in ON_DELIVERIES.items():
        busy.refused(path, 409, "already_acked", topic=unknown, receipt=busy.receipt, **more)
    busy.refused("/queue/delete", 404, "topic_unknown", topic=unknown)
    assert busy.ask("/queue/consume", topic=unknown) == {"message": None}
    assert busy.ask("/queue/peek", topic=unknown) == {"messages": [], "next": None}
    assert busy.ask("/queue/redrive", topic=unknown, to=busy.topic) == {"redriven": 0, "left": 0}
    for path, moved in (("/queue/kick", "kicked"), ("/queue/redrive", "redriven")):
        assert busy.ask(path, topic=unknown) == {moved: 0, "left": 0}
    assert busy.ask("/queue/purge", topic=unknown, state="ready") == {"purged": 0, "more": False}
    busy.refused("/queue/delete", 404, "topic_unknown", topic=unknown)
    busy.loses_nothing()


def test_what_is_too_much_for_one_request_is_refused_whole(busy: Busy) -> None:
    many = [busy.receipt] * (limits.ACK_BATCH_MAX + 1)
    assert busy.refused("/queue/ack", 422, "field_invalid", receipts=many).json["field"] == "receipts"
    for path in ("/queue/redrive", "/queue/kick", "/queue/purge"):
        ids = ["flying"] * (limits.QUEUE_MOVE_MAX + 1)
        assert busy.refused(path, 422, "field_invalid", ids=ids).json["field"] == "ids"
    messages = [{"data": number} for number in range(limits.PUBLISH_BATCH_MAX + 1)]
    assert busy.refused("/queue/publish", 422, "field_invalid", messages=messages).json["field"] == "messages"
    large = [{"data": 1}, {"data": "x" * limits.PAYLOAD_BYTES_MAX}]
    assert busy.refused("/queue/publish", 413, "payload_too_large", messages=large).json["field"] == "messages[1].data"
    heavy = [{"data": "x" * (limits.PAYLOAD_BYTES_MAX - 2)} for _ in range(17)]
    busy.refused("/queue/publish", 413, "body_too_large", messages=heavy)
    busy.loses_nothing()


def test_one_id_twice_in_a_batch_is_refused_and_one_receipt_twice_acks_once(busy: Busy) -> None:
    twice = [{"data": 1, "id": "new"}, {"data": 2, "id": "new"}]
    assert busy.refused("/queue/publish", 422, "field_invalid", messages=twice).json["field"] == "messages[1].id"
    done = busy.ask("/queue/ack", topic=busy.beside, receipts=[busy.foreign] * 2)
    assert (done["ack"], done["acked"], done["refused"][0]["code"]) == (False, 1, "already_acked")
    busy.loses_nothing()


@pytest.mark.parametrize("visibility_ms", [0, limits.VISIBILITY_MS_MIN - 1, limits.VISIBILITY_MS_MAX + 1, 2**60])
def test_a_visibility_out_of_range_delivers_and_extends_nothing(busy: Busy, visibility_ms: int) -> None:
    for path, more in (("/queue/consume", {}), ("/queue/extend", {"receipt": busy.receipt}), ("/queue/settings", {})):
        refused = busy.refused(path, 422, "field_invalid", visibility_ms=visibility_ms, **more)
        assert refused.json["field"] == "visibility_ms"
    busy.loses_nothing()


def test_settings_that_would_harm_what_is_under_way_are_refused_and_the_others_hold_from_now_on(busy: Busy) -> None:
    busy.refused("/queue/settings", 409, "topic_in_use", max_length=2, backoff_ms=5)
    busy.refused("/queue/settings", 409, "topic_in_use", key_concurrency=2, backoff_ms=5)
    busy.refused("/queue/delete", 409, "topic_in_use")
    for change in (
        {"max_length": 3},
        {"max_length": None, "key_concurrency": 1},
        {"max_deliveries": 1},
        {"visibility_ms": 1_000},
        {"retention_ms": 1_000, "dead_retention_ms": 1_000_000},
        {"concurrency": 1, "rate_per_s": 1},
        {"dedup_ms": 1},
        {"concurrency": None, "rate_per_s": None, "retention_ms": None},
    ):
        before, settings = busy.state(), busy.ask("/queue/settings", **change)["settings"]
        assert busy.state() == {**before, "settings": settings}
    busy.loses_nothing()


def test_a_publish_that_is_refused_stores_none_of_its_batch(busy: Busy) -> None:
    batch = [{"data": 1, "id": "one"}, {"data": 2, "id": "two"}]
    busy.ask("/queue/settings", max_length=4)
    full = busy.refused("/queue/publish", 429, "topic_full", messages=batch)
    assert int(full.headers["retry-after"]) >= 1
    busy.ask("/queue/settings", max_length=None)
    busy.ask("/queue/pause", publish=True)
    busy.refused("/queue/publish", 409, "topic_paused", messages=batch)
    busy.ask("/queue/pause", publish=False)
    busy.loses_nothing()
