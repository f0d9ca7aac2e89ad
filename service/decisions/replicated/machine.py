"""The frame of the replicated state: commands in order, each request id once, snapshots, and whoever must hear of a
change. What a command does is in service/decisions/replicated/rules."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from service.decisions.replicated import commands
from service.decisions.replicated.commands import Outcome, Place
from service.decisions.replicated.rules import RULES
from service.decisions.replicated.state import State


class UnknownCommand(Exception):
    """A newer node decided something this version cannot follow; the process must end."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


class DecisionMachine:
    """The state of one node. `on_change` callbacks run after a command or a snapshot changed it."""

    def __init__(self) -> None:
        self.state = State()
        self._on_change: list[Callable[[], None]] = []

    def on_change(self, callback: Callable[[], None]) -> None:
        self._on_change.append(callback)

    def setting(self, name: str) -> int:
        """The value decided for one of CLUSTER_SETTINGS, or its default."""
        return self.state.setting(name)

    # What the runner calls

    def apply(self, index: int, data: bytes) -> Outcome:
        """Fold in the entry at `index`. A request id seen before changes nothing and gets its first outcome."""
        try:
            request = commands.decode(data)
        except msgspec.DecodeError as error:
            raise UnknownCommand(
                f"entry {index} holds a command that this version does not know ({error}): upgrade this node"
            ) from error
        digest = commands.digest(request.command)
        known = self.state.outcomes.get(request.request_id)
        if known is not None:
            if known[0] == digest:
                return known[1]
            return Outcome("request_id_reused", {"request_id": request.request_id})
        outcome = RULES[type(request.command)](self.state, request.command, Place(index, request.at_ms))
        self._remember(request.request_id, digest, outcome)
        self._changed()
        return outcome

    def save(self) -> bytes:
        """The whole state, as `restore` takes it."""
        return _encoder.encode(self.state)

    def restore(self, data: bytes) -> None:
        """Become the saved state. Raises msgspec.DecodeError for that of an unknown version."""
        self.state = _decoder.decode(data)
        self._changed()

    def _remember(self, request_id: str, digest: int, outcome: Outcome) -> None:
        outcomes = self.state.outcomes
        outcomes[request_id] = (digest, outcome)
        most = self.setting("outcomes_kept")
        while len(outcomes) > most:
            del outcomes[next(iter(outcomes))]

    def _changed(self) -> None:
        for callback in self._on_change:
            callback()
