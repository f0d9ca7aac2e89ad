"""The lock scripts and what they take: which keys a resource has, and how a reply that describes a lock is read."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from service.keys import Keys, Partition
from service.limits import LOCK_HOLDERS_SHOWN_MAX, LOCK_WAITERS_SHOWN_MAX
from service.lock.wire import Holder
from service.names import encode_name
from service.store.scripts import declare

_LINE = "tokens lock readers reader_holds waiters waiter_info sessions granted"

ACQUIRE = declare(
    "lock.acquire",
    keys="fence outcome tokens lock readers reader_holds quarantine waiters lock_events",
    args="fence fingerprint keep_ms owner mode ttl_ms detail",
)
WAIT = declare(
    "lock.wait",
    keys=f"fence outcome {_LINE} quarantine",
    args="fence fingerprint owner mode ttl_ms waiter session session_ms wait_ms wake_channel detail",
)
CONFIRM = declare(
    "lock.confirm",
    keys="fence outcome lock readers reader_holds waiters waiter_info granted lock_events",
    args="fence fingerprint keep_ms owner token ttl_ms waiter wake_channel",
)
WITHDRAW = declare("lock.withdraw", keys=f"fence quarantine {_LINE}", args="fence waiter session owner wake_channel")
GIVE_BACK = declare(
    "lock.give_back",
    keys=f"fence outcome {_LINE} lock_events",
    args="fence fingerprint owner token waiter wake_channel",
)
HAND_OVER = declare("lock.hand_over", keys=f"fence quarantine {_LINE}", args="fence wake_channel")
ATTEND = declare("lock.attend", keys="fence sessions granted", args="fence session session_ms cursor")
BLOCKERS = declare(
    "lock.blockers",
    keys="fence lock readers reader_holds waiters waiter_info sessions",
    args="fence cursor after",
)
CANCEL = declare(
    "lock.cancel",
    keys=f"fence quarantine {_LINE} lock_events",
    args="fence waiter place blocker token why wake_channel",
)
RELEASE = declare(
    "lock.release",
    keys=f"fence outcome {_LINE} lock_events",
    args="fence fingerprint keep_ms owner token wake_channel all",
)
RENEW = declare(
    "lock.renew",
    keys="fence outcome lock readers reader_holds quarantine lock_events",
    args="fence fingerprint keep_ms owner token ttl_ms",
)
REATTACH = declare(
    "lock.reattach",
    keys="fence outcome lock readers reader_holds quarantine lock_events",
    args="fence fingerprint keep_ms owner token mode ttl_ms more",
)
_SEVERAL = (
    "fence outcome tokens quarantine sessions granted lock_events lock+ readers+ reader_holds+ waiters+ waiter_info+"
)
ACQUIRE_ALL = declare(
    "lock.acquire_all",
    keys=_SEVERAL,
    args="fence fingerprint keep_ms owner mode ttl_ms caller wake_channel",
)
WAIT_ALL = declare(
    "lock.wait_all",
    keys=_SEVERAL,
    args="fence fingerprint keep_ms owner mode ttl_ms caller wake_channel waiter session session_ms wait_ms",
)
WITHDRAW_ALL = declare(
    "lock.withdraw_all",
    keys=_SEVERAL,
    args="fence fingerprint owner caller wake_channel waiter session",
)
RELEASE_ALL = declare(
    "lock.release_all",
    keys=_SEVERAL,
    args="fence fingerprint keep_ms owner wake_channel token+",
)
RENEW_ALL = declare(
    "lock.renew_all",
    keys="fence outcome quarantine lock_events lock+ readers+ reader_holds+",
    args="fence fingerprint keep_ms owner ttl_ms token+",
)
UPGRADE = declare(
    "lock.upgrade",
    keys=f"fence outcome {_LINE} quarantine lock_events",
    args="fence fingerprint keep_ms owner token ttl_ms waiter session session_ms wait_ms wake_channel",
)
DOWNGRADE = declare(
    "lock.downgrade",
    keys=f"fence outcome {_LINE} quarantine lock_events",
    args="fence fingerprint keep_ms owner token wake_channel",
)
RECORD = declare("lock.record", keys="fence lock_events", args="fence record_ms")
EVENTS = declare("lock.events", keys="fence lock_events", args="fence after most")
HISTORY = declare("lock.history", keys="fence lock lock_events", args="fence before most")
NOTE_END = declare(
    "lock.note_end",
    keys="fence quarantine lock readers reader_holds lock_events",
    args="fence owner token mode after",
)
FORCE_RELEASE = declare(
    "lock.force_release",
    keys=f"fence quarantine {_LINE} lock_events",
    args="fence wake_channel reason owner+ token+",
)
INSPECT = declare("lock.inspect", keys="fence lock readers reader_holds waiters waiter_info", args="fence")

_HOLDERS_AT = 3
_HOLDER_FIELDS = 3


class Place:
    """Where a resource's lock lives."""

    __slots__ = ("lock", "name", "partition", "reader_holds", "readers", "waiters")

    def __init__(self, keys: Keys, resource: str, *, field: str = "resource") -> None:
        self.name = name = encode_name(field, resource)
        self.partition: Partition = keys.partition_of(name)
        self.lock = self.partition.lock + name
        self.readers = self.partition.readers + name
        self.reader_holds = self.partition.reader_holds + name
        self.waiters = self.partition.waiters + name

    @property
    def hold_keys(self) -> tuple[bytes, bytes, bytes]:
        return self.lock, self.readers, self.reader_holds

    @property
    def own_keys(self) -> tuple[bytes, ...]:
        """All that is the lock's own and not its partition's."""
        return self.lock, self.readers, self.reader_holds, self.waiters, self.partition.waiter_info + self.name

    @property
    def line_keys(self) -> tuple[bytes, ...]:
        """What every script takes that hands a lock over."""
        of = self.partition
        info = of.waiter_info + self.name
        return of.tokens, self.lock, self.readers, self.reader_holds, self.waiters, info, of.sessions, of.granted


class Described(NamedTuple):
    """What a reply says of a lock: `waiting` is how many wait (nothing from a script set that knows no lines), and what
    comes after that."""

    holders: list[Holder]
    waiting: list[Any]
    limit: int
    """0 unless it is a semaphore."""


def read_holders(reply: list[Any], *, waiters_shown: bool = False) -> Described:
    """A reply `code mode count [owner token expires_in_ms] waiters [owner mode] [about]`, whose last two parts may be
    missing (lua/lib/holders)."""
    mode, end = reply[1].decode(), _HOLDERS_AT + _HOLDER_FIELDS * min(reply[2], LOCK_HOLDERS_SHOWN_MAX)
    found = [
        Holder(reply[at].decode(), mode, int(reply[at + 1]), reply[at + 2])
        for at in range(_HOLDERS_AT, end, _HOLDER_FIELDS)
    ]
    about_at = end + 1
    if waiters_shown and len(reply) > end:
        about_at += 2 * min(reply[end], LOCK_WAITERS_SHOWN_MAX)
    limit, _, *about = reply[about_at:] or (0, b"")
    for numbers, metadata in zip(about[::2], about[1::2], strict=True):
        number, holds, permits, hold_left_ms = map(int, numbers.split())
        holder = found[number - 1]
        holder.holds, holder.permits = holds or UNSET, permits or UNSET
        holder.hold_left_ms = hold_left_ms or UNSET
        holder.metadata = msgspec.Raw(metadata) if metadata else UNSET
    return Described(found, reply[end:about_at], int(limit))
