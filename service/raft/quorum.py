"""Counting majorities. Pure functions: any two majorities of the same members share one (§5.2, §5.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from service.raft.messages import NodeId


class Tally(Enum):
    """Where an election stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(members: int) -> int:
    """The smallest count of which any two sets of `members` (>= 1) intersect."""
    return members // 2 + 1


def agreed_index(positions: Iterable[int]) -> int:
    """The highest index a majority has reached, one position per member (§5.3, §5.4.2).

    Serves both the commit index (durable match indexes) and ReadIndex (confirmed heartbeat rounds).
    """
    descending = sorted(positions, reverse=True)
    return descending[majority(len(descending)) - 1]


def tally(votes: Mapping[NodeId, bool], members: int) -> Tally:
    """Count one term's votes; `votes` has at most one answer per member, so a repeated reply adds nothing."""
    granted = sum(votes.values())
    needed = majority(members)
    if granted >= needed:
        return Tally.WON
    # Lost as soon as the members not yet refusing cannot make a majority: no need to wait for the rest.
    if members - (len(votes) - granted) < needed:
        return Tally.LOST
    return Tally.PENDING
