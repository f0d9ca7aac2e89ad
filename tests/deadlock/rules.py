"""One random picture, judged by the rules and by the oracle."""

from __future__ import annotations

from collections.abc import Sequence

from service.lock.deadlock.cycles import Step, find
from service.lock.deadlock.graph import Hold, Picture, Reduction, Wait, in_the_way, is_plain, without
from tests.deadlock.oracle import never_finish, random_picture


def check(seed: int) -> int:
    """How many waits had to be ended. Raises AssertionError, naming the seed."""
    picture: Picture = random_picture(seed)
    where = f"seed {seed}: {picture}"
    ended = 0
    while True:
        stuck = never_finish(picture)
        assert Reduction(picture).stuck == stuck, where
        assert not (stuck and is_plain(picture)), where
        found = find(picture, lambda _: True)
        assert bool(found) == bool(stuck), f"{where}: {found}"
        if not found:
            return ended
        for cycle in found:
            check_cycle(picture, cycle, stuck, where)
        cycle = found[0]
        assert cycle[0].wait.waiter == youngest_in_a_circle(picture), f"{where}: {cycle}"
        picture = without(picture, cycle[0].wait.waiter)
        ended += 1


def check_cycle(picture: Picture, cycle: Sequence[Step], stuck: frozenset[bytes], where: str) -> None:
    """Each step is true of the picture, and leads to the next."""
    for step, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
        told = f"{where}: {cycle}"
        line = picture[step.lock]
        assert step.wait in line.waits, told
        assert step.wait.owner in stuck, told
        assert step.blocker.owner == following.wait.owner, told
        if isinstance(step.blocker, Hold):
            assert step.blocker in line.holds, told
            assert in_the_way(step.wait, step.blocker), told
        else:
            assert line.waits.index(step.blocker) < line.waits.index(step.wait), told


def youngest_in_a_circle(picture: Picture) -> bytes:
    """By another way than the rules': every wait of the stuck is asked whether it leads back to itself, along all that
    stands in its way and all that stand ahead of it."""
    stuck, granted = Reduction(picture).stuck, Reduction(picture).granted
    waits = [(lock, wait) for lock, line in picture.items() for wait in line.waits if wait.waiter not in granted]

    def needs(waiter: bytes) -> set[bytes]:
        found: set[bytes] = set()
        for lock, wait in waits:
            if wait.waiter != waiter:
                continue
            line = picture[lock]
            ahead = line.waits[: line.waits.index(wait)]
            found |= {other.waiter for other in ahead if other.waiter not in granted}
            blockers: list[Hold | Wait] = [*line.holds, *ahead]
            owners = {one.owner for one in blockers if one.owner in stuck and in_the_way(wait, one)}
            found |= {other.waiter for _, other in waits if other.owner in owners}
        return found

    def leads_back(waiter: bytes) -> bool:
        seen: set[bytes] = set()
        todo = needs(waiter)
        while todo:
            if waiter in todo:
                return True
            seen |= todo
            todo = set().union(*map(needs, todo)) - seen
        return False

    in_circle = {wait.waiter for _, wait in waits if leads_back(wait.waiter)}
    youngest: dict[bytes, int] = {}
    for _, wait in waits:
        if wait.waiter in in_circle:  # in several lines: the latest place counts
            youngest[wait.waiter] = max(wait.place, youngest.get(wait.waiter, 0))
    return max(youngest, key=lambda waiter: youngest[waiter])
