"""Everything that happened, as lines and as one hash: equal hashes mean equal runs, byte for byte."""

from __future__ import annotations

from hashlib import blake2b

from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
)
from tests.raft.simulator.scheduler import Scheduler

BATCH_LINES = 512


class Trace:
    """Collects lines; keeps them only when asked, because most runs are only hashed."""

    def __init__(self, scheduler: Scheduler, *, keep: bool) -> None:
        self.lines: list[str] = []
        self._scheduler = scheduler
        self._keep = keep
        self._batch: list[str] = []
        self._hash = blake2b(digest_size=16)

    def add(self, who: str, what: str) -> None:
        """Note that `what` happened at `who` now."""
        line = f"{self._scheduler.now} {who} {what}"
        self._batch.append(line)
        if len(self._batch) >= BATCH_LINES:
            self._flush()

    def digest(self) -> str:
        """Hash of all lines so far."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        if self._batch:
            self._hash.update("\n".join(self._batch).encode() + b"\n")
            if self._keep:
                self.lines.extend(self._batch)
            self._batch.clear()


def brief(message: Message) -> str:  # noqa: PLR0911 - a table of forms
    """A message in a few words."""
    head = f"{type(message).__name__} {message.sender}>{message.to} t{message.term}"
    match message:
        case AppendRequest(prev_index=prev, prev_term=term, entries=entries, commit=commit):
            terms = ",".join(str(entry.term) for entry in entries)
            return f"{head} prev={prev}/{term} [{terms}] commit={commit}"
        case AppendReply(rejected=True):
            return f"{head} no@{message.rejected_index} hint={message.hint_index}/{message.hint_term}"
        case AppendReply(match=match):
            return f"{head} match={match}"
        case Heartbeat(commit=commit, read_round=round_):
            return f"{head} commit={commit} round={round_}"
        case HeartbeatReply(read_round=round_):
            return f"{head} round={round_}"
        case InstallSnapshot(snapshot=snapshot):
            return f"{head} snapshot={snapshot.index}/{snapshot.term}"
        case _:
            granted = getattr(message, "granted", None)
            return head if granted is None else f"{head} granted={granted}"
