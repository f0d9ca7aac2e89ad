"""Of those who are stuck: who stands in a circle, which wait is to end, and the circle in words.

Pure, as `graph` is. In the graph searched here a wait points to what it needs: that another wait is granted, or that an
owner finishes; an owner points to its waits. Who is stuck only behind a circle is no part of it, and to end its wait
would help nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from service.lock.deadlock.graph import Hold, Picture, Reduction, Wait, in_the_way

Node = tuple[bool, bytes]
"""A wait (True) by its waiter, or an owner."""


class Step(NamedTuple):
    """Somebody waits for a lock because of somebody: a hold, or a wait ahead of it in the line."""

    lock: bytes
    wait: Wait
    blocker: Hold | Wait


def find(picture: Picture, may_end: Callable[[Wait], bool]) -> list[tuple[Step, ...]]:
    """A circle of each knot of circles, its victim first, the knot of the youngest victim first; nothing when nobody is
    stuck. A victim is the youngest wait (the last that joined its line) of its knot that `may_end`: the one that closed
    it. Whatever other circles there are in a knot, it is in them, too, unless they were there before it came.

    With a semaphore in sight only the first is told: once that is broken, permits may come free for the others.
    """
    reduction = Reduction(picture)
    if not reduction.stuck:
        return []
    needs = _Needs(reduction)
    knot_of = _components(needs)
    youngest: dict[int, tuple[int, bytes]] = {}
    for (is_wait, waiter), knot in knot_of.items():
        if is_wait and may_end((places := reduction.lines_of[waiter])[0][1]):
            age = max(wait.place for _, wait in places), waiter
            youngest[knot] = max(age, youngest.get(knot, age))
    victims = [waiter for _, waiter in sorted(youngest.values(), reverse=True)]
    if any(line.limit for line in picture.values()):
        del victims[1:]
    return [_in_words(needs, _shortest_way_back(needs, knot_of, (True, waiter))) for waiter in victims]


class _Needs:
    """What every stuck node needs. Of those ahead in a line only the first is named, the nearest, and those that wait
    for something else, too: what the others need the first needs as well, so no circle is missed."""

    def __init__(self, reduction: Reduction) -> None:
        self._reduction = reduction
        self._why: dict[tuple[Node, Node], Step] = {}
        self.nodes: dict[Node, list[Node]] = {}
        for owner in reduction.stuck:
            own = [(True, waiter) for waiter in reduction.waits_of[owner] if waiter not in reduction.granted]
            self.nodes[False, owner] = list(own)
            self.nodes.update((node, []) for node in own)
        for lock, line in reduction.picture.items():
            self._look_at(lock, line.holds, line.waits)

    def why(self, node: Node, needed: Node) -> Step:
        return self._why[node, needed]

    def _look_at(self, lock: bytes, holds: tuple[Hold, ...], waits: tuple[Wait, ...]) -> None:
        stuck = self._reduction.stuck
        in_the_lock: list[Hold | Wait] = [hold for hold in holds if hold.owner in stuck]
        ahead: list[Wait] = []
        """First of all the one that keeps the line from moving."""
        previous = None
        for wait in waits:
            if wait.waiter in self._reduction.granted:
                if wait.owner in stuck:
                    in_the_lock.append(wait)
                continue
            for hold in in_the_lock:
                if in_the_way(wait, hold):
                    self._add(lock, wait, hold, (False, hold.owner))
            for other in (*ahead, previous) if previous else ahead:
                self._add(lock, wait, other, (True, other.waiter))
                if in_the_way(wait, other):
                    self._add(lock, wait, other, (False, other.owner))
            if not ahead or self._waits_elsewhere(wait):
                ahead.append(wait)
            previous = wait

    def _waits_elsewhere(self, wait: Wait) -> bool:
        reduction = self._reduction
        return len(reduction.waits_of[wait.owner]) > 1 or len(reduction.lines_of[wait.waiter]) > 1

    def _add(self, lock: bytes, wait: Wait, blocker: Hold | Wait, needed: Node) -> None:
        edge = ((True, wait.waiter), needed)
        if edge not in self._why:
            self._why[edge] = Step(lock, wait, blocker)
            self.nodes[edge[0]].append(needed)


def _components(needs: _Needs) -> dict[Node, int]:
    """By node that stands in a circle: the number of its strongly connected component (Tarjan 1972, without
    recursion)."""
    order: dict[Node, int] = {}
    lowest: dict[Node, int] = {}
    path: list[Node] = []
    is_on_path: set[Node] = set()
    found: dict[Node, int] = {}
    for root in needs.nodes:
        if root in order:
            continue
        calls = [(root, iter(needs.nodes[root]))]
        while calls:
            node, rest = calls[-1]
            if node not in order:
                order[node] = lowest[node] = len(order)
                path.append(node)
                is_on_path.add(node)
            fresh = _next_fresh(node, rest, order, lowest, is_on_path)
            if fresh is not None:
                calls.append((fresh, iter(needs.nodes[fresh])))
                continue
            calls.pop()
            if calls:
                lowest[calls[-1][0]] = min(lowest[calls[-1][0]], lowest[node])
            if lowest[node] == order[node]:
                members = _pop_until(path, node)
                is_on_path.difference_update(members)
                if len(members) > 1:
                    found.update((member, order[node]) for member in members)
    return found


def _next_fresh(
    node: Node, rest: Iterator[Node], order: dict[Node, int], lowest: dict[Node, int], is_on_path: set[Node]
) -> Node | None:
    for needed in rest:
        if needed not in order:
            return needed
        if needed in is_on_path:
            lowest[node] = min(lowest[node], order[needed])
    return None


def _pop_until(path: list[Node], node: Node) -> list[Node]:
    members = [path.pop()]
    while members[-1] != node:
        members.append(path.pop())
    return members


def _shortest_way_back(needs: _Needs, knot_of: dict[Node, int], start: Node) -> list[Node]:
    """From a node through its circle to itself; it stands at both ends."""
    came_from: dict[Node, Node] = {}
    line = deque([start])
    while line:
        node = line.popleft()
        for needed in needs.nodes[node]:
            if needed == start:
                way = [start, node]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if knot_of.get(needed) == knot_of[start] and needed not in came_from:
                came_from[needed] = node
                line.append(needed)
    raise AssertionError("a node of a circle reaches itself")


def _in_words(needs: _Needs, way: list[Node]) -> tuple[Step, ...]:
    return tuple(needs.why(node, needed) for node, needed in pairwise(way) if node[0])
