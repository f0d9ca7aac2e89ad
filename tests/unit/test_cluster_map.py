"""Which primary owns a slot, from views that need not agree."""

import pytest

from service.keys import PARTITIONS, Keys
from service.store.cluster_map import owners, slot_of, view

PARTITIONS_OF_ONE = Keys("simpul").partitions
FIRST = PARTITIONS_OF_ONE[0]
ALL = (0, 16383)


def nodes(**epochs: int) -> bytes:
    """CLUSTER NODES, with a config epoch for each id."""
    return b"".join(b"%s h:1@2 master - 0 0 %d connected 0-9\n" % (id.encode(), at) for id, at in epochs.items())


def test_all_keys_of_a_partition_are_in_its_slot() -> None:
    for partition in PARTITIONS_OF_ONE:
        others = {getattr(partition, name) for name in type(partition).__slots__ if name != "number"}
        slots = {slot_of_key(key + b"{other}") for key in others}
        assert slots == {slot_of(partition)}
    assert len({slot_of(partition) for partition in PARTITIONS_OF_ONE}) == PARTITIONS


def slot_of_key(key: bytes) -> int:
    """As the Redis Cluster specification says: CRC16/XMODEM of what is in the first braces, modulo 16384."""
    tag = key[key.index(b"{") + 1 : key.index(b"}")]
    remainder = 0
    for byte in tag:
        remainder ^= byte << 8
        for _ in range(8):
            remainder = ((remainder << 1) ^ 0x1021 if remainder & 0x8000 else remainder << 1) & 0xFFFF
    return remainder % 16384


def test_of_two_that_claim_a_slot_the_higher_config_epoch_owns_it() -> None:
    old = view("old:1", [[*ALL, [b"old", 1, b"a"]]], nodes(a=3))
    new = view("new:1", [[*ALL, [b"new", 1, b"b"], [b"old", 1, b"a"]]], nodes(a=3, b=4))
    for views in ([old, new], [new, old], [old, new, old]):
        assert owners([FIRST], views) == {0: "new:1"}


def test_a_slot_that_nobody_claims_has_no_owner() -> None:
    slot = slot_of(FIRST)
    around = [[0, slot - 1, [b"h", 1, b"a"]], [slot + 1, 16383, [b"h", 1, b"a"]]]
    assert owners([FIRST], [view("h:1", around, nodes(a=1))]) == {0: None}


@pytest.mark.parametrize("hidden", [b"", None, b"?"])
def test_an_address_without_a_host_is_that_of_the_node_that_was_asked(hidden: bytes | None) -> None:
    seen = view("10.0.0.5:7000", [[*ALL, [hidden, 7001, b"a"], [b"::1", 7002, b"r"]]], nodes(a=1))
    assert owners([FIRST], [seen]) == {0: "10.0.0.5:7001"}
    assert seen.addresses == ("10.0.0.5:7001", "[::1]:7002")
