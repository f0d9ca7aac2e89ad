"""The rule on workers flags an effect too many and one too few, and passes what a right service can do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.checkers import violations
from tests.chaos.checkers.effects import EFFECTS, WORK
from tests.chaos.histories import At, ack, consume, loss, publish
from tests.chaos.history import Event, Outcome


def work(one: Event) -> Event:
    return replace(one, target=WORK)


def finish(name: str, effect: str, at: At, attempt: int = 1, outcome: Outcome = "ok") -> list[Event]:
    """A group: one ack and one publish."""
    return [work(ack(name, at, attempt, outcome)), replace(publish(effect, at, outcome, data=name), target=EFFECTS)]


def seen(effect: str, name: str, at: At) -> list[Event]:
    """Taken and done with."""
    later = (at[1] + 1, at[1] + 2)
    return [replace(one, target=EFFECTS) for one in (consume(effect, at, data=name), ack(effect, later))]


WORKED = [work(publish("m", (0, 5))), work(consume("m", (6, 7)))]
AGAIN = work(consume("m", (400, 401), 2))
BAD = {
    "the ack took effect alone": ("no effect", [*WORKED, *finish("m", "e", (8, 20), outcome="unknown")]),
    "two workers, two effects": (
        "more than one effect",
        [
            *(*WORKED, *finish("m", "e1", (8, 20), outcome="unknown"), AGAIN, *finish("m", "e2", (402, 410), 2)),
            *(*seen("e1", "m", (500, 501)), *seen("e2", "m", (510, 511))),
        ],
    ),
}
GOOD = {
    "done once": [*WORKED, *finish("m", "e", (8, 20)), *seen("e", "m", (30, 31))],
    "done, though nobody heard": [*WORKED, *finish("m", "e", (8, 20), outcome="unknown"), *seen("e", "m", (30, 31))],
    "done by the second": [
        *(*WORKED, *finish("m", "e1", (8, 20), outcome="unknown"), AGAIN, *finish("m", "e2", (402, 410), 2)),
        *seen("e2", "m", (500, 501)),
    ],
    "never stored": [work(publish("m", (0, 5), "unknown"))],
    "lost with all data": [*WORKED, *finish("m", "e", (8, 20)), loss((21, 30))],
}


@pytest.mark.parametrize("name", BAD)
def test_what_breaks_the_rule_is_flagged(name: str) -> None:
    rule, history = BAD[name]
    assert {found.rule for found in violations(history)} == {rule}


@pytest.mark.parametrize("name", GOOD)
def test_what_a_right_service_can_do_is_not(name: str) -> None:
    assert [str(found) for found in violations(GOOD[name])] == []
