"""Everything that is decided, as every node holds it. Fields are appended with defaults, so that older snapshots can
be read; nothing here is computed from a clock or a setting of one node."""

from __future__ import annotations

import msgspec

from service.decisions.replicated.commands import CLUSTER_SETTINGS, Blessed, Outcome

LEASE_COVER_MS_DEFAULT = 60_000
"""What a node counts with that has announced nothing yet."""


class Node(msgspec.Struct, array_like=True, frozen=True):
    """A registered node. `disk` is empty after ReplaceDisk, until the next one registers."""

    name: str
    disk: str


class Generation(msgspec.Struct, array_like=True, frozen=True):
    """One generation and why it began; `at_ms` is the wall clock of the leader that proposed it, since 1970."""

    number: int
    why: str
    at_ms: int
    primaries: tuple[Blessed, ...]
    hold_ms: int = 0
    """How long leases of a cluster whose data was taken over can run."""


class StoredSet(msgspec.Struct, array_like=True, frozen=True):
    """A staged script set; `packed` is as service.store.bundle packs it."""

    packed: bytes
    layout: int
    reads: tuple[int, ...]
    staged_at_ms: int


class Cover(msgspec.Struct, array_like=True, frozen=True):
    """The longest lease that a node may grant, and the index in the log of the decision that says so."""

    lease_ms: int
    index: int


class Forced(msgspec.Struct, array_like=True, frozen=True):
    """Holds that an operator ended, each an owner and a token; `index` and `at_ms`: where and when it was decided."""

    index: int
    at_ms: int
    resource: str
    holds: tuple[tuple[str, int], ...]
    reason: str


class State(msgspec.Struct, array_like=True):
    cluster_id: str = ""
    nodes: dict[str, Node] = {}
    settings: dict[str, int] = {}
    outcomes: dict[str, tuple[int, Outcome]] = {}
    """By request id, oldest first: CRC of the request, and what it did."""
    lost_disks: list[str] = []
    """Every disk ever declared gone: a node that knows a member by one of these may learn the member's new disk."""
    generations: list[Generation] = []
    """The latest ones, newest last."""
    adopted: dict[str, int] = {}
    """Clusters whose data is ours, and for how long their leases are held back, ms."""
    covers: dict[str, Cover] = {}
    """By node, where it is not the default."""
    delegation_longest_ms: int = 0
    """A silent node may still go by a longer delegation than the one decided since."""
    script_sets: dict[str, StoredSet] = {}
    """By version, oldest first."""
    activations: list[str] = []
    """Versions in the order in which they became active, the active one last."""
    layout: int = 0
    """Of the data in Redis; 0 before there is any."""
    owners: tuple[str, ...] = ()
    """By partition: the URL of the node that does its duties."""
    assignment: int = 0
    """Index in the log of the decision that made `owners`: what a duty is fenced with."""

    forced: list[Forced] = []
    """The latest ones, newest last."""

    def setting(self, name: str) -> int:
        """The value decided for one of CLUSTER_SETTINGS, or its default."""
        return self.settings.get(name, CLUSTER_SETTINGS[name].default)

    @property
    def generation(self) -> int:
        """0 before the first one."""
        return self.generations[-1].number if self.generations else 0

    @property
    def primaries(self) -> tuple[Blessed, ...]:
        return self.generations[-1].primaries if self.generations else ()

    @property
    def script_set(self) -> str:
        """The active one; empty before the first activation."""
        return self.activations[-1] if self.activations else ""

    def cover(self, url: str) -> Cover:
        """The longest lease that the node at `url` may have granted."""
        return self.covers.get(url, Cover(LEASE_COVER_MS_DEFAULT, 0))

    def delegation_most_ms(self) -> int:
        """The longest a node may go on granting that does not hear from the leader."""
        return max(self.delegation_longest_ms, self.setting("delegation_ms"))
