"""Holds that an operator ended: the record of who decided what, and what no node may vouch for any more."""

from service.decisions.replicated.commands import ForceRelease, Outcome, Place
from service.decisions.replicated.state import Forced, State

FORCED_KEPT = 64
FORCED_HOLDS_KEPT = 1_000
"""Of all records together, the newest one whole."""


def force_release(state: State, command: ForceRelease, place: Place) -> Outcome:
    state.forced.append(Forced(place.index, place.at_ms, command.resource, command.holds, command.reason))
    del state.forced[:-FORCED_KEPT]
    while len(state.forced) > 1 and sum(len(one.holds) for one in state.forced) > FORCED_HOLDS_KEPT:
        del state.forced[0]
    return Outcome("ok", {"index": place.index})
