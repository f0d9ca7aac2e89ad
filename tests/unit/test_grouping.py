"""Which locks of a request are taken together, and in what order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.error_registry import FieldInvalid
from service.keys import Keys
from service.limits import LOCK_PARTITIONS_MAX, LOCK_RESOURCES_MAX
from service.lock.grouping import check_tokens, grouped

KEYS = Keys("test")
NAMES = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=8),
    min_size=2,
    max_size=LOCK_PARTITIONS_MAX,
    unique=True,
)


def spread(partitions: int) -> list[str]:
    found = {KEYS.partition_of(f"n{number}".encode()).number: f"n{number}" for number in range(500)}
    return list(found.values())[:partitions]


@given(NAMES, st.randoms())
def test_the_order_is_that_of_partitions_and_names_however_they_are_asked_for(names: list[str], random: object) -> None:
    groups = grouped(KEYS, names)
    numbers = [group.partition.number for group in groups]
    assert numbers == sorted(set(numbers))
    for group in groups:
        found = [place.name for place in group.places]
        assert found == sorted(found)
        assert all(KEYS.partition_of(name) is group.partition for name in found)
    assert sorted(name for group in groups for name in group.resources) == sorted(names)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert [group.resources for group in grouped(KEYS, names)] == [group.resources for group in groups]


@given(NAMES, NAMES)
def test_two_requests_meet_at_the_same_lock_first(one: list[str], other: list[str]) -> None:
    """Of those that they share, both take the same one first: so neither holds what the other waits for."""
    shared = {*one} & {*other}
    orders = [[name for group in grouped(KEYS, names) for name in group.resources] for names in (one, other)]
    first, second = ([name for name in order if name in shared] for order in orders)
    assert first == second


def test_names_that_share_a_part_in_braces_are_one_group() -> None:
    (group,) = grouped(KEYS, ["{bank}:b", "{bank}:a", "c{bank}"])
    assert group.resources == ["c{bank}", "{bank}:a", "{bank}:b"]
    assert len(group.line_keys) == 5 + 3 * 5
    assert len(group.hold_keys) == 2 + 3 * 3


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (["a", "b", "a"], "resources[2]"),
        (["a", "b\n"], "resources[1]"),
        (["a", "\ud800"], "resources[1]"),
        (["a", "ö" * 257], "resources[1]"),
        (spread(LOCK_PARTITIONS_MAX + 1), "resources"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_field(names: list[str], field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        grouped(KEYS, names)
    assert refused.value.fields["field"] == field


def test_as_many_partitions_as_are_allowed_are_taken() -> None:
    names = spread(LOCK_PARTITIONS_MAX)
    assert len(grouped(KEYS, names)) == LOCK_PARTITIONS_MAX
    crowded = [f"{{one}}{number}" for number in range(LOCK_RESOURCES_MAX)]
    assert len(grouped(KEYS, crowded)) == 1


@pytest.mark.parametrize("tokens", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}])
def test_there_is_one_token_for_each_resource_and_none_else(tokens: dict[str, int]) -> None:
    with pytest.raises(FieldInvalid, match="tokens"):
        check_tokens(["a", "b"], tokens)
    check_tokens(["a", "b"], {"b": 1, "a": 2})
