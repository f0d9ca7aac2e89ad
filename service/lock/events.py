"""What is recorded of locks, as the stream of a partition tells it, and what follows from it that nobody recorded.

Nothing runs when Redis ends a lease. Where somebody watches, lock.note_end records it; elsewhere a later grant that the
hold would have kept out is the proof that it had ended, and `Holds` says so to whoever reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from service.keys import COUNTER_BITS

GRANTING = ("granted", "reattached")
ENDING = ("released", "expired", "lost")
EventName = Literal["granted", "renewed", "reattached", "released", "expired", "lost", "deadlock"]
_COMMON = ("event", "lock", "owner", "token", "mode")
HOLDS_MAX = 4_096
"""Holds without a known end that a reader keeps in mind, and as many that ended; the oldest are forgotten first."""


class LockEvent(msgspec.Struct, omit_defaults=True, kw_only=True):
    """`at_ms` is Redis time, since 1970. `about` has what an event tells beside the fields here."""

    event: str
    resource: str
    owner: str
    token: int
    mode: str
    at_ms: int
    ttl_ms: int | None = None
    """Of the lease from then on, where it changed."""
    reason: str | None = None
    """Of a release by force."""
    inferred: bool = False
    """Nobody recorded it: it follows from the event after it, and was then at the latest."""
    about: dict[str, str] = {}


class Entry(NamedTuple):
    """One entry of a stream: its id, the key of the lock, and the event; none for a mark of the log itself."""

    id: bytes
    lock: bytes
    event: LockEvent | None


def read_entry(entry: list[Any], lock_prefix: bytes) -> Entry:
    """`lock_prefix` is what the partition's lock keys begin with."""
    entry_id, flat = entry
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    lock: bytes = fields.get(b"lock", b"")
    if not lock:
        return Entry(entry_id, b"", None)
    told = {name.decode(): value.decode() for name, value in fields.items()}
    about = {name: value for name, value in told.items() if name not in (*_COMMON, "ttl_ms", "reason")}
    event = LockEvent(
        event=told["event"],
        resource=lock.removeprefix(lock_prefix).decode(),
        owner=told["owner"],
        token=int(told["token"] or 0),
        mode=told["mode"],
        at_ms=int(entry_id.partition(b"-")[0]),
        ttl_ms=int(told["ttl_ms"]) if "ttl_ms" in told else None,
        reason=told.get("reason"),
        about=about,
    )
    return Entry(entry_id, lock, event)


@dataclass(slots=True)
class Hold:
    """A hold of which no end is known."""

    lock: bytes
    resource: str
    owner: str
    token: int
    mode: str


class Holds:
    """The holds that go on as far as a log was read, by lock and token."""

    def __init__(self) -> None:
        self._open: dict[tuple[bytes, int], Hold] = {}
        self._by_lock: dict[bytes, set[int]] = {}
        self._ended: dict[tuple[bytes, int], None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Hold]:
        return iter(list(self._open.values()))

    def of(self, lock: bytes) -> list[Hold]:
        return [self._open[lock, token] for token in sorted(self._by_lock.get(lock, ()))]

    def get(self, lock: bytes, token: int) -> Hold | None:
        return self._open.get((lock, token))

    def know(self, hold: Hold) -> None:
        """It goes on, whatever was recorded."""
        self._open[hold.lock, hold.token] = hold
        self._by_lock.setdefault(hold.lock, set()).add(hold.token)
        while len(self._open) > HOLDS_MAX:
            self._forget(*next(iter(self._open)))

    def follow(self, lock: bytes, event: LockEvent) -> list[LockEvent]:
        """Take an event in. The ends that it proves, which nobody recorded."""
        if event.event in ENDING:
            self._end(lock, event.token)
        is_read_again = event.event == "granted" and (lock, event.token) in self._ended
        if event.event not in GRANTING or is_read_again:
            return []
        self._ended.pop((lock, event.token), None)
        ended = [hold for hold in self.of(lock) if _is_kept_out_by(hold, event)]
        for hold in ended:
            self._end(lock, hold.token)
        self.know(Hold(lock, event.resource, event.owner, event.token, event.mode))
        return [_inferred_end(hold, event) for hold in ended]

    def has_told_end(self, lock: bytes, event: LockEvent) -> bool:
        """Whether `event` is an end that was taken in before: a hold ends once."""
        return event.event in ENDING and (lock, event.token) in self._ended

    def _end(self, lock: bytes, token: int) -> None:
        self._forget(lock, token)
        self._ended[lock, token] = None
        if len(self._ended) > HOLDS_MAX:
            del self._ended[next(iter(self._ended))]

    def _forget(self, lock: bytes, token: int) -> None:
        if self._open.pop((lock, token), None) is not None:
            self._by_lock[lock].discard(token)
            if not self._by_lock[lock]:
                del self._by_lock[lock]


def _is_kept_out_by(hold: Hold, event: LockEvent) -> bool:
    """Whether `event` could not have been granted while `hold` ran."""
    if hold.token == event.token:
        return False
    return "exclusive" in (hold.mode, event.mode) or hold.owner == event.owner


def _inferred_end(hold: Hold, event: LockEvent) -> LockEvent:
    is_old = hold.token >> COUNTER_BITS < event.token >> COUNTER_BITS or event.event == "reattached"
    return LockEvent(
        event="lost" if is_old else "expired",
        resource=hold.resource,
        owner=hold.owner,
        token=hold.token,
        mode=hold.mode,
        at_ms=event.at_ms,
        inferred=True,
    )


def with_inferred(latest_first: list[LockEvent]) -> list[LockEvent]:
    """Events of one lock, with the ends that they prove where those stand."""
    holds, told = Holds(), []
    for event in reversed(latest_first):
        told += [*holds.follow(b"", event), event]
    return told[::-1]
