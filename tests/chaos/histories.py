"""Events by hand, for the tests of the checkers: `at` is (invoked, completed) in milliseconds."""

from __future__ import annotations

from typing import Any

from tests.chaos.history import NEMESIS, Event, Outcome

At = tuple[float, float]


def event(
    client: str,
    operation: str,
    target: str,
    at: At,
    outcome: Outcome = "ok",
    *,
    code: str = "",
    node: str = "n1",
    **values: Any,
) -> Event:
    return Event(client, operation, target, *at, outcome, code, node, values)


def acquire(client: str, at: At, token: int, *, ttl_ms: int = 1000, outcome: Outcome = "ok", **values: Any) -> Event:
    told: dict[str, Any] = (
        {"mode": "exclusive", "ttl_ms": ttl_ms} | ({"token": token} if outcome == "ok" else {}) | values
    )
    return event(client, "acquire", "r", at, outcome, **told)


def renew(
    client: str, at: At, token: int, *, ttl_ms: int = 1000, outcome: Outcome = "ok", code: str = "", **values: Any
) -> Event:
    return event(client, "renew", "r", at, outcome, code=code, token=token, ttl_ms=ttl_ms, **values)


def release(client: str, at: At, token: int, outcome: Outcome = "ok", code: str = "") -> Event:
    return event(client, "release", "r", at, outcome, code=code, token=token)


def enter(owner: str, at: At, token: int, holds: int, outcome: Outcome = "ok") -> Event:
    return event(owner, "enter", "e", at, outcome, owner=owner, token=token, holds=holds, ttl_ms=1000)


def leave(owner: str, at: At, token: int, holds: int, outcome: Outcome = "ok") -> Event:
    """`holds`: how often it is still in."""
    return event(owner, "leave", "e", at, outcome, owner=owner, token=token, holds=holds)


def take(owner: str, at: At, token: int, permits: int = 1, outcome: Outcome = "ok") -> Event:
    """Of three permits."""
    return event(owner, "take", "s", at, outcome, owner=owner, token=token, permits=permits, limit=3, ttl_ms=1000)


def give(owner: str, at: At, token: int, outcome: Outcome = "ok") -> Event:
    return event(owner, "give", "s", at, outcome, owner=owner, token=token)


def loss(at: At) -> Event:
    return event("", NEMESIS, "flushall", at, loses=True)


def write(number: int, owner: str, token: int, base: int, version: int, *, kind: str = "guarded") -> Event:
    """An accepted write, the `number`th operation of its register."""
    values: dict[str, Any] = {
        "register": kind,
        "turn": number,
        "token": token,
        "owner": owner,
        "base": base,
        "version": version,
    }
    return event(owner, "write", "r", (number, number), **values)


def publish(name: str, at: At, outcome: Outcome = "ok", **values: Any) -> Event:
    return event("p", "publish", "t", at, outcome, id=name, **values)


def consume(name: str, at: At, attempt: int = 1, *, visibility_ms: int = 300, **values: Any) -> Event:
    told: dict[str, Any] = {"id": name, "receipt": f"{name}/{attempt}", "attempt": attempt} | values
    return event("c", "consume", "t", at, visibility_ms=visibility_ms, **told)


def consume_in_vain(at: At, outcome: Outcome = "ok", **values: Any) -> Event:
    """It brought nothing, or nobody knows what."""
    return event("c", "consume", "t", at, outcome, visibility_ms=300, **values)


def settle(
    operation: str, name: str, at: At, attempt: int = 1, outcome: Outcome = "ok", *, code: str = "", **values: Any
) -> Event:
    return event("c", operation, "t", at, outcome, code=code, id=name, receipt=f"{name}/{attempt}", **values)


def ack(name: str, at: At, attempt: int = 1, outcome: Outcome = "ok", code: str = "") -> Event:
    return settle("ack", name, at, attempt, outcome, code=code)


def nack(name: str, at: At, attempt: int = 1, outcome: Outcome = "ok", *, delay_ms: int = 0) -> Event:
    return settle("nack", name, at, attempt, outcome, delay_ms=delay_ms)


def redrive(at: At, redriven: int, outcome: Outcome = "ok") -> Event:
    return event("c", "redrive", "t", at, outcome, redriven=redriven)


def put(version: int, at: At, outcome: Outcome = "ok") -> Event:
    return event("w", "put", "k", at, outcome, version=version)


def get(version: int, at: At, **values: Any) -> Event:
    """0: not found."""
    return Event("g", "get", "k", *at, "ok", values=({"version": version} if version else {}) | values)


def strong_get(version: int, at: At) -> Event:
    return get(version, at, consistency="strong")


def invalidate(at: At, outcome: Outcome = "ok") -> Event:
    return event("w", "invalidate", "k", at, outcome)
