"""Whether a member is still who it was: the disk behind each name, learnt at first contact and never silently changed.

A member that lost its disk has forgotten votes and entries that others counted. Heard again under its old name it
could help to elect a second leader of a term, or one without a committed entry. So every parcel names the random id
of its sender's disk, and each node keeps, durably, the id it first heard from each other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from service.error_registry import RaftDiskReplaced
from service.raft.messages import NodeId
from service.raft.storage import Job, Register

log = logging.getLogger("simpul.raft")


class Admission:
    """The disks this node knows its peers by."""

    def __init__(self, known: Mapping[NodeId, str], save: Callable[[Job, Callable[[], None]], None]) -> None:
        """`known` is what storage held; `save` makes a change durable and then calls back."""
        self._known = dict(known)
        self._lost: frozenset[str] = frozenset()
        self._registering: set[NodeId] = set()
        self._save = save

    def admits(self, node: NodeId, disk: str) -> bool:
        """True if messages of `node` may be heard. Raises RaftDiskReplaced when another disk is known by that name.

        At first contact False until the disk's id is durable here: a message heard before could be counted, and this
        node, restarted, would take the next disk under that name for the first.
        """
        known = self._known.get(node)
        if disk in self._lost or (known is not None and known != disk):
            raise RaftDiskReplaced(sender=node, disk=disk, known=known or "another")
        if known == disk:
            return True
        if node not in self._registering:
            self._registering.add(node)
            self._save(Register(node, disk), lambda: self._registered(node, disk))
        return False

    def disk_of(self, node: NodeId) -> str:
        """The disk that `node` is known by; empty before the first contact."""
        return self._known.get(node, "")

    def forget(self, lost: Collection[str]) -> list[NodeId]:
        """The cluster has decided that these disks are gone: a member known by one of them may come with another.

        Returns those members.
        """
        self._lost = frozenset(lost)
        forgotten = [node for node, disk in self._known.items() if disk in self._lost]
        for node in forgotten:
            log.warning(
                "disk %s of %s was declared lost; the next one it comes with is taken for its own",
                *(self._known.pop(node), node),
            )
            self._save(Register(node, ""), lambda: None)
        return forgotten

    def _registered(self, node: NodeId, disk: str) -> None:
        self._registering.discard(node)
        self._known[node] = disk
