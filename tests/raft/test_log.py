"""The five positions of the log, rule by rule: each event leaves exactly these."""

from __future__ import annotations

import pytest

from service.raft.errors import CorruptState, InvariantBroken
from service.raft.log import Log
from service.raft.messages import Entry, Snapshot
from tests.raft.world import log_of

MEMBERS = ("n1", "n2", "n3")


def snapshot(index: int, term: int = 1) -> Snapshot:
    return Snapshot(index, term, MEMBERS)


def terms(log: Log) -> list[int]:
    return [entry.term for entry in log.entries]


def positions(log: Log) -> tuple[int, int, int, int, int, int, int]:
    """base, applied, applying, commit, durable, handed, last."""
    return log.base, log.applied, log.applying, log.commit, log.durable, log.handed, log.last


def test_a_first_start() -> None:
    log = Log(None, (), 0)
    assert positions(log) == (0, 0, 0, 0, 0, 0, 0)
    assert (log.last_term, log.term_at(0), log.term_at(1), log.pending_snapshot) == (0, 0, None, None)


def test_a_restart_believes_what_was_stored_and_applies_it_anew() -> None:
    log = Log(None, log_of(1, 1, 2), 2)
    assert positions(log) == (0, 0, 0, 2, 3, 3, 3)
    assert [entry.index for entry in log.next_committed(1000)] == [1, 2]


def test_a_restart_from_a_snapshot_keeps_only_what_follows_it() -> None:
    log = Log(snapshot(2), log_of(1, 1, 2), 0)
    assert positions(log) == (2, 2, 2, 2, 3, 3, 3)
    assert (terms(log), log.last_term, log.term_at(2), log.term_at(1)) == ([2], 2, 1, None)
    assert Log(snapshot(3, 2), log_of(1, 1, 2), 0).last_term == 2


def test_a_log_that_ends_before_its_commit_index_has_lost_entries() -> None:
    with pytest.raises(CorruptState, match="the log ends at 2"):
        Log(None, log_of(1, 1), 3)


def test_fresh_entries_are_appended_and_neither_handed_nor_durable() -> None:
    log = Log(None, log_of(1, 1), 1)
    assert log.merge(2, 1, (Entry(1, 3), Entry(2, 4))) == 4
    assert positions(log) == (0, 0, 0, 1, 2, 2, 4)
    assert [entry.index for entry in log.unhanded()] == [3, 4]
    log.handed = 4
    assert log.unhanded() == ()


def test_a_conflict_takes_back_what_was_handed_and_durable() -> None:
    log = Log(None, log_of(1, 1, 1, 1), 1)
    assert log.merge(1, 1, (Entry(1, 2), Entry(2, 3))) == 3
    assert positions(log) == (0, 0, 0, 1, 2, 2, 3)
    assert terms(log) == [1, 1, 2]


def test_a_conflict_makes_nothing_durable_that_was_not() -> None:
    log = Log(None, log_of(1), 0)
    log.append((Entry(1, 2), Entry(1, 3), Entry(1, 4)))
    log.handed = 2
    log.truncate_from(4)
    assert positions(log) == (0, 0, 0, 0, 1, 2, 3)


def test_a_conflict_with_a_committed_entry_is_impossible() -> None:
    log = Log(None, log_of(1, 1, 1), 2)
    with pytest.raises(InvariantBroken, match="is committed"):
        log.merge(1, 1, (Entry(2, 2),))
    assert terms(log) == [1, 1, 1]


def test_entries_that_do_not_meet_the_log_change_nothing() -> None:
    log = Log(None, log_of(1, 1), 0)
    assert log.merge(2, 2, (Entry(2, 3),)) is None
    assert log.merge(3, 1, (Entry(2, 4),)) is None
    assert positions(log) == (0, 0, 0, 0, 2, 2, 2)


def test_a_commit_index_moves_forwards_and_never_past_the_end() -> None:
    log = Log(None, log_of(1, 1), 1)
    assert not log.commit_to(1)
    assert not log.commit_to(0)
    assert log.commit_to(2)
    with pytest.raises(InvariantBroken, match="acknowledged entries were lost"):
        log.commit_to(3)
    assert log.commit == 2


def test_only_what_is_durable_here_is_applied() -> None:
    log = Log(None, log_of(1), 0)
    log.append((Entry(1, 2), Entry(1, 3)))
    log.commit_to(3)
    assert [entry.index for entry in log.next_committed(1000)] == [1]
    log.stable_to(2, 1)
    assert [entry.index for entry in log.next_committed(1000)] == [1, 2]
    log.applying = 1
    assert [entry.index for entry in log.next_committed(1000)] == [2]
    assert [entry.index for entry in log.next_committed(0)] == [2], "one at least"
    log.applying = 2
    assert log.next_committed(1000) == ()


def test_a_snapshot_replaces_everything_and_is_not_durable_until_stored() -> None:
    log = Log(None, log_of(1, 1, 1), 1)
    log.restore(snapshot(7, 3))
    assert (positions(log), log.last_term) == ((7, 0, 0, 7, 1, 7, 7), 3)
    assert log.pending_snapshot == log.snapshot == snapshot(7, 3)
    assert log.next_committed(1000) == ()
    log.snapshot_stored(6)
    assert log.pending_snapshot is not None, "the ack of another one"
    log.snapshot_stored(7)
    assert positions(log) == (7, 7, 7, 7, 7, 7, 7)
    log.snapshot_stored(7)
    assert log.pending_snapshot is None


def test_a_snapshot_makes_nothing_of_the_old_log_durable_that_was_not() -> None:
    log = Log(None, log_of(1), 0)
    log.append((Entry(1, 2), Entry(1, 3)))
    log.commit_to(2)
    log.restore(snapshot(7, 3))
    assert log.durable == 1


def test_compaction_keeps_what_trails_the_snapshot() -> None:
    log = Log(None, log_of(1, 1, 2, 2, 2), 5)
    log.applying = log.applied = 5
    log.compact(snapshot(4, 2), 2)
    assert (log.base, log.base_term, terms(log), log.last) == (2, 1, [2, 2, 2], 5)
    log.compact(snapshot(5, 2), 9)
    assert (log.base, log.snapshot) == (2, snapshot(5, 2)), "nothing more to forget"


def test_the_bounds_of_a_slice() -> None:
    log = Log(None, log_of(1, 1, 1), 0)
    size = len(b"1") + 32
    assert [entry.index for entry in log.slice(1, 2 * size)] == [1, 2]
    assert [entry.index for entry in log.slice(1, 2 * size - 1)] == [1]
    assert [entry.index for entry in log.slice(1, 0)] == [1], "one at least"
    assert [entry.index for entry in log.slice(2, 1000, 2)] == [2]
    assert [entry.index for entry in log.slice(2, 1000, 9)] == [2, 3]
    assert log.slice(4, 1000) == ()


@pytest.mark.parametrize(
    ("last_index", "last_term", "is_complete"), [(3, 2, True), (2, 2, False), (9, 1, False), (1, 3, True)]
)
def test_the_last_term_decides_and_then_the_length(last_index: int, last_term: int, is_complete: bool) -> None:
    assert Log(None, log_of(1, 1, 2), 0).is_up_to_date(last_index, last_term) is is_complete
