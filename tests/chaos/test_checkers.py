"""Each rule on locks and caches flags the smallest history that breaks it, and passes its twin that does not."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.chaos.checkers import CACHES, LOCKS, Checker, violations
from tests.chaos.checkers.cache import no_stale_read, no_stale_strong_read, reads
from tests.chaos.checkers.entries import is_a_fenced_reentrant_mutex, is_a_reentrant_mutex
from tests.chaos.checkers.holds import no_two_holders
from tests.chaos.checkers.models import is_a_fenced_mutex, is_an_owner_aware_mutex
from tests.chaos.checkers.permits import is_a_semaphore
from tests.chaos.checkers.register import no_guarded_update_is_lost, no_update_is_lost_to_a_holder, stale_writers_fail
from tests.chaos.checkers.tokens import tokens_rise
from tests.chaos.histories import (
    acquire,
    enter,
    get,
    give,
    invalidate,
    leave,
    loss,
    put,
    release,
    renew,
    strong_get,
    take,
    write,
)
from tests.chaos.history import Event, load, save

plain = partial(write, kind="plain")

BAD: dict[str, tuple[Checker, list[Event]]] = {
    "two grants within one lease": (no_two_holders, [acquire("a", (0, 5), 1), acquire("b", (10, 15), 2)]),
    "a grant within a renewed lease": (
        no_two_holders,
        [acquire("a", (0, 5), 1), renew("a", (800, 805), 1), acquire("b", (1100, 1105), 2)],
    ),
    "a grant before the release was asked for": (
        no_two_holders,
        [acquire("a", (0, 5), 1), acquire("b", (10, 15), 2), release("a", (20, 25), 1)],
    ),
    "a grant before the holder was told of its loss": (
        no_two_holders,
        [
            acquire("a", (0, 5), 1),
            acquire("b", (10, 15), 2),
            renew("a", (20, 30), 1, outcome="refused", code="lock_lost"),
        ],
    ),
    "a refused renewal leaves the old lease": (
        no_two_holders,
        [
            acquire("a", (0, 5), 1),
            renew("a", (6, 9), 1, outcome="refused", code="no_delegation"),
            acquire("b", (10, 15), 2),
        ],
    ),
    "a refused release leaves the lease": (
        no_two_holders,
        [acquire("a", (0, 5), 1), release("a", (6, 9), 1, "refused", "store_unavailable"), acquire("b", (10, 15), 2)],
    ),
    "a writer beside a reader": (
        no_two_holders,
        [acquire("a", (0, 5), 1, mode="shared"), acquire("b", (10, 15), 2)],
    ),
    "a reader beside a writer": (
        no_two_holders,
        [acquire("a", (0, 5), 1), acquire("b", (10, 15), 2, mode="shared")],
    ),
    "a short reader hides no long one": (
        no_two_holders,
        [
            acquire("a", (0, 5), 1, mode="shared"),
            acquire("b", (6, 9), 2, mode="shared", ttl_ms=300),
            acquire("c", (500, 505), 3),
        ],
    ),
    "a hold that got a new token": (
        no_two_holders,
        [acquire("a", (0, 5), 1), renew("a", (6, 9), 1, new_token=4), acquire("b", (10, 15), 5)],
    ),
    "a token below an earlier one": (
        tokens_rise,
        [acquire("a", (0, 5), 2), release("a", (6, 7), 2), acquire("b", (10, 15), 1)],
    ),
    "a token twice": (tokens_rise, [acquire("a", (0, 20), 2), acquire("b", (10, 15), 2)]),
    "a token below that of the grant before the last": (
        tokens_rise,
        [acquire("a", (0, 5), 10), acquire("b", (0, 6), 8), acquire("c", (20, 25), 9)],
    ),
    "a guarded write over an unread one": (
        no_guarded_update_is_lost,
        [write(1, "a", 1, 0, 1), write(2, "b", 2, 0, 2)],
    ),
    "a plain write over an unread one": (
        no_update_is_lost_to_a_holder,
        [plain(1, "a", 2, 0, 1), plain(2, "b", 1, 0, 2)],
    ),
    "a lower token accepted": (stale_writers_fail, [write(1, "b", 2, 0, 1), write(2, "a", 1, 1, 2)]),
    "an equal token of another owner": (stale_writers_fail, [write(1, "b", 2, 0, 1), write(2, "a", 2, 1, 2)]),
    "an acquire while somebody owns it": (
        is_an_owner_aware_mutex,
        [acquire("a", (0, 5), 1), acquire("b", (10, 15), 2), release("a", (20, 25), 1)],
    ),
    "a release by a stranger": (
        is_an_owner_aware_mutex,
        [acquire("a", (0, 5), 1), release("b", (10, 15), 1)],
    ),
    "a second release": (
        is_an_owner_aware_mutex,
        [acquire("a", (0, 5), 1), release("a", (6, 7), 1), release("a", (8, 9), 1)],
    ),
    "a renewal after the release": (
        is_an_owner_aware_mutex,
        [acquire("a", (0, 5), 1), release("a", (6, 7), 1), renew("a", (8, 9), 1)],
    ),
    "a release of a hold that another followed": (
        is_an_owner_aware_mutex,
        [acquire("a", (0, 5), 1, ttl_ms=300), acquire("b", (400, 405), 2), release("a", (410, 415), 1)],
    ),
    "an owner's grant without a higher token": (
        is_a_fenced_mutex,
        [acquire("a", (0, 5), 2), release("a", (6, 7), 2), acquire("b", (10, 15), 1)],
    ),
    "tokens against the only order of overlapping grants": (
        is_a_fenced_mutex,
        [acquire("a", (0, 30), 2), release("a", (31, 32), 2), acquire("b", (10, 35), 1), release("b", (40, 41), 1)],
    ),
    "a stranger who enters": (
        is_a_reentrant_mutex,
        [enter("a", (0, 5), 1, 1), enter("b", (10, 15), 2, 1)],
    ),
    "somebody who enters after leaving once of twice": (
        is_a_reentrant_mutex,
        [enter("a", (0, 5), 1, 1), enter("a", (6, 7), 1, 2), leave("a", (8, 9), 1, 1), enter("b", (10, 15), 2, 1)],
    ),
    "an entry that was not counted": (
        is_a_reentrant_mutex,
        [enter("a", (0, 5), 1, 1), enter("a", (6, 7), 1, 2), leave("a", (8, 9), 1, 0)],
    ),
    "an entry of which nobody heard, counted twice": (
        is_a_reentrant_mutex,
        [enter("a", (0, 5), 1, 1), enter("a", (6, 20), 1, 2, "unknown"), leave("a", (21, 22), 1, 2)],
    ),
    "an entry counted twice": (is_a_reentrant_mutex, [enter("a", (0, 5), 1, 1), enter("a", (6, 7), 1, 3)]),
    "an entry with another token": (is_a_reentrant_mutex, [enter("a", (0, 5), 1, 1), enter("a", (6, 7), 2, 2)]),
    "a stranger who leaves": (is_a_reentrant_mutex, [enter("a", (0, 5), 1, 1), leave("b", (6, 7), 1, 0)]),
    "an entry with a token below an earlier one": (
        is_a_fenced_reentrant_mutex,
        [enter("a", (0, 5), 2, 1), leave("a", (6, 7), 2, 0), enter("b", (10, 15), 1, 1)],
    ),
    "a fourth permit of three": (
        is_a_semaphore,
        [take("a", (0, 5), 1, 2), take("b", (6, 7), 2), take("c", (8, 9), 3)],
    ),
    "a permit given back twice": (is_a_semaphore, [take("a", (0, 5), 1), give("a", (6, 7), 1), give("a", (8, 9), 1)]),
    "a permit given back by a stranger": (is_a_semaphore, [take("a", (0, 5), 1), give("b", (6, 7), 1)]),
    "an overwritten value": (no_stale_read, [put(1, (0, 1)), put(2, (5, 6)), get(1, (1007, 1008))]),
    "a value that is said to be missing": (no_stale_read, [put(1, (0, 1)), get(0, (1002, 1003))]),
    "an invalidated value": (no_stale_read, [put(1, (0, 1)), invalidate((5, 6)), get(1, (1007, 1008))]),
    "a value overwritten again and again, at first longer ago than the bound": (
        no_stale_read,
        [put(1, (0, 1)), put(2, (5, 6)), put(3, (900, 901)), get(1, (1007, 1008))],
    ),
    "a value overwritten by a put whose rival was lost on its way": (
        no_stale_read,
        [put(1, (0, 1)), put(3, (5, 6)), put(2, (4, 7), "unknown"), get(1, (1007, 1008))],
    ),
    "an old value beside a new one": (
        no_stale_read,
        [put(1, (0, 1)), put(2, (5, 6)), get(2, (1007, 1008)), get(1, (1009, 1010))],
    ),
    "an overwritten value, read strongly": (
        no_stale_strong_read,
        [put(1, (0, 1)), put(2, (5, 6)), strong_get(1, (7, 8))],
    ),
    "a missing value, read strongly": (no_stale_strong_read, [put(1, (0, 1)), strong_get(0, (2, 3))]),
    "an invalidated value, read strongly": (
        no_stale_strong_read,
        [put(1, (0, 1)), invalidate((5, 6)), strong_get(1, (7, 8))],
    ),
    "an overwritten value from after the loss": (
        no_stale_read,
        [loss((0, 10)), put(1, (11, 12)), put(2, (13, 14)), get(1, (1015, 1016))],
    ),
}

GOOD: dict[str, list[Event]] = {
    "a grant after the lease": [acquire("a", (0, 5), 1), acquire("b", (990, 1005), 2)],
    "a grant within the grain of the clock": [acquire("a", (0, 5), 1), acquire("b", (900, 999.2), 2)],
    "a grant after the renewed lease": [
        acquire("a", (0, 5), 1),
        renew("a", (500, 505), 1, ttl_ms=300),
        acquire("b", (700, 805), 2),
    ],
    "a grant while the release is on its way": [
        acquire("a", (0, 5), 1),
        release("a", (6, 20), 1),
        acquire("b", (7, 9), 2),
    ],
    "a grant while a release of unknown outcome is on its way": [
        acquire("a", (0, 5), 1),
        release("a", (6, 20), 1, "unknown"),
        acquire("b", (30, 35), 2),
    ],
    "a shorter lease by a renewal whose answer was lost": [
        acquire("a", (0, 5), 1),
        renew("a", (6, 20), 1, ttl_ms=300, outcome="unknown"),
        acquire("b", (400, 405), 2),
    ],
    "a release after a renewal ends the grant's lease too": [
        acquire("a", (0, 5), 1),
        renew("a", (6, 7), 1),
        release("a", (8, 9), 1),
        acquire("b", (10, 15), 2),
    ],
    "two readers": [acquire("a", (0, 5), 1, mode="shared"), acquire("b", (10, 15), 2, mode="shared")],
    "a writer after the readers": [
        acquire("a", (0, 5), 1, mode="shared"),
        release("a", (10, 15), 1),
        acquire("b", (20, 25), 2),
    ],
    "a hold that got a new token and ended": [
        acquire("a", (0, 5), 1),
        renew("a", (6, 9), 1, new_token=4),
        release("a", (10, 11), 4),
        acquire("b", (12, 15), 5),
    ],
    "an acquire of unknown outcome that holds": [
        acquire("a", (0, 5), 1, outcome="unknown"),
        acquire("b", (1100, 1105), 2),
    ],
    "an acquire of unknown outcome that was never carried out": [
        acquire("a", (0, 5), 1, outcome="unknown"),
        acquire("b", (10, 15), 2),
        release("b", (16, 17), 2),
    ],
    "overlapping grants in the order of their tokens": [
        acquire("a", (0, 30), 2),
        release("a", (31, 32), 2),
        acquire("b", (10, 35), 3),
        release("b", (40, 41), 3),
    ],
    "a grant whose answer came after that of the next": [
        acquire("a", (0, 30), 1, ttl_ms=5),
        acquire("b", (10, 20), 2),
    ],
    "a late release of a hold that nobody followed": [acquire("a", (0, 5), 1, ttl_ms=300), release("a", (310, 315), 1)],
    "somebody who enters after the last has left": [
        enter("a", (0, 5), 1, 1),
        enter("a", (6, 7), 1, 2),
        leave("a", (8, 9), 1, 1),
        leave("a", (10, 12), 1, 0),
        enter("b", (11, 15), 2, 1),
    ],
    "somebody who enters after a lease that the last entry prolonged": [
        enter("a", (0, 5), 1, 1),
        enter("a", (500, 505), 1, 2),
        enter("b", (1400, 1505), 2, 1),
    ],
    "somebody who enters while leaving of unknown outcome is on its way": [
        enter("a", (0, 5), 1, 1),
        leave("a", (6, 20), 1, 0, "unknown"),
        enter("b", (30, 35), 2, 1),
    ],
    "an entry of which nobody heard, and that counted": [
        enter("a", (0, 5), 1, 1),
        enter("a", (6, 20), 1, 2, "unknown"),
        leave("a", (21, 22), 1, 1),
        leave("a", (23, 24), 1, 0),
    ],
    "an entry of which nobody heard, and that did nothing": [
        enter("a", (0, 5), 1, 1),
        enter("a", (6, 20), 1, 2, "unknown"),
        leave("a", (21, 22), 1, 0),
        enter("b", (23, 24), 2, 1),
    ],
    "a count that is too high after a loss": [
        enter("a", (0, 5), 1, 1),
        enter("a", (6, 7), 1, 2),
        leave("a", (8, 9), 1, 1),
        loss((10, 20)),
        leave("a", (30, 31), 1, 1),
    ],
    "three permits, and another after one came back": [
        take("a", (0, 5), 1, 2),
        take("b", (6, 7), 2),
        give("a", (8, 20), 1),
        take("c", (9, 15), 3, 2),
    ],
    "a permit whose lease has ended": [take("a", (0, 5), 1, 3), take("b", (990, 1005), 2)],
    "a permit taken and never told": [take("a", (0, 5), 1, 3, "unknown"), take("b", (6, 7), 2)],
    "writes that build on each other": [write(1, "a", 1, 0, 1), write(2, "a", 1, 1, 2), write(3, "b", 2, 2, 3)],
    "a stale writer that was refused": [
        write(1, "b", 2, 0, 1),
        Event("a", "write", "r", 2, 2, "refused", values={"register": "guarded", "turn": 2, "token": 1, "owner": "a"}),
    ],
    "a value overwritten within the bound": [put(1, (0, 1)), put(2, (5, 6)), get(1, (1005, 1008))],
    "a value overwritten just within the bound": [put(1, (0, 1)), put(2, (5, 6)), get(1, (1005.9, 1030))],
    "a value overwritten while it was read strongly": [put(1, (0, 1)), put(2, (5, 8)), strong_get(1, (7, 9))],
    "a strong read after a loss": [put(1, (0, 1)), loss((2, 3)), put(2, (4, 5)), strong_get(1, (6, 7))],
    "the newest value": [put(1, (0, 1)), put(2, (5, 6)), get(2, (1007, 1008))],
    "a put of unknown outcome that was carried out": [put(1, (0, 1)), put(2, (5, 6), "unknown"), get(2, (2000, 2001))],
    "a value invalidated within the bound": [put(1, (0, 1)), invalidate((500, 501)), get(1, (1007, 1008))],
    "a value that was invalidated": [put(1, (0, 1)), invalidate((5, 6)), get(0, (1007, 1008))],
    "a value that an invalidation of unknown outcome took": [
        put(1, (0, 1)),
        invalidate((5, 6), "unknown"),
        get(0, (1007, 1008)),
    ],
    "a value that was lost": [put(1, (0, 1)), loss((10, 20)), get(0, (2000, 2001))],
    "an older value that came back by a loss": [put(1, (0, 1)), put(2, (5, 6)), loss((10, 20)), get(1, (2000, 2001))],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_flagged_with_its_events(name: str) -> None:
    checker, history = BAD[name]
    found = checker(history)
    assert found, "not flagged"
    for violation in found:
        assert violation.events, "a violation shows what conflicts"
        assert all(shown in history for shown in violation.events)
        assert all(str(shown) in str(violation) for shown in violation.events)


@pytest.mark.parametrize("name", GOOD)
def test_its_good_twin_passes_every_rule(name: str) -> None:
    assert [str(violation) for violation in violations(GOOD[name])] == []


@pytest.mark.parametrize(
    "told",
    [
        renew("a", (6, 9), 1, outcome="refused", code="lock_lost"),
        release("a", (6, 9), 1, "refused", "lock_not_held"),
    ],
    ids=lambda event: event.code,
)
def test_a_holder_that_was_told_of_its_loss_holds_no_more(told: Event) -> None:
    history = [acquire("a", (0, 5), 1), told, acquire("b", (10, 15), 2)]
    assert no_two_holders(history) == []
    assert is_an_owner_aware_mutex(history), "the lease was promised all the same"


@pytest.mark.parametrize(
    ("history", "stale_ms"),
    [
        ([put(1, (0, 1)), get(1, (5, 6))], 0),
        ([put(1, (0, 1)), put(2, (5, 8)), get(1, (7, 9))], 0),
        ([put(1, (0, 1)), put(2, (5, 6)), get(1, (10, 11))], 4),
        ([put(1, (0, 1)), put(2, (5, 6)), put(3, (7, 9)), get(1, (10, 11))], 4),
        ([put(1, (0, 1)), put(2, (5, 6)), put(3, (7, 9)), get(2, (10, 11))], 1),
        ([put(1, (0, 1)), put(2, (5, 6), "unknown"), get(1, (10, 11))], 0),
        ([put(1, (0, 1)), invalidate((5, 6)), get(1, (10, 11))], 4),
        ([put(1, (0, 1)), invalidate((5, 6), "unknown"), get(1, (10, 11))], 0),
        ([put(1, (0, 1)), get(0, (10, 11))], 9),
        ([put(1, (0, 1)), invalidate((2, 3)), put(2, (4, 5)), get(0, (10, 11))], 5),
        ([put(1, (0, 1)), put(2, (5, 6)), loss((7, 8)), get(1, (10, 11))], 0),
    ],
)
def test_how_old_a_read_is_counts_from_what_was_acknowledged_first(history: list[Event], stale_ms: float) -> None:
    assert [read.stale_ms for read in reads(history)] == [stale_ms]


def test_every_rule_has_a_bad_history() -> None:
    assert {checker for checker, _ in BAD.values()} == set(LOCKS + CACHES)


def test_two_conflicting_events_are_named() -> None:
    (violation,) = no_two_holders([acquire("a", (0, 5), 1), acquire("b", (10, 15), 2)])
    assert [event.client for event in violation.events] == ["a", "b"]
    assert "a holds r until 999.00 ms, b from 15.00 ms: 984.00 ms together" in str(violation)


def test_a_history_is_stored_and_read_back(tmp_path: Path) -> None:
    history = [acquire("a", (0, 5.25), 2**52), loss((7, 8)), renew("a", (9, 10), 2**52, outcome="unknown")]
    save(history, tmp_path / "deep" / "h.jsonl")
    assert load(tmp_path / "deep" / "h.jsonl") == history
