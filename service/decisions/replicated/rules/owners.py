"""Which node does the duties of which partition: rendezvous hashing, so that a node that joins or leaves moves only
what it gains or loses.

Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998): every partition goes to the node with
the highest hash of the two together.
"""

from collections.abc import Collection
from hashlib import blake2b

from service.decisions.replicated.commands import AssignPartitions, Outcome, Place, refused
from service.decisions.replicated.state import State
from service.error_registry import FieldInvalid
from service.keys import PARTITIONS


def owners_among(nodes: Collection[str]) -> tuple[str, ...]:
    """The owner of each partition when `nodes` (URLs, at least one) are live."""
    return tuple(max(nodes, key=lambda node: (_weight(node, number), node)) for number in range(PARTITIONS))


def _weight(node: str, partition: int) -> bytes:
    return blake2b(f"{partition} {node}".encode(), digest_size=8).digest()


def assign(state: State, command: AssignPartitions, place: Place) -> Outcome:
    """Replaces the assignment that the proposer knew; another one made meanwhile stays, and is told."""
    if command.expected != state.assignment:
        return Outcome("ok", {"assignment": state.assignment})
    strangers = {*command.owners} - {*state.nodes}
    if strangers:
        return refused(FieldInvalid(field="owners", reason=f"{min(strangers)} is not a registered node"))
    state.owners = command.owners
    state.assignment = place.index
    return Outcome("ok", {"assignment": place.index})
