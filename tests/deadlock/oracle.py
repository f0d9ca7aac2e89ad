"""What can become of a picture, by brute force: every order in which owners give back what they hold is played out.

It shares nothing with the rules but the types, and no idea: no reduction, only a lock that is handed on as its scripts
hand it on, and a search through all states.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from service.lock.deadlock.graph import SEMAPHORE, SHARED, Hold, Line, Picture, Wait

EXCLUSIVE = "exclusive"


class State(NamedTuple):
    """Holds as (lock, owner, mode, permits) and, by lock, who still waits."""

    holds: frozenset[tuple[bytes, bytes, str, int, int]]
    lines: tuple[tuple[bytes, tuple[Wait, ...]], ...]


def never_finish(picture: Picture) -> frozenset[bytes]:
    """Owners that keep something for ever, however the others go about it. Fails if that depends on the order."""
    limits = {lock: line.limit for lock, line in picture.items()}
    start = State(
        frozenset(
            (lock, hold.owner, hold.mode, hold.permits, hold.token)
            for lock, line in picture.items()
            for hold in line.holds
        ),
        tuple((lock, line.waits) for lock, line in picture.items()),
    )
    ends: set[frozenset[bytes]] = set()
    seen: set[State] = set()
    todo = [_hand_on(start, limits)]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        moves = _moves(state)
        todo += [_hand_on(after, limits) for after in moves]
        if not moves:
            ends.add(frozenset(wait.owner for _, waits in state.lines for wait in waits))
    (stuck,) = ends
    return stuck


def _moves(state: State) -> list[State]:
    """Whoever waits for nothing gives back one hold, any of them."""
    waiting = {wait.owner for _, waits in state.lines for wait in waits}
    return [state._replace(holds=state.holds - {hold}) for hold in state.holds if hold[1] not in waiting]


def _hand_on(state: State, limits: dict[bytes, int]) -> State:
    """Every lock to whoever is first in line, for as long as there is room."""
    while True:
        lines = dict(state.lines)
        first = next(
            (waits[0] for lock, waits in state.lines if waits and _may_enter(waits[0], lines, state, limits)), None
        )
        if first is None:
            return state
        entered = {
            (lock, first.owner, waits[0].mode, waits[0].permits, -waits[0].place)
            for lock, waits in lines.items()
            if waits and waits[0].waiter == first.waiter
        }
        state = State(
            state.holds | entered,
            tuple((lock, tuple(w for w in waits if w.waiter != first.waiter)) for lock, waits in state.lines),
        )


def _may_enter(first: Wait, lines: dict[bytes, tuple[Wait, ...]], state: State, limits: dict[bytes, int]) -> bool:
    for lock, waits in lines.items():
        mine = [at for at, wait in enumerate(waits) if wait.waiter == first.waiter]
        if not mine:
            continue
        if mine != [0]:
            return False
        others = [hold for hold in state.holds if hold[0] == lock and hold[1] != first.owner]
        wait = waits[0]
        if others and (wait.mode == EXCLUSIVE or {hold[2] for hold in others} != {wait.mode}):
            return False
        if wait.mode == SEMAPHORE and sum(hold[3] for hold in others) + wait.permits > limits[lock]:
            return False
    return True


def random_picture(seed: int) -> dict[bytes, Line]:
    """Locks, read-write locks and semaphores, with owners that mostly wait once, sometimes in several lines at once,
    sometimes twice."""
    draw = random.Random(seed)
    owners = [b"o%d" % number for number in range(draw.randint(2, 5))]
    locks = [b"l%d" % number for number in range(draw.randint(1, 4))]
    limits = {lock: draw.choice((0, 0, 0, 1, 2, 3)) for lock in locks}
    holds = {lock: _random_holds(draw, owners, limits[lock], 100 * at) for at, lock in enumerate(locks)}
    lines: dict[bytes, list[Wait]] = {lock: [] for lock in locks}
    places = iter(draw.sample(range(1, 1000), 64))
    for owner in owners:
        for number in range(draw.choices((0, 1, 2), (25, 65, 10))[0]):
            waiter = b"%s.%d" % (owner, number)
            for lock in draw.sample(locks, draw.choices((1, 2), (80, 20))[0] if len(locks) > 1 else 1):
                lines[lock].append(_random_wait(draw, waiter, next(places), owner, limits[lock]))
    return {
        lock: Line(tuple(holds[lock]), tuple(sorted(lines[lock], key=lambda wait: wait.place)), limits[lock])
        for lock in locks
    }


def _random_wait(draw: random.Random, waiter: bytes, place: int, owner: bytes, limit: int) -> Wait:
    if limit and draw.random() < 0.9:
        return Wait(waiter, place, owner, SEMAPHORE, draw.randint(1, limit))
    return Wait(waiter, place, owner, draw.choice((EXCLUSIVE, SHARED)))


def _random_holds(draw: random.Random, owners: list[bytes], limit: int, token: int) -> list[Hold]:
    holders = draw.sample(owners, draw.randint(0, min(3, len(owners))))
    if limit:
        holds, left = [], limit
        for at, owner in enumerate(holders):
            permits = draw.randint(0, left)
            if permits:
                holds.append(Hold(owner, token + at + 1, SEMAPHORE, permits))
                left -= permits
        return holds
    if draw.random() < 0.5:
        return [Hold(owner, token + 1, EXCLUSIVE) for owner in holders[:1]]
    return [Hold(owner, token + at + 1, SHARED) for at, owner in enumerate(holders)]
