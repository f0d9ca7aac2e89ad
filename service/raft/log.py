"""The log as the core sees it: what it holds, what storage was given, what storage has confirmed.

Invariants, true between any two calls:

    base <= applied <= applying <= commit <= last          (a snapshot being installed jumps to its index)
    durable <= handed <= last                              and nothing above `durable` is ever applied

All entries after `base` are in memory: the replicated state is small and compaction keeps them few, and a
core that must wait for a disk to answer AppendEntries would not be a pure function any more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from service.raft.errors import CorruptState, InvariantBroken
from service.raft.messages import Entry, Snapshot

ENTRY_OVERHEAD_BYTES = 32
"""What an entry is charged beside its data wherever bytes are bounded: terms, indexes and framing."""


def entry_bytes(entry: Entry) -> int:
    """The size of an entry for every byte limit of the core."""
    return len(entry.data) + ENTRY_OVERHEAD_BYTES


def _term_of(entry: Entry) -> int:
    return entry.term


class Log:
    """Entries after a base, the newest snapshot, and the five positions of the invariant above."""

    def __init__(self, snapshot: Snapshot | None, entries: Sequence[Entry], commit: int) -> None:
        """Rebuild from storage. Raises CorruptState when acknowledged entries must be missing."""
        self.snapshot = snapshot
        self.base = snapshot.index if snapshot else 0
        self.base_term = snapshot.term if snapshot else 0
        # Storage may keep entries behind its snapshot; without the term before them they serve nobody.
        self.entries = [entry for entry in entries if entry.index > self.base]
        self._check_contiguous()
        self.handed = self.durable = self.last
        if commit > self.last:
            raise CorruptState(f"commit index {commit} is stored but the log ends at {self.last}")
        self.commit = max(commit, self.base)
        self.applied = self.applying = self.base
        self.pending_snapshot: Snapshot | None = None

    def _check_contiguous(self) -> None:
        index, term = self.base, self.base_term
        for entry in self.entries:
            if entry.index != index + 1 or entry.term < term:
                raise CorruptState(
                    f"log has entry {entry.index} of term {entry.term} after entry {index} of term {term}"
                )
            index, term = entry.index, entry.term

    @property
    def last(self) -> int:
        """Index of the newest entry, or of the base when there is none."""
        return self.base + len(self.entries)

    @property
    def last_term(self) -> int:
        """Term of the newest entry, or of the base when there is none."""
        return self.entries[-1].term if self.entries else self.base_term

    def term_at(self, index: int) -> int | None:
        """The term at `index`, or None when it is compacted away or not yet written."""
        if index == self.base:
            return self.base_term
        if self.base < index <= self.last:
            return self.entries[index - self.base - 1].term
        return None

    def holds(self, index: int, term: int) -> bool:
        """True if the entry at `index` has `term`: then both logs agree up to it (§5.3, log matching)."""
        return self.term_at(index) == term

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """True if a log ending so is at least as complete as this one (§5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last)

    def slice(self, start: int, max_bytes: int, end: int | None = None) -> tuple[Entry, ...]:
        """Entries from `start` up to `end` (inclusive, default the last) within `max_bytes`, at least one."""
        stop = self.last if end is None else min(end, self.last)
        if start <= self.base:
            raise InvariantBroken(f"entry {start} was compacted away; the log starts after {self.base}")
        size = 0
        taken = start
        for position in range(start - self.base - 1, stop - self.base):
            size += entry_bytes(self.entries[position])
            if size > max_bytes and taken > start:
                break
            taken += 1
        return tuple(self.entries[start - self.base - 1 : taken - self.base - 1])

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries directly after the last one."""
        self.entries.extend(entries)

    def merge(self, prev_index: int, prev_term: int, entries: Sequence[Entry]) -> int | None:
        """Take a leader's entries (§5.3): the index up to which the logs now agree, or None.

        Only an entry that *conflicts* removes what follows it. A delayed duplicate of an old request brings
        nothing new, and cutting the log at its end would drop entries already acknowledged.
        """
        if not self.holds(prev_index, prev_term):
            return None
        agreed = prev_index + len(entries)
        fresh = self.first_difference(entries)
        if fresh < len(entries):
            self.truncate_from(entries[fresh].index)
            self.append(entries[fresh:])
        return agreed

    def first_difference(self, entries: Sequence[Entry]) -> int:
        """Position in `entries` of the first one this log lacks; their number if it holds them all."""
        for position, entry in enumerate(entries):
            if not self.holds(entry.index, entry.term):
                return position
        return len(entries)

    def truncate_from(self, index: int) -> None:
        """Drop the entries from `index` on. Raises InvariantBroken if one of them is committed."""
        if index <= self.commit:
            raise InvariantBroken(f"entry {index} conflicts with the leader's but is committed ({self.commit})")
        del self.entries[index - self.base - 1 :]
        self.handed = min(self.handed, index - 1)
        self.durable = min(self.durable, index - 1)

    def agree_by_term(self, index: int, term: int) -> tuple[int, int]:
        """The highest (index, its term) at most `index` whose term is at most `term` (§5.3).

        Nothing above it can agree with a log whose entry at `index` has `term`, because terms never fall
        along a log. Either side asks it, so each refusal skips a whole conflicting term on both.
        """
        index = min(index, self.last)
        if index < self.base:
            return (index, 0)
        position = bisect_right(self.entries, term, hi=index - self.base, key=_term_of)
        if position == 0:
            return (self.base, self.base_term)
        return (self.base + position, self.entries[position - 1].term)

    def commit_to(self, index: int) -> bool:
        """Raise the commit index, never lower it; True if it moved. InvariantBroken past the log's end."""
        if index <= self.commit:
            return False
        if index > self.last:
            raise InvariantBroken(
                f"asked to commit {index} but the log ends at {self.last}: acknowledged entries were lost"
            )
        self.commit = index
        return True

    def unhanded(self) -> tuple[Entry, ...]:
        """Entries storage has not been given; they replace everything stored from their first index on."""
        return tuple(self.entries[self.handed - self.base :])

    def stable_to(self, index: int, term: int) -> None:
        """Storage has made the log durable up to `index`.

        Ignored unless this log still has `term` there: the acknowledged entries may have been replaced
        while their write was under way.
        """
        if self.holds(index, term):
            self.durable = max(self.durable, index)

    def restore(self, snapshot: Snapshot) -> None:
        """Become `snapshot` and nothing after it (§7). Raises InvariantBroken if it would go backwards."""
        if snapshot.index <= self.commit:
            raise InvariantBroken(f"snapshot {snapshot.index} is behind the commit index {self.commit}")
        self.snapshot = self.pending_snapshot = snapshot
        self.base, self.base_term = snapshot.index, snapshot.term
        self.entries.clear()
        # Above the old commit index the disk still has entries that the snapshot may contradict: until the
        # snapshot is stored, a commit index up to them would make a restarted member apply them.
        self.durable = min(self.durable, self.commit)
        self.commit = self.handed = snapshot.index

    def snapshot_stored(self, index: int) -> None:
        """The snapshot being installed is durable and the state machine restored from it."""
        if self.pending_snapshot is not None and self.pending_snapshot.index == index:
            self.pending_snapshot = None
            # Nothing was durable or applied beyond the old commit index while it was pending.
            self.durable = self.applied = self.applying = index

    def next_committed(self, max_bytes: int) -> tuple[Entry, ...]:
        """Committed and locally durable entries not yet handed to the state machine."""
        # An entry applied before it is durable here would be missing from the log after a restart whose
        # state machine already shows it.
        if self.pending_snapshot is not None:
            return ()
        return self.slice(self.applying + 1, max_bytes, min(self.commit, self.durable))

    def compact(self, snapshot: Snapshot, trailing: int) -> None:
        """Keep `snapshot` for stragglers and forget entries more than `trailing` behind it.

        An older snapshot than the one held is ignored. Raises InvariantBroken past what was applied.
        """
        if self.snapshot is not None and snapshot.index <= self.snapshot.index:
            return
        if snapshot.index > self.applied:
            raise InvariantBroken(f"snapshot {snapshot.index} is ahead of the applied index {self.applied}")
        if not self.holds(snapshot.index, snapshot.term):
            raise InvariantBroken(f"snapshot says entry {snapshot.index} has term {snapshot.term}")
        self.snapshot = snapshot
        cut = snapshot.index - trailing
        cut_term = self.term_at(cut)
        if cut_term is not None:
            del self.entries[: cut - self.base]
            self.base, self.base_term = cut, cut_term
