"""What the cluster can decide: one typed command a kind, and the outcome each leaves.

A command is stored in the log of every node for as long as the log lives, so a field may be added with a default, and
a tag is never reused. A node that meets a command it does not know must stop: to skip it would fork its state. A
command that depends on what its proposer saw names it (`expected…`) and does nothing once that has changed, so that
two who see the same thing at once decide it once.
"""

from __future__ import annotations

from typing import Annotated, Any
from zlib import crc32

import msgspec

from service.error_registry import BY_CODE
from service.errors import SimpulError
from service.keys import PARTITIONS
from service.limits import LOCK_HOLDERS_SHOWN_MAX, NAME_BYTES_MAX

REQUEST_ID_BYTES_MAX = 512

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Sentence = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_BYTES_MAX)]


class FoundCluster(msgspec.Struct, array_like=True, frozen=True, tag="found_cluster"):
    """Give the cluster an id of its own, once: the first leader's proposal counts, later ones change nothing."""

    cluster_id: Short


class RegisterNode(msgspec.Struct, array_like=True, frozen=True, tag="register_node"):
    """The node at `url` is called `name` and remembers what `disk` holds. Another disk than the registered one is
    refused with raft_disk_replaced."""

    url: Url
    name: Short
    disk: Short


class ReplaceDisk(msgspec.Struct, array_like=True, frozen=True, tag="replace_disk"):
    """The operator declares the disk `lost` of the node at `url` gone: the next disk that registers takes its place."""

    url: Url
    lost: Short


class ChangeSetting(msgspec.Struct, array_like=True, frozen=True, tag="change_setting"):
    """Set one of `CLUSTER_SETTINGS` on all nodes at once."""

    name: Short
    value: int


class Blessed(msgspec.Struct, array_like=True, frozen=True):
    """A running Redis primary that the cluster works with (design: incarnation)."""

    run_id: Short
    replication_id: Short


class RaiseGeneration(msgspec.Struct, array_like=True, frozen=True, tag="raise_generation"):
    """Redis may have lost data, or begins: from now on `primaries` and no others carry traffic, under `number`. Locks
    are held back for `hold_ms` at least, whatever the nodes say: another cluster granted some."""

    expected: int
    number: int
    primaries: tuple[Blessed, ...]
    why: Sentence
    hold_ms: int = 0


class AdoptData(msgspec.Struct, array_like=True, frozen=True, tag="adopt_data"):
    """What Redis holds of the cluster `cluster_id`, which is gone for good, is ours; locks that it granted are held
    back for `quarantine_ms`."""

    cluster_id: Short
    quarantine_ms: int


class CoverLeases(msgspec.Struct, array_like=True, frozen=True, tag="cover_leases"):
    """The node at `url` grants leases of up to `lease_ms`: when it is silent, the others reckon with that. `expected`
    is the index of the announcement that this one replaces, 0 for the first."""

    url: Url
    expected: int
    lease_ms: int


class StageScripts(msgspec.Struct, array_like=True, frozen=True, tag="stage_scripts"):
    """Make a script set known to every node, which then loads it into Redis."""

    version: Short
    packed: bytes


class ActivateScripts(msgspec.Struct, array_like=True, frozen=True, tag="activate_scripts"):
    """Every node calls the scripts of `version` from here on."""

    version: Short
    expected: Annotated[str, msgspec.Meta(max_length=64)]


class AssignPartitions(msgspec.Struct, array_like=True, frozen=True, tag="assign_partitions"):
    """`owners` holds the node that does the duties of each partition; `expected` is the assignment it replaces."""

    expected: int
    owners: Annotated[tuple[str, ...], msgspec.Meta(min_length=PARTITIONS, max_length=PARTITIONS)]


class ForceRelease(msgspec.Struct, array_like=True, frozen=True, tag="force_release"):
    """An operator ends these holds of a lock, each an owner and a token: from now on no node vouches for them. The node
    that was asked ends them in Redis once this is decided."""

    resource: Word
    holds: Annotated[tuple[tuple[Word, int], ...], msgspec.Meta(max_length=LOCK_HOLDERS_SHOWN_MAX)]
    reason: Word


Command = (
    FoundCluster
    | RegisterNode
    | ReplaceDisk
    | ChangeSetting
    | RaiseGeneration
    | AdoptData
    | CoverLeases
    | StageScripts
    | ActivateScripts
    | AssignPartitions
    | ForceRelease
)


class ClusterSetting(msgspec.Struct, frozen=True):
    """A number that must be, or is best, the same on every node, and can change while they run."""

    default: int
    least: int
    most: int
    about: str


CLUSTER_SETTINGS = {
    "snapshot_entries": ClusterSetting(
        4_096,
        16,
        1_000_000,
        "Entries between two snapshots. More of them make restarts slower and the log larger; fewer write more.",
    ),
    "outcomes_kept": ClusterSetting(
        4_096,
        16,
        100_000,
        "Request ids whose outcome is remembered, newest first. A retry later than this many commands runs again.",
    ),
    "quarantine": ClusterSetting(
        1,
        0,
        1,
        "1: after Redis may have lost data no lock is granted until every lease from before must have ended. 0 grants "
        "at once: two clients can then hold one lock, unless Redis loses nothing (appendfsync always and no failover).",
    ),
    "delegation_ms": ClusterSetting(
        10_000,
        1_000,
        600_000,
        "A node without contact to a leader for this long grants and renews no locks. Longer: locks survive a longer "
        "absence of leaders, and a silent node prolongs a quarantine by as much.",
    ),
    "owner_silent_ms": ClusterSetting(
        5_000,
        1_000,
        600_000,
        "A node that the leader has not heard for this long loses its partitions' duties to the others.",
    ),
    "lock_history": ClusterSetting(
        0,
        0,
        1,
        "1: what happens to locks is recorded always, for GET /lock/NAME?history=. Grants and releases then cost more. "
        "0: only where somebody watches, and for 10 minutes after.",
    ),
}


class Request(msgspec.Struct, array_like=True, frozen=True):
    """An entry of the log: a command, and the id under which a repeat is recognised."""

    request_id: Annotated[str, msgspec.Meta(min_length=1, max_length=REQUEST_ID_BYTES_MAX)]
    command: Command
    at_ms: int = 0
    """Wall-clock time of the proposer since 1970, for people to read: nothing is computed from it, and a repeat may
    say another."""


class Place(msgspec.Struct, frozen=True):
    """Where and when a command was decided; `at_ms` is for people to read."""

    index: int
    at_ms: int


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """What a command did: code "ok" with `fields` its result, or a code of the error registry with its fields."""

    code: str
    fields: dict[str, Any] = {}

    def result(self) -> dict[str, Any]:
        """The fields of a command that was obeyed. Raises the SimpulError of one that was refused."""
        if self.code == "ok":
            return self.fields
        raise self.refusal()

    def refusal(self) -> SimpulError:
        return BY_CODE[self.code](**self.fields)


def refused(error: SimpulError) -> Outcome:
    """The outcome of a command that changes nothing."""
    return Outcome(error.code, error.fields)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Request)


def encode(request: Request) -> bytes:
    return _encoder.encode(request)


def digest(command: Command) -> int:
    """Tells a repeat from another command under the same request id."""
    return crc32(_encoder.encode(command))


def decode(data: bytes) -> Request:
    """Raises msgspec.DecodeError for what this version does not know."""
    return _decoder.decode(data)
