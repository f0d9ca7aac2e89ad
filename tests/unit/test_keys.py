"""Keys: one hash tag a partition, and names that share a tag share a partition."""

import pytest

from service.keys import PARTITIONS, Keys, Partition, hash_part

KEYS = Keys("prod")


def all_keys(partition: Partition) -> list[bytes]:
    return [getattr(partition, slot) for slot in Partition.__slots__ if slot != "number"]


def test_there_are_64_partitions_in_order() -> None:
    assert [partition.number for partition in KEYS.partitions] == list(range(PARTITIONS))
    assert PARTITIONS == 64


def test_all_keys_of_a_partition_carry_its_hash_tag_and_nothing_shares_a_key() -> None:
    keys = all_keys(KEYS.partitions[7])
    assert all(key.startswith(b"simpul:prod:{p07}:") for key in keys)
    assert len(set(keys)) == len(keys)


def test_kinds_that_take_names_end_in_a_colon_so_that_no_name_meets_another_kind() -> None:
    partition = KEYS.partitions[0]
    fixed = {
        partition.fence,
        partition.tokens,
        partition.versions,
        partition.quarantine,
        partition.cluster,
        partition.duty,
        partition.sessions,
        partition.granted,
        partition.due,
        partition.timetable,
        partition.schedules,
        partition.schedule_names,
        partition.names,
        partition.lock_events,
    }
    assert all(key.endswith(b":") for key in all_keys(partition) if key not in fixed)
    assert not any(key.endswith(b":") for key in fixed)


def test_clusters_of_different_names_share_no_key_and_no_channel() -> None:
    other = Keys("test")
    mine = {key for partition in KEYS.partitions for key in all_keys(partition)}
    theirs = {key for partition in other.partitions for key in all_keys(partition)}
    assert not mine & theirs
    assert len({KEYS.wake_channel, KEYS.invalidate_channel, other.wake_channel, other.invalidate_channel}) == 4


def test_a_name_always_lives_in_the_same_partition() -> None:
    assert [KEYS.partition_of(name).number for name in (b"orders", b"a", "ü".encode())] == [
        Keys("other").partition_of(name).number for name in (b"orders", b"a", "ü".encode())
    ]
    assert KEYS.partition_of(b"orders").number == 46, "moving names to other partitions loses them: never change this"


def test_the_hash_part_is_the_first_tag_that_is_not_empty_or_the_whole_name() -> None:
    names = {b"{a}b": b"a", b"x{a}{b}": b"a", b"a": b"a", b"{}a": b"{}a", b"{a": b"{a", b"a}{b}": b"b", b"{{a}}": b"{a"}
    assert {name: hash_part(name) for name in names} == names


def test_names_spread_over_all_partitions() -> None:
    assert len({KEYS.partition_of(b"name%d" % number) for number in range(2_000)}) == PARTITIONS


def test_names_that_share_a_tag_share_a_partition() -> None:
    assert len({KEYS.partition_of(b"%d{user42}%d" % (number, number)) for number in range(50)}) == 1
    assert KEYS.partition_of(b"x{user42}") is KEYS.partition_of(b"user42")


@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        (b"{}x", b"{}x"),
        (b"a{}{b}", b"a{}{b}"),
        (b"a{b", b"a{b"),
        (b"a}b{", b"a}b{"),
        (b"}{b}", b"b"),
        (b"{a}{b}", b"a"),
        (b"{{a}}", b"{a"),
    ],
)
def test_a_tag_is_what_redis_cluster_takes_for_one(name: bytes, hashed: bytes) -> None:
    """The first brace to the next closing one, unless there is nothing between them."""
    from zlib import crc32

    assert KEYS.partition_of(name).number == crc32(hashed) % PARTITIONS
