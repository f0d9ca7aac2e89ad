"""The replicated state and its fold: the same commands in the same order give the same state on every node.

So nothing here may read a clock, a random source, a setting of this node or anything else that differs between nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import msgspec

from service.decisions import commands
from service.decisions.commands import (
    CLUSTER_SETTINGS,
    ChangeSetting,
    Command,
    FoundCluster,
    Outcome,
    RegisterNode,
    ReplaceDisk,
)

NODES_MAX = 16
LOST_DISKS_MAX = 1_000


class UnknownCommand(Exception):
    """A newer node decided something this version cannot follow; the process must end."""


class Node(msgspec.Struct, array_like=True, frozen=True):
    """A registered node. `disk` is empty after ReplaceDisk, until the next one registers."""

    name: str
    disk: str


class State(msgspec.Struct, array_like=True):
    """Everything that is decided. Fields are appended with defaults, so that older snapshots can be read."""

    cluster_id: str = ""
    nodes: dict[str, Node] = {}
    settings: dict[str, int] = {}
    outcomes: dict[str, tuple[int, Outcome]] = {}
    """By request id, oldest first: CRC of the request, and what it did."""
    lost_disks: list[str] = []
    """Every disk ever declared gone: a node that knows a member by one of these may learn the member's new disk."""


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
        return self.state.settings.get(name, CLUSTER_SETTINGS[name].default)

    # What the runner calls

    def apply(self, index: int, data: bytes) -> Outcome:
        """Fold in the entry at `index`. A request id seen before changes nothing and gets its first outcome."""
        try:
            request = commands.decode(data)
        except msgspec.DecodeError as error:
            raise UnknownCommand(
                f"entry {index} holds a command that this version does not know ({error}): upgrade this node"
            ) from error
        digest = crc32(data)
        known = self.state.outcomes.get(request.request_id)
        if known is not None:
            if known[0] == digest:
                return known[1]
            return Outcome("request_id_reused", {"request_id": request.request_id})
        outcome = self._obey(request.command)
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

    # One method a command

    def _obey(self, command: Command) -> Outcome:
        match command:
            case FoundCluster():
                return self._found(command)
            case RegisterNode():
                return self._register(command)
            case ReplaceDisk():
                return self._replace_disk(command)
            case ChangeSetting():
                return self._change_setting(command)

    def _found(self, command: FoundCluster) -> Outcome:
        self.state.cluster_id = self.state.cluster_id or command.cluster_id
        return Outcome("ok", {"cluster_id": self.state.cluster_id})

    def _register(self, command: RegisterNode) -> Outcome:
        nodes = self.state.nodes
        known = nodes.get(command.url)
        if known is not None and known.disk not in ("", command.disk):
            shown = {"sender": command.url, "disk": command.disk, "known": known.disk}
            return Outcome("raft_disk_replaced", shown)
        if known is None and len(nodes) >= NODES_MAX:
            return Outcome("field_invalid", {"field": "url", "reason": f"{NODES_MAX} nodes are registered already"})
        nodes[command.url] = Node(command.name, command.disk)
        return Outcome("ok", {"url": command.url, "name": command.name})

    def _replace_disk(self, command: ReplaceDisk) -> Outcome:
        known = self.state.nodes.get(command.url)
        if known is None or known.disk != command.lost:
            return Outcome("disk_not_registered", {"url": command.url, "lost": command.lost})
        if len(self.state.lost_disks) >= LOST_DISKS_MAX:
            return Outcome("field_invalid", {"field": "lost", "reason": f"{LOST_DISKS_MAX} disks were lost already"})
        self.state.nodes[command.url] = Node(known.name, "")
        self.state.lost_disks.append(command.lost)
        return Outcome("ok", {"url": command.url, "name": known.name})

    def _change_setting(self, command: ChangeSetting) -> Outcome:
        setting = CLUSTER_SETTINGS.get(command.name)
        if setting is None:
            known = ", ".join(CLUSTER_SETTINGS)
            return Outcome("field_invalid", {"field": "name", "reason": f"is not one of {known}"})
        if not setting.least <= command.value <= setting.most:
            reason = f"must be {setting.least} to {setting.most}"
            return Outcome("field_invalid", {"field": "value", "reason": reason})
        self.state.settings[command.name] = command.value
        return Outcome("ok", {"name": command.name, "value": command.value})
