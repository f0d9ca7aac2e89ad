"""What the cluster can decide: one typed command a kind, and the outcome each leaves.

A command is stored in the log of every node for as long as the log lives, so a field may be added with a default, and
a tag is never reused. A node that meets a command it does not know must stop: to skip it would fork its state.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from service.error_registry import BY_CODE
from service.errors import SimpulError

REQUEST_ID_BYTES_MAX = 512

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


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


Command = FoundCluster | RegisterNode | ReplaceDisk | ChangeSetting


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
}


class Request(msgspec.Struct, array_like=True, frozen=True):
    """An entry of the log: a command, and the id under which a repeat is recognised."""

    request_id: Annotated[str, msgspec.Meta(min_length=1, max_length=REQUEST_ID_BYTES_MAX)]
    command: Command


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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Request)


def encode(request: Request) -> bytes:
    return _encoder.encode(request)


def decode(data: bytes) -> Request:
    """Raises msgspec.DecodeError for what this version does not know."""
    return _decoder.decode(data)
