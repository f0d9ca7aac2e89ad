"""Every Redis key and channel Simpul uses, and which partition a name lives in.

A key reads `simpul:<cluster>:{pNN}:<kind>:<name>`. The braces are Redis Cluster's hash tag: all keys of one
partition live in one slot, so one script may touch any of them.
"""

from zlib import crc32

PARTITIONS = 64

COUNTER_BITS = 36
"""Tokens and versions are generation * 2^36 + a counter of the partition (design: token)."""
NAMES_MARK = 1 << (COUNTER_BITS - 1)
"""What a partition's counter of versions goes up by when its keys' names begin to be kept (lua/lib/names_kept.lua)."""
GENERATION_MAX = 2 ** (53 - COUNTER_BITS) - 1
"""Beyond it they would not be integers that every JSON reader holds exactly."""


class Partition:
    """One slice of the keyspace, with the keys every name in it shares."""

    __slots__ = (
        "busy",
        "cache",
        "cluster",
        "dead",
        "delayed",
        "due",
        "duty",
        "expiring",
        "fence",
        "flow",
        "ghosts",
        "granted",
        "inflight",
        "line",
        "lock",
        "lock_events",
        "messages",
        "names",
        "number",
        "outcome",
        "quarantine",
        "reader_holds",
        "readers",
        "ready",
        "schedule_names",
        "schedules",
        "seen",
        "sessions",
        "settings",
        "shared",
        "tag",
        "takers",
        "timetable",
        "tokens",
        "urgent",
        "versions",
        "waiter_info",
        "waiters",
    )

    def __init__(self, cluster: str, number: int) -> None:
        prefix = f"simpul:{cluster}:{{p{number:02d}}}:".encode()
        self.number = number
        self.fence = prefix + b"fence"
        self.tokens = prefix + b"tokens"
        self.versions = prefix + b"versions"
        self.quarantine = prefix + b"quarantine"
        self.cluster = prefix + b"cluster"
        self.duty = prefix + b"duty"
        self.sessions = prefix + b"sessions"
        self.granted = prefix + b"granted"
        self.due = prefix + b"due"
        self.timetable = prefix + b"timetable"
        self.schedules = prefix + b"schedules"
        self.schedule_names = prefix + b"schedule_names"
        self.lock_events = prefix + b"lock_events"
        self.outcome = prefix + b"outcome:"
        self.lock = prefix + b"lock:"
        self.readers = prefix + b"readers:"
        self.reader_holds = prefix + b"reader_holds:"
        self.waiters = prefix + b"waiters:"
        self.waiter_info = prefix + b"waiter_info:"
        self.messages = prefix + b"messages:"
        self.ready = prefix + b"ready:"
        self.delayed = prefix + b"delayed:"
        self.inflight = prefix + b"inflight:"
        self.settings = prefix + b"settings:"
        self.urgent = prefix + b"urgent:"
        self.expiring = prefix + b"expiring:"
        self.line = prefix + b"line:"
        self.busy = prefix + b"busy:"
        self.seen = prefix + b"seen:"
        self.ghosts = prefix + b"ghosts:"
        self.takers = prefix + b"takers:"
        self.dead = prefix + b"dead:"
        self.flow = prefix + b"flow:"
        self.shared = prefix + b"shared:"
        self.cache = prefix + b"cache:"
        self.names = prefix + b"names"
        self.tag = prefix + b"tag:"


class Keys:
    """The key builder of one cluster."""

    def __init__(self, cluster: str) -> None:
        self.partitions = tuple(Partition(cluster, number) for number in range(PARTITIONS))
        self.pattern = f"simpul:{cluster}:{{p??}}:[lw]*:".encode()
        """For SCAN: keys of locks, of those that wait for them, and a few others; the beginning of a name follows."""
        self.cache_pattern = f"simpul:{cluster}:{{p??}}:cache:*".encode()
        """For SCAN: keys of cache values."""
        self.wake_channel = f"simpul:{cluster}:wake".encode()
        self.invalidate_channel = f"simpul:{cluster}:invalidate".encode()

    def partitions_of_prefix(self, prefix: bytes) -> tuple[Partition, ...]:
        """Where names that begin so may live: anywhere, unless they share a `{tag}` already."""
        opened = prefix.find(b"{")
        if opened >= 0 and prefix.find(b"}", opened) > opened + 1:
            return (self.partition_of(prefix),)
        return self.partitions

    def partition_of(self, name: bytes) -> Partition:
        """Names that share a non-empty `{tag}` share a partition, as in Redis Cluster."""
        if b"{" in name:
            name = hash_part(name)
        return self.partitions[crc32(name) % PARTITIONS]


def hash_part(name: bytes) -> bytes:
    """What decides the partition of a name: its first non-empty `{tag}`, else all of it."""
    opened = name.find(b"{")
    if opened >= 0:
        closed = name.find(b"}", opened)
        if closed > opened + 1:
            return name[opened + 1 : closed]
    return name
