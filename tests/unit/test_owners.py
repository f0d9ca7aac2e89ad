"""Partitions are spread over the live nodes, and a node that joins or leaves moves only what it gains or loses."""

from collections import Counter

import pytest

from service.decisions.replicated.commands import AssignPartitions, Place
from service.decisions.replicated.rules.owners import assign, owners_among
from service.decisions.replicated.state import Node, State
from service.keys import PARTITIONS

NODES = tuple(f"http://127.0.0.1:{port}" for port in range(8001, 8006))


def test_the_order_in_which_nodes_are_named_does_not_matter() -> None:
    assert owners_among(NODES) == owners_among(NODES[::-1])


@pytest.mark.parametrize("number", [1, 3, 5])
def test_every_node_has_a_fair_part(number: int) -> None:
    parts = Counter(owners_among(NODES[:number]))
    assert set(parts) == set(NODES[:number])
    assert max(parts.values()) <= 2 * PARTITIONS / number


@pytest.mark.parametrize("gone", NODES)
def test_a_node_that_leaves_moves_its_own_partitions_only(gone: str) -> None:
    before, after = owners_among(NODES), owners_among([node for node in NODES if node != gone])
    for old, new in zip(before, after, strict=True):
        assert old in (new, gone)


def state() -> State:
    return State(nodes={node: Node(node[-4:], "disk") for node in NODES[:3]})


def test_an_assignment_has_the_number_of_its_decision() -> None:
    made = state()
    assert assign(made, AssignPartitions(0, owners_among(NODES[:3])), Place(17, 0)).fields == {"assignment": 17}
    assert (made.assignment, made.owners) == (17, owners_among(NODES[:3]))


def test_an_assignment_made_from_an_older_one_changes_nothing() -> None:
    made = state()
    assign(made, AssignPartitions(0, owners_among(NODES[:3])), Place(17, 0))
    assert assign(made, AssignPartitions(0, owners_among(NODES[:1])), Place(18, 0)).fields == {"assignment": 17}
    assert made.owners == owners_among(NODES[:3])


def test_a_stranger_owns_nothing() -> None:
    made = state()
    assert assign(made, AssignPartitions(0, owners_among(NODES)), Place(17, 0)).code == "field_invalid"
    assert made.owners == ()
