"""The tokens of a resource strictly increase in real time: later grants have higher ones, and none comes twice."""

from __future__ import annotations

from tests.chaos.history import Event, History, Violation, by_target, conflict, select

RULE = "tokens rise"


def tokens_rise(history: History) -> list[Violation]:
    """A grant that was answered before another was asked for has the lower token; all tokens are distinct."""
    found = []
    for resource, grants in by_target(select(history, "acquire", outcome="ok")).items():
        found += _distinct(resource, grants)
        found += _in_order(resource, grants)
    return found


def _distinct(resource: str, grants: list[Event]) -> list[Violation]:
    seen: dict[int, Event] = {}
    found = []
    for grant in grants:
        token = grant.values["token"]
        if token in seen:
            found.append(conflict(RULE, f"{resource} was granted twice with token {token}", seen[token], grant))
        seen[token] = grant
    return found


def _in_order(resource: str, grants: list[Event]) -> list[Violation]:
    answered = sorted(grants, key=lambda grant: grant.completed_ms)
    highest: Event | None = None
    at = 0
    found = []
    for grant in grants:
        while answered[at].completed_ms < grant.invoked_ms:
            if highest is None or answered[at].values["token"] > highest.values["token"]:
                highest = answered[at]
            at += 1
        if highest is not None and grant.values["token"] < highest.values["token"]:
            says = f"{resource}: the later grant has token {grant.values['token']}, the earlier a higher one"
            found.append(conflict(RULE, says, highest, grant))
    return found
