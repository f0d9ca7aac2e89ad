"""What this node knows of holds that operators ended.

The decision stands in the log before a hold ends in Redis, and before every generation that is decided later. So a
node that is asked, in a quarantine, for proof of a hold has applied the decision that ended it, and gives none: whether
Redis lost the end of the hold, or the end never came to Redis.
"""

from __future__ import annotations

from service.decisions.node.leases import Leases
from service.decisions.replicated.machine import DecisionMachine
from service.decisions.replicated.state import Forced
from service.keys import Keys


class ForcedReleases:
    def __init__(self, machine: DecisionMachine, keys: Keys, leases: Leases) -> None:
        self._machine = machine
        self._keys = keys
        self._leases = leases
        self._known: tuple[int, int] = (0, 0)
        machine.on_change(self._follow)

    def of_request(self, request_id: str | None) -> Forced | None:
        """What a request was answered first. Raises the SimpulError of a decision of another kind that was refused."""
        known = self._machine.state.outcomes.get(request_id or "")
        index = known[1].result().get("index") if known is not None else None
        return next((one for one in self._machine.state.forced if one.index == index), None)

    def reason(self, resource: str, owner: str, token: int | None) -> str | None:
        """Why an operator ended this hold, or the latest one of this owner when no token is given; None if that is not
        what happened, or too long ago."""
        for one in reversed(self._machine.state.forced):
            if one.resource == resource and any(
                holder == owner and token in (None, ended) for holder, ended in one.holds
            ):
                return one.reason
        return None

    def _follow(self) -> None:
        forced = self._machine.state.forced
        now = (len(forced), forced[-1].index if forced else 0)
        if now != self._known:
            self._known = now
            self._leases.deny((self._lock_of(one.resource), token) for one in forced for _, token in one.holds)

    def _lock_of(self, resource: str) -> bytes:
        name = resource.encode()
        return self._keys.partition_of(name).lock + name
