"""The leader's knowledge of the nodes: who was heard when, and what each said. Pure but for the clock it is given."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from service.decisions.node.reports import Report
from service.decisions.replicated.state import State
from service.raft.messages import NodeId


class Heard(NamedTuple):
    report: Report
    at: float


class Desk:
    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` counts seconds and never goes back; its zero means nothing."""
        self._clock = clock
        self.taken_at = clock()
        """When this node became leader. Until then others may have extended delegations that it knows nothing of."""
        self.heard: dict[NodeId, Heard] = {}
        self._extended_at: dict[NodeId, float] = {}
        self._generation = (0, self.taken_at)

    def take_over(self) -> None:
        """A new term of office: what was heard in an earlier one no longer counts."""
        self.taken_at = self._clock()
        self.heard.clear()
        self._extended_at.clear()
        self._generation = (0, self.taken_at)

    def hear(self, report: Report, state: State) -> bool:
        """True when it says something that the one before did not."""
        now = self._clock()
        before = self.heard.get(report.node)
        self.heard[report.node] = Heard(report, now)
        if report.generation == state.generation:
            self._extended_at[report.node] = now
        return before is None or _news(before.report) != _news(report)

    def live(self, state: State) -> tuple[NodeId, ...]:
        """Registered nodes heard within the setting owner_silent_ms."""
        since = self._clock() - state.setting("owner_silent_ms") / 1000
        return tuple(node for node in state.nodes if node in self.heard and self.heard[node].at >= since)

    def reaches_redis(self, state: State, *, blessed: bool) -> NodeId | None:
        """A live node that is connected to Redis, as far as it said lately; to one that is `blessed`, if so asked."""
        wanted = {primary.run_id for primary in state.primaries}
        for node in self.live(state):
            run_ids = self.heard[node].report.run_ids
            if wanted.intersection(run_ids) if blessed else run_ids:
                return node
        return None

    def outvotes(self, run_id: str, seen: Collection[str], state: State) -> tuple[NodeId, ...]:
        """Who stands against taking up the process `run_id`, of those that the leader has `seen`: live nodes that still
        reach one that the cluster works with and the leader does not, unless more of them reach the new one.

        A node with a wrong REDIS_URL may lead. It must not take all others along.
        """
        left = {primary.run_id for primary in state.primaries} - {*seen}
        reports = {node: self.heard[node].report for node in self.live(state)}
        against = tuple(node for node, report in reports.items() if left.intersection(report.run_ids))
        in_favour = sum(run_id in report.run_ids for report in reports.values())
        return against if len(against) >= in_favour else ()

    def is_settled(self, state: State) -> bool:
        """True once every node was heard, or has had the time to be."""
        waited_s = self._clock() - self.taken_at
        return all(node in self.heard for node in state.nodes) or waited_s > state.setting("owner_silent_ms") / 1000

    def old_leases_left_ms(self, state: State) -> int:
        """How long any lease of an older generation can still run, at the most.

        A node that works with this generation has said how long its own do. Of any other it is only known that it
        grants for a delegation after it was heard last, and what length it announced.
        """
        if state.generation != self._generation[0]:
            self._generation = (state.generation, self._clock())
        held_ms = state.generations[-1].hold_ms if state.generations else 0
        taken_over_ms = round(held_ms - (self._clock() - self._generation[1]) * 1000)
        return max(0, taken_over_ms, *(self._left_ms(node, state) for node in state.nodes))

    def _left_ms(self, node: NodeId, state: State) -> int:
        now = self._clock()
        heard = self.heard.get(node)
        if heard is not None and heard.report.generation == state.generation:
            left_s = heard.report.old_leases_ms / 1000 - (now - heard.at)
        else:
            granted_s = (state.delegation_most_ms() + state.cover(node).lease_ms) / 1000
            left_s = granted_s - (now - self._extended_at.get(node, self.taken_at))
        return max(0, round(left_s * 1000))


def _news(report: Report) -> tuple[object, ...]:
    return report.generation, report.shipped, report.loaded, report.redis
