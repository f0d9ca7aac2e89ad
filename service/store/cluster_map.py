"""Which primary owns which hash slot, put together from what several nodes of a Redis Cluster say.

Nodes may disagree for a moment, and one that was cut off for long. The cluster itself settles such a dispute by the
config epoch: of two primaries that claim one slot, the one with the higher epoch owns it. So does this map.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from redis.crc import key_slot

from service.keys import Partition
from service.redis_url import join, split


class Claim(NamedTuple):
    """One primary's claim to slots `first` to `last`, as one node reports it."""

    config_epoch: int
    first: int
    last: int
    address: str


class View(NamedTuple):
    """What one node says about the cluster."""

    claims: tuple[Claim, ...]
    addresses: tuple[str, ...]
    """Of all nodes with slots, primaries first: whom to ask next time."""


def slot_of(partition: Partition) -> int:
    """All keys of a partition share its hash tag, so any of them tells the slot."""
    return int(key_slot(partition.fence))


def view(seen_from: str, slots: list[Any], nodes: bytes) -> View:
    """From the replies of CLUSTER SLOTS (addresses as clients reach them) and CLUSTER NODES (config epochs).

    An address without a host means the node that was asked. Raises ValueError for anything else than such replies.
    """
    host_asked = split(seen_from)[0]
    epochs = {}
    for line in nodes.decode().splitlines():
        words = line.split(" ")
        epochs[words[0]] = int(words[6])
    claims, primaries, replicas = [], [], []
    for first, last, primary, *others in slots:
        address = _address(primary, host_asked)
        claims.append(Claim(epochs.get(primary[2].decode(), 0), first, last, address))
        primaries.append(address)
        replicas += [_address(other, host_asked) for other in others]
    return View(tuple(claims), tuple(dict.fromkeys((*primaries, *replicas))))


def owners(partitions: Iterable[Partition], views: Iterable[View]) -> dict[int, str | None]:
    """The address of each partition's primary by the partition's number; None when nobody claims its slot."""
    claims = [claim for one in views for claim in one.claims]
    found: dict[int, str | None] = {}
    for partition in partitions:
        slot = slot_of(partition)
        best = max((claim for claim in claims if claim.first <= slot <= claim.last), default=None)
        found[partition.number] = best.address if best else None
    return found


def _address(node: list[Any], host_asked: str) -> str:
    host = (node[0] or b"").decode()
    return join(host if host not in ("", "?") else host_asked, node[1])
