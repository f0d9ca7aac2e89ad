"""Bugs about what is durable, and when it may be spoken of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service.raft.core import Raft
from service.raft.messages import (
    AppendReply,
    Message,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import Ready, WriteAck
from service.raft.state import PROMISES
from tests.raft.simulator.disk import Disk, Record


class VoteNotPersisted(Raft):
    """The vote is not stored: after a restart a second one is given in the same term (§5.2)."""

    def ready(self) -> Ready:
        ready = super().ready()
        if ready.hard_state is None:
            return ready
        return replace(ready, hard_state=replace(ready.hard_state, vote=None))


class TermNotPersisted(Raft):
    """The stored term lags one behind: after a restart an old term is lived again (figure 2)."""

    def ready(self) -> Ready:
        ready = super().ready()
        if ready.hard_state is None:
            return ready
        term = max(self.log.last_term, ready.hard_state.term - 1)
        return replace(ready, hard_state=replace(ready.hard_state, term=term))


class VoteBeforeFsync(Raft):
    """A vote is answered while its write is under way (figure 2: before responding to RPCs)."""

    def must_wait_for_disk(self, message: Message) -> bool:
        return not isinstance(message, VoteReply) and super().must_wait_for_disk(message)


class AckBeforeFsync(Raft):
    """Entries are acknowledged while their write is under way (figure 2)."""

    def must_wait_for_disk(self, message: Message) -> bool:
        return not isinstance(message, AppendReply) and super().must_wait_for_disk(message)


class CampaignBeforeFsync(Raft):
    """Votes are asked for before the candidate's own vote is durable (§5.2)."""

    def must_wait_for_disk(self, message: Message) -> bool:
        return not isinstance(message, VoteRequest) and super().must_wait_for_disk(message)


class TermSpokenBeforeFsync(Raft):
    """A term that is not durable yet is named in messages that promise nothing else (figure 2)."""

    def must_wait_for_disk(self, message: Message) -> bool:
        return isinstance(message, PROMISES)


class LeaderCountsItselfEarly(Raft):
    """The leader counts its own entries before its disk answered (thesis §10.2.1)."""

    def own_match(self) -> int:
        return self.log.last


class StaleStorageAck(Raft):
    """A storage ack of an older term is believed (ABA)."""

    def is_stale_ack(self, ack: WriteAck) -> bool:
        return False


class AnyAckReleasesAll(Raft):
    """Any storage ack lets every held promise go, not only those its write made true."""

    def is_undurable(self, number: int) -> bool:
        return number > self.write_number


class CommitStoredAhead(Raft):
    """The stored commit index may exceed the stored log."""

    def ready(self) -> Ready:
        ready = super().ready()
        if ready.hard_state is None:
            return ready
        return replace(ready, hard_state=replace(ready.hard_state, commit=self.log.commit))


class ForeignAckBelieved(Raft):
    """An ack is taken at its word instead of being recognised as one that is awaited."""

    def advance(self, ack: Any) -> None:
        if isinstance(ack, WriteAck) and ack not in self.writes_out:
            self.written_term = ack.term
            self.log.stable_to(min(self.log.last, ack.last_index), self.log.term_at(ack.last_index) or 0)
            self.writes_out.clear()
            self.write_ticks.clear()
            self.release_held()
        super().advance(ack)


class EntriesBeforeTerm(Disk):
    """The log reaches the platter before the term it needs."""

    def records_of(self, ready: Ready) -> tuple[Record, ...]:
        records = super().records_of(ready)
        return (*records[1:], records[0])
