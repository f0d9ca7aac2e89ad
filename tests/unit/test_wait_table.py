"""What the leader knows of waits, by what nodes tell it, whatever becomes of the messages."""

from service.lock.deadlock.table import Table
from service.lock.deadlock.told import Telling, Told


def told(waiter: str, owner: str = "alice") -> Told:
    return Told(waiter.encode(), owner.encode(), ("r1",))


def telling(number: int, *began: Told, ended: tuple[str, ...] = (), node: str = "n1", life: str = "l1") -> Telling:
    return Telling(node, life, 1, number, began, tuple(waiter.encode() for waiter in ended))


def waiting(table: Table, owner: str = "alice") -> list[bytes]:
    return sorted(wait.waiter for wait in table.waits_of(owner.encode()))


def test_waits_are_known_by_owner_until_they_end() -> None:
    table = Table()
    assert table.hear(telling(1, told("w1"), told("w2"), told("w3", "bob"))) == (
        told("w1"),
        told("w2"),
        told("w3", "bob"),
    )
    assert (waiting(table), waiting(table, "bob"), len(table)) == ([b"w1", b"w2"], [b"w3"], 3)
    table.hear(telling(2, ended=("w1", "w3", "never")))
    assert (waiting(table), waiting(table, "bob"), len(table)) == ([b"w2"], [], 1)
    assert (table.knows(b"w2"), table.knows(b"w1")) == (True, False)


def test_a_telling_that_comes_twice_or_late_says_nothing_new() -> None:
    table = Table()
    table.hear(telling(1, told("w1")))
    table.hear(telling(2, ended=("w1",)))
    assert table.hear(telling(2, told("w1"))) == ()
    assert table.hear(telling(1, told("w1"))) == ()
    assert len(table) == 0


def test_a_node_that_was_started_again_waits_for_nothing_from_before() -> None:
    table = Table()
    table.hear(telling(9, told("old")))
    table.hear(telling(4, told("other"), node="n2"))
    table.hear(telling(1, told("new"), life="l2"))
    assert waiting(table) == [b"new", b"other"]


def test_a_retry_through_another_node_is_the_same_wait_until_both_ended() -> None:
    table = Table()
    table.hear(telling(1, told("w1")))
    table.hear(telling(1, told("w1"), node="n2"))
    assert len(table) == 1
    table.hear(telling(2, ended=("w1",)))
    assert waiting(table) == [b"w1"]
    table.hear(telling(2, ended=("w1",), node="n2"))
    assert waiting(table) == []


def test_a_wait_told_again_is_new_again_and_counts_once() -> None:
    table = Table()
    table.hear(telling(1, told("w1")))
    assert table.hear(telling(2, told("w1"))) == (told("w1"),)
    table.hear(telling(3, ended=("w1",)))
    assert len(table) == 0


def test_a_new_office_begins_with_nothing() -> None:
    table = Table()
    table.hear(telling(7, told("w1")))
    table.take_over(2)
    assert (len(table), waiting(table), list(table.all())) == (0, [], [])
    table.hear(telling(8, told("w1")))
    assert waiting(table) == [b"w1"]
