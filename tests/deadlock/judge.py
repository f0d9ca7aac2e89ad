"""Whether a deadlock that a client was told of was one, by what all clients saw."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

from tests.deadlock.party import Asked, Party

Span = tuple[float, float]


class Found(NamedTuple):
    """A true deadlock: how long after its last wait was sent its victim was answered, and its length."""

    after_s: float
    length: int


class FalseAlarm(AssertionError):
    """Somebody in the circle could have gone on."""


def judge(victim: Asked, parties: Mapping[str, Party]) -> Found:
    """At one moment all of the circle must have waited, each for a hold of the next that was not given back, or behind
    a wait of the next. Then nobody in it could go on: a client does one thing at a time. Raises FalseAlarm."""
    cycle = victim.reply["cycle"]
    for link, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
        if link.get("held_by", link.get("behind")) != following["owner"]:
            raise FalseAlarm(f"{link} does not lead to {following}")
        if link["mode"] == link.get("held_mode") == "shared":
            raise FalseAlarm(f"a reader keeps no reader waiting: {link}")
    # Somebody in it may have asked twice by the time the answer came: after a lease had ended.
    waits = [_waits(parties[link["owner"]], link["waits_for"], victim) for link in cycle]
    blockers = [_blockers(parties, link, victim) for link in cycle]
    for spans in product(*waits):
        sent_at = max(begin for begin, _ in spans)
        if sent_at < min(end for _, end in spans) and all(_covers(some, spans) for some in blockers):
            return Found(victim.answered_at - sent_at, victim.reply["length"])
    raise FalseAlarm(f"never at one moment: {cycle}, waits {waits}, blockers {blockers}")


def _covers(some: list[Span], spans: tuple[Span, ...]) -> bool:
    """Whether one of them was there at a moment in which all `spans` were."""
    begin, end = max(begin for begin, _ in spans), min(end for _, end in spans)
    return any(max(begin, one[0]) < min(end, one[1]) for one in some)


def _waits(party: Party, resource: str, victim: Asked) -> list[Span]:
    """When its requests for a resource were outstanding, of those sent before the victim was answered."""
    return [
        (asked.sent_at, asked.answered_at)
        for asked in party.asked
        if resource in asked.resources and asked.sent_at < victim.answered_at
    ]


def _blockers(parties: Mapping[str, Party], link: dict[str, Any], victim: Asked) -> list[Span]:
    if "behind" in link:
        return _waits(parties[link["behind"]], link["waits_for"], victim)
    party, resource = parties[link["held_by"]], link["waits_for"]
    held = [(one.asked_at, one.until) for one in party.held if (one.resource, one.token) == (resource, link["token"])]
    # A request for several locks may have had some of them, and have given them back without anybody's being told.
    several = [asked for asked in party.asked if resource in asked.resources and len(asked.resources) > 1]
    return held + [(asked.sent_at, asked.answered_at) for asked in several if asked.sent_at < victim.answered_at]
