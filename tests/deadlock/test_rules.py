"""Who is stuck, which wait is ended, and what is said of it: without Redis."""

from collections.abc import Mapping

import pytest

from service.lock.deadlock.cycles import find
from service.lock.deadlock.graph import (
    SEMAPHORE,
    SHARED,
    Hold,
    Line,
    Picture,
    Reduction,
    Wait,
    common,
    is_plain,
    without,
)
from tests.deadlock import rules
from tests.deadlock.oracle import EXCLUSIVE, never_finish

RANDOM_PICTURES = 500
BLOCK = 50


def hold(owner: str, mode: str = EXCLUSIVE, permits: int = 1, token: int = 1) -> Hold:
    return Hold(owner.encode(), token, mode, permits)


def wait(owner: str, place: int, mode: str = EXCLUSIVE, permits: int = 1, waiter: str = "") -> Wait:
    return Wait((waiter or owner).encode(), place, owner.encode(), mode, permits)


def picture(**lines: Line) -> Picture:
    return {name.encode(): line for name, line in lines.items()}


def line(holds: list[Hold], waits: list[Wait], limit: int = 0) -> Line:
    return Line(tuple(holds), tuple(sorted(waits, key=lambda one: one.place)), limit)


CASES: Mapping[str, tuple[Picture, str]] = {
    "two that take two locks crosswise": (
        picture(x=line([hold("a")], [wait("b", 2)]), y=line([hold("b")], [wait("a", 1)])),
        "b x a, a y b",
    ),
    "three in a ring": (
        picture(
            x=line([hold("a")], [wait("c", 3)]),
            y=line([hold("b")], [wait("a", 1)]),
            z=line([hold("c")], [wait("b", 2)]),
        ),
        "c x a, a y b, b z c",
    ),
    "a holder that waits for nothing": (picture(x=line([hold("a")], [wait("b", 1), wait("c", 2)])), ""),
    "a chain that ends": (
        picture(x=line([hold("a")], [wait("b", 1)]), y=line([hold("b")], [wait("c", 2)])),
        "",
    ),
    "two readers that each want to write what both read": (
        picture(x=line([hold("a", SHARED), hold("b", SHARED)], [wait("a", 1), wait("b", 2)])),
        "b x a, a x b",
    ),
    "a writer that waits for one of two readers, which waits for it": (
        picture(x=line([hold("a", SHARED), hold("b", SHARED)], [wait("c", 1)]), y=line([hold("c")], [wait("b", 2)])),
        "b y c, c x b",
    ),
    "a reader behind a writer that waits for a reader that waits for the first": (
        picture(
            x=line([hold("a", SHARED)], [wait("w", 1), wait("b", 2, SHARED)]),
            y=line([hold("b")], [wait("a", 3)]),
        ),
        "a y b, b x w, w x a",
    ),
    "readers do not wait for readers": (
        picture(x=line([hold("a", SHARED)], [wait("b", 1, SHARED)]), y=line([hold("b")], [wait("a", 2)])),
        "",
    ),
    "a semaphore whose last permit is with somebody who goes on": (
        picture(
            s=line([hold("a", SEMAPHORE), hold("b", SEMAPHORE, token=2)], [wait("c", 1, SEMAPHORE)], limit=2),
            y=line([hold("c")], [wait("a", 2)]),
        ),
        "",
    ),
    "a semaphore whose permits are all with those who wait": (
        picture(
            s=line([hold("a", SEMAPHORE), hold("b", SEMAPHORE, token=2)], [wait("c", 1, SEMAPHORE)], limit=2),
            y=line([hold("c")], [wait("a", 2), wait("b", 3)]),
        ),
        "b y c, c s b",
    ),
    "a writer of what is a semaphore waits for all of its holders": (
        picture(
            s=line([hold("a", SEMAPHORE), hold("b", SEMAPHORE, token=2)], [wait("c", 1)], limit=9),
            y=line([hold("c")], [wait("a", 2)]),
        ),
        "a y c, c s a",
    ),
    "a wait that wants more permits than those who go on can free": (
        picture(
            s=line([hold("a", SEMAPHORE, 2), hold("b", SEMAPHORE, token=2)], [wait("c", 1, SEMAPHORE, 3)], limit=4),
            y=line([hold("c")], [wait("a", 2)]),
        ),
        "a y c, c s a",
    ),
    "who waits behind a circle is not the one to end": (
        picture(x=line([hold("a")], [wait("b", 2), wait("late", 9)]), y=line([hold("b")], [wait("a", 1)])),
        "b x a, a y b",
    ),
    "one name that waits for itself": (picture(x=line([hold("a")], [wait("a", 1)])), ""),
    "several locks at once against one after the other": (
        picture(
            x=line([hold("a")], [wait("b", 2, waiter="both")]),
            y=line([], [wait("b", 2, waiter="both"), wait("a", 3, waiter="then")]),
        ),
        "a y b, b x a",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_deadlock_is_told_as_it_is_and_its_youngest_wait_is_the_victim(case: str) -> None:
    seen, told = CASES[case]
    found = find(seen, lambda _: True)
    said = ", ".join(
        f"{step.wait.owner.decode()} {step.lock.decode()} {step.blocker.owner.decode()}"
        for step in (found[0] if found else ())
    )
    assert said == told
    assert bool(never_finish(seen)) == bool(told), "by brute force"


@pytest.mark.parametrize("first", range(0, RANDOM_PICTURES, BLOCK))
def test_the_rules_find_what_brute_force_finds(first: int) -> None:
    ended = sum(rules.check(seed) for seed in range(first, first + BLOCK))
    assert ended, "else this shows nothing"


def test_where_nobody_is_in_two_places_nothing_is_reckoned() -> None:
    plain, _ = CASES["a holder that waits for nothing"]
    assert is_plain(plain)
    assert not any(is_plain(seen) for seen, told in CASES.values() if told)


def test_every_knot_has_a_victim_of_its_own() -> None:
    seen = picture(
        x=line([hold("a")], [wait("b", 4)]),
        y=line([hold("b")], [wait("a", 1)]),
        u=line([hold("c")], [wait("d", 3)]),
        v=line([hold("d")], [wait("c", 2)]),
    )
    assert [cycle[0].wait.owner for cycle in find(seen, lambda _: True)] == [b"b", b"d"]


def test_a_wait_that_may_not_be_ended_is_passed_over() -> None:
    seen, _ = CASES["two that take two locks crosswise"]
    ((victim, _),) = find(seen, lambda one: one.owner == b"a")
    assert victim.wait.owner == b"a"
    assert find(seen, lambda _: False) == []


def test_what_two_readings_do_not_agree_upon_proves_nothing() -> None:
    seen, _ = CASES["two that take two locks crosswise"]
    assert Reduction(common(seen, seen)).stuck == {b"a", b"b"}
    for later in (
        {**seen, b"x": line([hold("a", token=2)], [wait("b", 2)])},  # it was given back and granted again
        {**seen, b"x": line([hold("a")], [wait("b", 3)])},  # the wait left and came again
        {**seen, b"x": line([], [])},
        {b"x": seen[b"x"]},  # not read a second time
    ):
        assert not Reduction(common(seen, later)).stuck
        assert not Reduction(common(later, seen)).stuck


def test_fewer_permits_in_the_second_reading_count() -> None:
    seen, _ = CASES["a wait that wants more permits than those who go on can free"]
    later = {**seen, b"s": line([hold("a", SEMAPHORE, 1)], [wait("c", 1, SEMAPHORE, 3)], limit=4)}
    assert Reduction(seen).stuck
    assert not Reduction(common(seen, later)).stuck


def test_a_long_line_behind_a_circle_is_no_part_of_it() -> None:
    many = [wait(f"w{number}", 10 + number) for number in range(10_000)]
    seen = picture(x=line([hold("a")], [wait("b", 2), *many]), y=line([hold("b")], [wait("a", 1)]))
    assert len(Reduction(seen).stuck) == 10_002
    ((first, _),) = find(seen, lambda _: True)
    assert first.wait.owner == b"b"
    assert not Reduction(without(seen, b"b")).stuck
