"""Bugs in the log: merging, comparing, committing, restoring."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from service.raft.config import Config
from service.raft.core import Raft
from service.raft.log import Log
from service.raft.messages import (
    Entry,
    Snapshot,
)
from service.raft.state import Stored


class _WithLog(Raft):
    """A core whose log has another class."""

    log_class: type[Log] = Log

    def __init__(self, config: Config, random: Random, stored: Stored | None = None) -> None:
        super().__init__(config, random, stored)
        self.log.__class__ = self.log_class


class _TruncatingLog(Log):
    def first_difference(self, entries: Sequence[Entry]) -> int:
        position = super().first_difference(entries)
        if position == len(entries) and entries and self.last > entries[-1].index > self.commit:
            self.truncate_from(entries[-1].index + 1)
        return position


class TruncatesOnDuplicate(_WithLog):
    """A delayed duplicate of an old request cuts off what came after it (§5.3: only if they conflict)."""

    log_class = _TruncatingLog


class _KeepingLog(Log):
    def merge(self, prev_index: int, prev_term: int, entries: Sequence[Entry]) -> int | None:
        if not self.holds(prev_index, prev_term):
            return None
        self.append([entry for entry in entries if entry.index > self.last])
        return prev_index + len(entries)


class ConflictsKept(_WithLog):
    """Entries that conflict with the leader's are not removed (§5.3)."""

    log_class = _KeepingLog


class _UncheckedLog(Log):
    def merge(self, prev_index: int, prev_term: int, entries: Sequence[Entry]) -> int | None:
        actual = self.term_at(prev_index)
        return None if actual is None else super().merge(prev_index, actual, entries)


class PreviousTermUnchecked(_WithLog):
    """The consistency check looks at the index of the previous entry but not at its term (§5.3)."""

    log_class = _UncheckedLog


class _EagerLog(Log):
    def next_committed(self, max_bytes: int) -> tuple[Entry, ...]:
        if self.pending_snapshot is not None or self.applying >= self.commit:
            return ()
        return self.slice(self.applying + 1, max_bytes, self.commit)


class AppliesBeforeDurable(_WithLog):
    """Committed entries are applied before they are durable here."""

    log_class = _EagerLog


class _FallingLog(Log):
    def commit_to(self, index: int) -> bool:
        self.commit = max(self.base, min(index, self.last))
        return True


class CommitFalls(_WithLog):
    """An old message lowers the commit index (§5.3)."""

    log_class = _FallingLog


class _LengthLog(Log):
    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        return last_index >= self.last


class LongestLogWins(_WithLog):
    """Logs are compared by length, not by last term first (§5.4.1)."""

    log_class = _LengthLog


class _RewindingLog(Log):
    def restore(self, snapshot: Snapshot) -> None:
        self.commit = min(self.commit, snapshot.index - 1)
        self.applied = self.applying = min(self.applied, self.commit)
        super().restore(snapshot)


class SnapshotGoesBack(_WithLog):
    """A delayed snapshot older than the commit index is installed (§7)."""

    log_class = _RewindingLog

    def is_old_snapshot(self, snapshot: Snapshot) -> bool:
        return False


class _TrustingLog(Log):
    def restore(self, snapshot: Snapshot) -> None:
        durable = self.durable
        super().restore(snapshot)
        self.durable = min(durable, snapshot.index)


class ReplacedLogTakenForCommitted(_WithLog):
    """While a snapshot is being stored, the log it replaces is still counted as durable and committed."""

    log_class = _TrustingLog


class _AmnesicLog(Log):
    def stable_to(self, index: int, term: int) -> None:
        self.durable = max(self.durable, min(index, self.last))


class ReplacedEntriesTakenForDurable(_WithLog):
    """A storage ack is applied by index alone, though the entries there were replaced meanwhile."""

    log_class = _AmnesicLog
