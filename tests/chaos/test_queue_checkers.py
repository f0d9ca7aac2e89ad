"""Each rule on queues flags the smallest history that breaks it, and passes its twin that does not."""

from __future__ import annotations

import pytest

from tests.chaos import test_effects, test_ticks
from tests.chaos.checkers import QUEUES, violations
from tests.chaos.histories import ack, consume, consume_in_vain, event, loss, nack, publish, redrive, settle
from tests.chaos.history import Event

BAD: dict[str, tuple[str, list[Event]]] = {
    "nobody got it": ("message lost", [publish("m", (0, 5))]),
    "never acked": ("message lost", [publish("m", (0, 5)), consume("m", (6, 7))]),
    "an ack that was refused": (
        "message lost",
        [publish("m", (0, 5)), consume("m", (6, 7)), ack("m", (400, 401), outcome="refused", code="receipt_expired")],
    ),
    "published after the loss, and lost": ("message lost", [loss((0, 10)), publish("m", (11, 12))]),
    "never published": ("message out of nowhere", [consume("m", (6, 7))]),
    "a publish that was refused": (
        "message out of nowhere",
        [publish("m", (0, 5), "refused"), consume("m", (6, 7)), ack("m", (8, 9))],
    ),
    "delivered before it was published": (
        "message out of nowhere",
        [consume("m", (0, 5)), publish("m", (6, 7)), ack("m", (8, 9))],
    ),
    "another payload": (
        "message changed",
        [publish("m", (0, 5), data=1), consume("m", (6, 7), data=2), ack("m", (8, 9))],
    ),
    "another key": ("message changed", [publish("m", (0, 5), key="k"), consume("m", (6, 7)), ack("m", (8, 9))]),
    "one receipt for two deliveries": (
        "receipt given twice",
        [publish("m", (0, 5)), consume("m", (6, 7)), consume("m", (400, 401)), ack("m", (402, 403))],
    ),
    "back from an ack": (
        "acked message delivered",
        [publish("m", (0, 5)), consume("m", (6, 7)), ack("m", (8, 9)), consume("m", (400, 401), 2)],
    ),
    "back from an ack before the loss that did not touch it": (
        "acked message delivered",
        [loss((0, 1)), publish("m", (2, 5)), consume("m", (6, 7)), ack("m", (8, 9)), consume("m", (400, 401), 2)],
    ),
    "two consumers at a time": (
        "delivered in flight",
        [publish("m", (0, 5)), consume("m", (6, 7)), consume("m", (100, 105), 2), ack("m", (110, 111), 2)],
    ),
    "two consumers at a time, nobody knows who was first": (
        "delivered in flight",
        [publish("m", (0, 5)), consume("m", (6, 20)), consume("m", (8, 15), 2), ack("m", (21, 22), 2)],
    ),
    "delivered again within what was extended": (
        "delivered in flight",
        [
            publish("m", (0, 5)),
            consume("m", (6, 7)),
            settle("extend", "m", (200, 201), visibility_ms=300),
            consume("m", (400, 401), 2),
            ack("m", (402, 403), 2),
        ],
    ),
    "a nack that was refused ends nothing": (
        "delivered in flight",
        [
            publish("m", (0, 5)),
            consume("m", (6, 7)),
            nack("m", (8, 9), outcome="refused"),
            consume("m", (10, 11), 2),
            ack("m", (12, 13), 2),
        ],
    ),
    "a count that begins anew": (
        "attempts do not rise",
        [
            publish("m", (0, 5)),
            consume("m", (6, 7)),
            consume("m", (400, 401), receipt="other"),
            event("c", "ack", "t", (402, 403), id="m", receipt="other"),
        ],
    ),
    "a sixth delivery": (
        "delivered too often",
        [
            publish("m", (0, 5)),
            *(consume("m", (400 * n, 400 * n + 1), n) for n in range(1, 7)),
            ack("m", (2402, 2403), 6),
        ],
    ),
    "back from the dead": (
        "dead letter delivered",
        [
            publish("m", (0, 5)),
            consume("m", (6, 7)),
            settle("bury", "m", (8, 9)),
            redrive((10, 11), 0),
            consume("m", (400, 401), 2),
            ack("m", (402, 403), 2),
        ],
    ),
    "an ack by a superseded receipt": (
        "superseded receipt taken",
        [publish("m", (0, 5)), consume("m", (6, 7)), consume("m", (300, 305), 2), ack("m", (306, 307))],
    ),
    "an ack after its time": (
        "expired receipt taken",
        [publish("m", (0, 5)), consume("m", (6, 7)), ack("m", (309, 310))],
    ),
    "said to be acked": (
        "refused without a reason",
        [
            publish("m", (0, 5)),
            consume("m", (6, 7)),
            settle("nack", "m", (8, 9), 1, "refused", code="already_acked"),
            ack("m", (10, 11)),
        ],
    ),
    "said to be over": (
        "refused without a reason",
        [
            publish("m", (0, 5)),
            consume("m", (6, 7)),
            settle("ack", "m", (8, 9), 1, "refused", code="receipt_expired"),
            ack("m", (10, 11)),
        ],
    ),
    "before its delay": (
        "delivered early",
        [publish("m", (0, 5), delay_ms=100), consume("m", (90, 95)), ack("m", (96, 97))],
    ),
    "before the delay of a nack": (
        "delivered early",
        [
            publish("m", (0, 5)),
            consume("m", (6, 7)),
            nack("m", (8, 9), delay_ms=100),
            consume("m", (100, 105), 2),
            ack("m", (106, 107), 2),
        ],
    ),
    "the next of a key before the first": (
        "order of a key",
        [
            publish("a", (0, 5), key="k"),
            publish("b", (6, 7), key="k"),
            consume("b", (8, 9), key="k"),
            ack("b", (10, 11)),
            consume("a", (12, 13), key="k"),
            ack("a", (14, 15)),
        ],
    ),
    "a batch of a key out of order": (
        "order of a key",
        [
            publish("a", (0, 5), key="k", batch="x", place=0),
            publish("b", (0, 5), key="k", batch="x", place=1),
            consume("b", (8, 9), key="k"),
            ack("b", (10, 11)),
            consume("a", (12, 13), key="k"),
            ack("a", (14, 15)),
        ],
    ),
    "a nack lets the next of its key pass": (
        "order of a key",
        [
            publish("a", (0, 5), key="k"),
            publish("b", (6, 7), key="k"),
            consume("a", (8, 9), key="k"),
            nack("a", (10, 11)),
            consume("b", (12, 13), key="k"),
            ack("b", (14, 15)),
            consume("a", (16, 17), 2, key="k"),
            ack("a", (18, 19), 2),
        ],
    ),
    "two of a key in flight": (
        "two of a key",
        [
            publish("a", (0, 5), key="k"),
            publish("b", (0, 5), key="k"),
            consume("a", (8, 9), key="k"),
            consume("b", (10, 11), key="k"),
            ack("a", (12, 13)),
            ack("b", (14, 15)),
        ],
    ),
    "a lower priority first": (
        "passed in line",
        [
            publish("low", (0, 5)),
            publish("high", (6, 7), priority=9),
            consume("low", (8, 9)),
            consume("high", (10, 11)),
            ack("low", (12, 13)),
            ack("high", (14, 15)),
        ],
    ),
    "the younger one first": (
        "passed in line",
        [
            publish("a", (0, 5)),
            publish("b", (6, 7)),
            consume("b", (8, 9)),
            consume("a", (10, 11)),
            ack("a", (12, 13)),
            ack("b", (14, 15)),
        ],
    ),
    "nothing for a consumer": (
        "sent away",
        [publish("m", (0, 5)), consume_in_vain((6, 7)), consume("m", (8, 9)), ack("m", (10, 11))],
    ),
}

GOOD: dict[str, list[Event]] = {
    "delivered twice and acked once": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        consume("m", (400, 401), 2),
        ack("m", (402, 403), 1, "refused", "receipt_superseded"),
        ack("m", (404, 405), 2),
    ],
    "an ack whose answer was lost": [publish("m", (0, 5)), consume("m", (6, 7)), ack("m", (8, 9), outcome="unknown")],
    "refused after an ack whose answer was lost": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        ack("m", (8, 9), outcome="unknown"),
        ack("m", (10, 11), outcome="refused", code="already_acked"),
    ],
    "a publish of unknown outcome": [publish("m", (0, 5), "unknown")],
    "delivered while its publish was being answered": [publish("m", (0, 50)), consume("m", (6, 7)), ack("m", (8, 9))],
    "published again by a client that heard nothing": [
        publish("m", (0, 5), "unknown"),
        publish("m", (6, 7)),
        consume("m", (8, 9)),
        ack("m", (10, 11)),
    ],
    "from before the loss": [publish("m", (0, 5)), loss((10, 20))],
    "published while data was being lost": [loss((0, 10)), publish("m", (5, 12))],
    "an ack that was lost": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        ack("m", (8, 9)),
        loss((10, 11)),
        consume("m", (12, 13), 1, receipt="other"),
    ],
    "a delivery that was lost": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        loss((10, 11)),
        ack("m", (12, 13), 1, "refused", "receipt_expired"),
        consume("m", (14, 15), 1, receipt="other"),
    ],
    "an ack while the next delivery is on its way": [
        publish("m", (0, 5)),
        consume("m", (6, 7), visibility_ms=80),
        consume("m", (80, 120), 2),
        ack("m", (84, 115), 1),
    ],
    "an ack at the last moment of what was extended": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        settle("extend", "m", (200, 210), visibility_ms=300),
        ack("m", (510, 511)),
    ],
    "two deliveries of one consume that was repeated": [
        publish("m", (0, 5)),
        consume_in_vain((6, 100), "unknown"),
        consume("m", (350, 400), 2, asked_ms=6, visibility_ms=80),
        consume("m", (401, 402), 3),
        ack("m", (403, 404), 3),
    ],
    "given back, and its answer was lost": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        nack("m", (8, 9), outcome="unknown"),
        consume("m", (10, 11), 2),
        ack("m", (12, 13), 2),
    ],
    "shortened by an extension": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        settle("extend", "m", (8, 9), visibility_ms=50),
        consume("m", (60, 61), 2),
        ack("m", (62, 63), 2),
    ],
    "redriven": [
        publish("m", (0, 5)),
        consume("m", (6, 7)),
        settle("bury", "m", (8, 9)),
        redrive((10, 11), 1),
        consume("m", (12, 13), 1, receipt="other"),
        event("c", "ack", "t", (14, 15), id="m", receipt="other"),
    ],
    "a sixth delivery where more are allowed": [
        event("c", "settings", "t", (0, 1), max_deliveries=6),
        publish("m", (2, 5)),
        *(consume("m", (400 * n, 400 * n + 1), n) for n in range(1, 7)),
        ack("m", (2402, 2403), 6),
    ],
    "at the end of its delay": [
        publish("m", (0, 5), delay_ms=100),
        consume("m", (90, 100)),
        nack("m", (101, 102), delay_ms=50),
        consume("m", (140, 151), 2),
        ack("m", (152, 153), 2),
    ],
    "the next of a key after the first": [
        publish("a", (0, 5), key="k"),
        publish("b", (6, 7), key="k"),
        consume("a", (8, 9), key="k"),
        ack("a", (10, 15)),
        consume("b", (12, 13), key="k"),
        ack("b", (14, 15)),
    ],
    "the next of a key after the first has died": [
        publish("a", (0, 5), key="k"),
        publish("b", (6, 7), key="k"),
        *(consume("a", (400 * n, 400 * n + 1), n, key="k") for n in range(1, 6)),
        consume("b", (2400, 2401), key="k"),
        ack("b", (2402, 2403)),
        redrive((2404, 2405), 1),
        consume("a", (2406, 2407), 1, receipt="other", key="k"),
        event("c", "ack", "t", (2408, 2409), id="a", receipt="other"),
    ],
    "one of a key that was delayed takes its place late": [
        publish("a", (0, 5), key="k", delay_ms=100),
        publish("b", (6, 7), key="k"),
        consume("b", (8, 9), key="k"),
        ack("b", (10, 11)),
        consume("a", (100, 101), key="k"),
        ack("a", (102, 103)),
    ],
    "published at the same time": [
        publish("a", (0, 5)),
        publish("b", (4, 7)),
        consume("b", (8, 9)),
        consume("a", (10, 11)),
        ack("a", (12, 13)),
        ack("b", (14, 15)),
    ],
    "given back to the head of its priority": [
        publish("a", (0, 5)),
        publish("b", (6, 7)),
        consume("a", (8, 9)),
        nack("a", (10, 11)),
        consume("a", (12, 13), 2),
        consume("b", (14, 15)),
        ack("a", (16, 17), 2),
        ack("b", (18, 19)),
    ],
    "taken by a consumer that heard nothing, and passed": [
        publish("a", (0, 5)),
        publish("b", (6, 7)),
        consume_in_vain((8, 9), "unknown"),
        consume("b", (10, 11)),
        consume("a", (400, 401), 2),
        ack("a", (402, 403), 2),
        ack("b", (12, 13)),
    ],
    "kept for another that waits": [
        publish("m", (0, 5)),
        consume_in_vain((6, 7)),
        consume("m", (1, 9), wait_ms=100),
        consume("n", (1, 9), wait_ms=100),
        publish("n", (0, 8)),
        ack("m", (10, 11)),
        ack("n", (10, 11)),
    ],
    "a repeat that brings nothing more": [
        publish("m", (0, 5)),
        consume_in_vain((6, 7), asked_ms=1),
        consume("m", (8, 9)),
        ack("m", (10, 11)),
    ],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_flagged_by_its_rule_with_its_events(name: str) -> None:
    rule, history = BAD[name]
    found = violations(history)
    assert rule in {violation.rule for violation in found}
    for violation in found:
        assert violation.events, "a violation shows what conflicts"
        assert all(shown in history for shown in violation.events)


@pytest.mark.parametrize("name", GOOD)
def test_its_good_twin_passes_every_rule(name: str) -> None:
    assert [str(violation) for violation in violations(GOOD[name])] == []


def test_every_checker_flags_some_history() -> None:
    for checker in QUEUES:
        bad = {**BAD, **test_effects.BAD, **test_ticks.BAD}
        assert any(checker(history) for _, history in bad.values()), checker.__name__
