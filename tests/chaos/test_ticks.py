"""The rule on schedules flags a tick that is missing or is none; ticks are judged as messages that were published."""

from __future__ import annotations

import pytest

from tests.chaos.checkers import violations
from tests.chaos.histories import ack, consume, event, loss
from tests.chaos.history import Event

SAID = event("c", "schedule", "t", (0, 1), name="s", every_ms=1000, next_ms=[5000, 6000, 7000], data=1)


def came(tick: int, at_ms: float, attempt: int = 1) -> list[Event]:
    name = f"s@{tick}"
    return [
        consume(name, (at_ms, at_ms + 1), attempt, data=1),
        ack(name, (at_ms + 2, at_ms + 3), attempt),
    ]


BAD = {
    "one was left out": ("tick missing", [SAID, *came(5000, 10), *came(7000, 2010)]),
    "the first was left out": ("tick missing", [SAID, *came(6000, 1010)]),
    "one that is none": ("tick out of nowhere", [SAID, *came(5000, 10), *came(5500, 510)]),
    "one that was before it began": ("tick out of nowhere", [SAID, *came(4000, 10), *came(5000, 20)]),
    "one that came again when it was done": ("acked message delivered", [SAID, *came(5000, 10), *came(5000, 400, 2)]),
    "one of another schedule": ("message out of nowhere", [SAID, consume("r@5000", (10, 11), data=1)]),
    "with another payload": ("message changed", [SAID, consume("s@5000", (10, 11), data=2), ack("s@5000", (12, 13))]),
}
GOOD = {
    "all in order": [SAID, *came(5000, 10), *came(6000, 1010)],
    "late, and out of order": [SAID, *came(6000, 2010), *came(5000, 2020)],
    "delivered twice before it was done": [SAID, consume("s@5000", (10, 11), data=1), *came(5000, 400, 2)],
    "none yet": [SAID],
    "one that was lost": [SAID, *came(5000, 10), loss((20, 30)), *came(7000, 2010)],
}


@pytest.mark.parametrize("name", BAD)
def test_what_breaks_the_rule_is_flagged(name: str) -> None:
    rule, history = BAD[name]
    assert {found.rule for found in violations(history)} == {rule}


@pytest.mark.parametrize("name", GOOD)
def test_what_a_right_service_can_do_is_not(name: str) -> None:
    assert [str(found) for found in violations(GOOD[name])] == []
