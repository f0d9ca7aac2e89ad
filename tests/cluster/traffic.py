"""Requests for the tests of topologies: one round of every operation, and a steady load that keeps its answers."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from tests.support import ROOT, Answer, NodeProcess

NAMES = tuple(f"name-{number}" for number in range(12))
"""Enough that every primary of three gets some: partitions are spread over the slots as by chance."""


def use_every_operation(node: NodeProcess, tag: str) -> None:
    """Lock, queue and cache on many partitions; the first unexpected answer fails."""
    for name in (f"{tag}-{name}" for name in NAMES):
        held = ok(node.post("/lock/acquire", {"resource": name, "owner": "o", "timeout": 0}))
        assert ok(node.get(f"/lock/{name}"))["holders"][0]["token"] == held["token"]
        assert ok(node.post("/lock/renew", {"resource": name, "owner": "o", "token": held["token"]}))["renewed"]
        assert ok(node.post("/lock/release", {"resource": name, "owner": "o"}))["released"]
        ok(node.post("/queue/publish", {"topic": name, "data": {"x": 1}}))
        took = ok(node.post("/queue/consume", {"topic": name}))
        assert took["message"]["data"] == {"x": 1}
        assert ok(node.post("/queue/extend", {"topic": name, "receipt": took["receipt"], "visibility_ms": 60_000}))
        assert ok(node.post("/queue/nack", {"topic": name, "receipt": took["receipt"]}))
        again = ok(node.post("/queue/consume", {"topic": name}))
        assert ok(node.post("/queue/ack", {"topic": name, "receipt": again["receipt"]}))["ack"]
        assert ok(node.get(f"/queue/{name}"))["ready"] == 0
        version = ok(node.post("/cache/put", {"key": name, "value": tag}))["version"]
        found = ok(node.post("/cache/get", {"key": name, "consistency": "strong"}))
        assert (found["value"], found["version"]) == (tag, version)
        assert ok(node.post("/cache/invalidate", {"key": name}))["invalidated"] == 1
        group = [
            {"op": "queue.publish", "topic": name, "data": tag, "id": "grouped"},
            {"op": "cache.put", "key": name, "value": tag, "if_version": 0},
        ]
        assert ok(node.post("/atomic", {"operations": group}))["results"][0]["id"] == "grouped"
        took = ok(node.post("/queue/consume", {"topic": name}))
        group = [
            {"op": "queue.ack", "topic": name, "receipt": took["receipt"]},
            {"op": "cache.invalidate", "key": name},
        ]
        assert ok(node.post("/atomic", {"operations": group}))["results"][1]["invalidated"] == 1
    several = {"resources": [f"{tag}-{name}" for name in NAMES[:6]], "owner": "o"}
    tokens = ok(node.post("/lock/acquire", {**several, "timeout": 0}))["tokens"]
    assert ok(node.post("/lock/renew", {**several, "tokens": tokens}))["tokens"] == tokens
    assert ok(node.post("/lock/release", {**several, "tokens": tokens}))["released"]


def run_by_hand(redis_url: str, *words: str) -> str:
    """What redis-cli answers to the line that `simpul evalsha` prints for this Redis."""
    command = [sys.executable, "-m", "service.cli", "evalsha", *words, "--redis-url", redis_url]
    line = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer.json
    return answer.json


class Load:
    """What the callers were answered so far."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.refusals: list[Any] = []
        self.published: dict[int, int] = {}
        """Status by the number that was published."""

    def note(self, number: int, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        self.published[number] = answer.status
        if answer.status != 200:
            self.refusals.append(answer.json)


@contextmanager
def load(node: NodeProcess, topic: str, callers: int = 4) -> Iterator[Load]:
    """Publishes one number after the other to a topic, each once."""
    made, numbers, is_over = Load(), count(), threading.Event()

    def publish() -> None:
        while not is_over.is_set():
            number = next(numbers)
            made.note(number, node.post("/queue/publish", {"topic": topic, "data": number}))

    threads = [threading.Thread(target=publish) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def consume_all(node: NodeProcess, topic: str) -> list[int]:
    found: list[int] = []
    while messages := ok(node.post("/queue/consume", {"topic": topic, "max": 100}))["messages"]:
        found += [message["message"]["data"] for message in messages]
    return found
