"""Users of the API for locust: `locust -f loadtest/locustfile.py [User …] --headless -u 50 -r 50 -t 60s --host URL`.

Without names all kinds of users run. `--host` takes several URLs with commas between them; users are
spread over them, as a client may call any node. Every answer is checked for its promised shape, not only for its
status: a service that answers 200 with the wrong thing fails here.

OriginalClient is the scenario of the service this one grew from, with its very requests.
"""

import os
from collections.abc import Callable
from itertools import count
from random import choice, randrange
from typing import Any

from locust import FastHttpUser, between, task
from locust.env import Environment

Fits = Callable[[dict[str, Any]], bool]

RUN = os.urandom(4).hex()
TOPICS = tuple(f"load-{RUN}-{number}" for number in range(8))
KEYS = tuple(f"load-{RUN}-{number}" for number in range(200))
RESOURCES = tuple(f"load-{RUN}-{number}" for number in range(50))
_numbers = count()


class ApiUser(FastHttpUser):
    abstract = True

    def __init__(self, environment: Environment) -> None:
        number = next(_numbers)
        urls = str(self.host or "http://127.0.0.1:8001").split(",")
        self.host = urls[number % len(urls)]
        self.name = f"u{number}-{RUN}"
        super().__init__(environment)

    def call(self, path: str, body: dict[str, Any], fits: Fits, *statuses: int) -> dict[str, Any]:
        """The answer, or {} after reporting what is wrong with it."""
        with self.client.post(path, json=body, catch_response=True) as response:
            try:
                answer: Any = response.json()
            except ValueError:
                answer = None
            if response.status_code not in (statuses or (200,)):
                response.failure(f"{response.status_code}: {response.text}")
            elif not isinstance(answer, dict) or not _fits(fits, answer):
                response.failure(f"{response.status_code} of another shape: {response.text}")
            else:
                # 409 is an answer of the API; locust would count it as a failure.
                response.success()
                return answer
        return {}

    def publish(self, topic: str, data: Any) -> None:
        self.call("/queue/publish", {"topic": topic, "data": data}, _is_published)

    def consume(self, topic: str, consumer: str) -> dict[str, Any]:
        return self.call("/queue/consume", {"topic": topic, "consumer": consumer}, _is_delivery_or_none)


def _fits(fits: Fits, answer: dict[str, Any]) -> bool:
    try:
        return fits(answer)
    except (KeyError, TypeError):
        return False


def _is_published(answer: dict[str, Any]) -> bool:
    return answer["ok"] is True and isinstance(answer["id"], str)


def _is_delivery_or_none(answer: dict[str, Any]) -> bool:
    if answer["message"] is None:
        return True
    message = answer["message"]
    return bool(answer["id"]) and isinstance(message["ts"], int | float) and "data" in message


def _is_acked(answer: dict[str, Any]) -> bool:
    return answer["ack"] is True


class OriginalClient(ApiUser):
    """Three publishes to one consume and ack on topic `t`, by id: the original wire, nothing of ours."""

    wait_time = between(0.1, 0.5)

    @task(3)
    def publish_one(self) -> None:
        self.publish("t", {"x": 1})

    @task(1)
    def consume_one(self) -> None:
        answer = self.consume("t", "c1")
        if answer.get("message"):
            self.call("/queue/ack", {"topic": "t", "id": answer["id"]}, _is_acked)


class QueueUser(ApiUser):
    """Publishes and consumes at the same rate; acknowledges by receipt, now and then gives back."""

    wait_time = between(0.1, 0.5)

    @task
    def publish_and_consume(self) -> None:
        sent = {"by": self.name, "items": [], "big": 2**53 - 1}
        self.publish(choice(TOPICS), sent)
        topic = choice(TOPICS)
        answer = self.consume(topic, self.name)
        if not answer.get("message"):
            return
        receipt = {"topic": topic, "receipt": answer["receipt"]}
        if randrange(20) == 0:
            self.call("/queue/nack", receipt, lambda given: given["nack"] is True)
            return
        if randrange(20) == 0:
            longer = {**receipt, "visibility_ms": 120_000}
            self.call("/queue/extend", longer, lambda given: given["visibility_ms"] == 120_000)
        self.call("/queue/ack", receipt, _is_acked)


class LockUser(ApiUser):
    """Takes one of few locks, renews it and lets go; shared one time in four. Conflicts are answers."""

    wait_time = between(0.1, 0.5)

    @task
    def hold_and_release(self) -> None:
        hold = {"resource": choice(RESOURCES), "owner": self.name}
        mode = "shared" if randrange(4) == 0 else "exclusive"
        asked = {**hold, "mode": mode, "ttl_ms": 10_000, "timeout": randrange(2)}
        granted = self.call("/lock/acquire", asked, lambda answer: _fits_acquire(answer, asked), 200, 409)
        if not granted.get("granted"):
            return
        token = {"token": granted["token"]}
        self.call("/lock/renew", {**hold, **token}, lambda answer: answer["renewed"] is True)
        self.call("/lock/release", {**hold, **token}, lambda answer: answer["released"] is True)


def _fits_acquire(answer: dict[str, Any], asked: dict[str, Any]) -> bool:
    if answer["granted"]:
        return answer["token"] > 0 and all(answer[name] == asked[name] for name in ("resource", "owner", "mode"))
    return answer["code"] == "lock_held" and isinstance(answer["holders"], list)


class CacheUser(ApiUser):
    """Ten reads to a write, one in ten of them strong; a value read must be one that was put under that key."""

    wait_time = between(0.1, 0.5)

    @task(10)
    def read(self) -> None:
        key = choice(KEYS)
        consistency = "strong" if randrange(10) == 0 else "local"
        self.call("/cache/get", {"key": key, "consistency": consistency}, lambda answer: _fits_get(answer, key))

    @task(1)
    def write(self) -> None:
        key = choice(KEYS)
        put = {"key": key, "value": {"of": key, "by": self.name}, "ttl_ms": 60_000}
        self.call("/cache/put", put, lambda answer: answer["ok"] is True and answer["version"] > 0)

    @task(1)
    def invalidate(self) -> None:
        self.call("/cache/invalidate", {"key": choice(KEYS)}, lambda answer: answer["ok"] is True)


def _fits_get(answer: dict[str, Any], key: str) -> bool:
    if not answer["found"]:
        return answer["value"] is None
    return answer["value"]["of"] == key and answer["version"] > 0 and answer["source"] in ("local", "redis")


class MixedUser(QueueUser, LockUser, CacheUser):
    """All of it in one user."""

    weight = 2
