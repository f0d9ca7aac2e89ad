"""Who belongs to the cluster, by which name and with which disk."""

from service.decisions.replicated.commands import FoundCluster, Outcome, Place, RegisterNode, ReplaceDisk, refused
from service.decisions.replicated.state import Node, State
from service.error_registry import DiskNotRegistered, FieldInvalid, RaftDiskReplaced

NODES_MAX = 16
LOST_DISKS_MAX = 1_000


def found(state: State, command: FoundCluster, _: Place) -> Outcome:
    state.cluster_id = state.cluster_id or command.cluster_id
    return Outcome("ok", {"cluster_id": state.cluster_id})


def register(state: State, command: RegisterNode, _: Place) -> Outcome:
    known = state.nodes.get(command.url)
    if known is not None and known.disk not in ("", command.disk):
        return refused(RaftDiskReplaced(sender=command.url, disk=command.disk, known=known.disk))
    if known is None and len(state.nodes) >= NODES_MAX:
        return refused(FieldInvalid(field="url", reason=f"{NODES_MAX} nodes are registered already"))
    state.nodes[command.url] = Node(command.name, command.disk)
    return Outcome("ok", {"url": command.url, "name": command.name})


def replace_disk(state: State, command: ReplaceDisk, _: Place) -> Outcome:
    known = state.nodes.get(command.url)
    if known is None or known.disk != command.lost:
        return refused(DiskNotRegistered(url=command.url, lost=command.lost))
    if len(state.lost_disks) >= LOST_DISKS_MAX:
        return refused(FieldInvalid(field="lost", reason=f"{LOST_DISKS_MAX} disks were lost already"))
    state.nodes[command.url] = Node(known.name, "")
    state.lost_disks.append(command.lost)
    return Outcome("ok", {"url": command.url, "name": known.name})
