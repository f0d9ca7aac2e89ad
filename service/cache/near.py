"""This node's copy of what it read or wrote lately: LRU, bounded in entries and in bytes.

An entry is dropped by the invalidation that the writing script publishes. Two races would let an overwritten value
stay, and both are closed here:

* a reply read before a write may arrive after that write's invalidation: a read takes a `Fill` before it asks Redis,
  and an invalidation of its key in the meantime makes the fill void;
* while the subscription is down invalidations are lost: the cache is off and empty until it is up again.
"""

from collections import OrderedDict
from time import monotonic
from typing import NamedTuple


class Entry(NamedTuple):
    version: int
    value: bytes
    expires_at: float
    """Of this process's monotonic clock, in seconds; infinity for ever."""


class Fill:
    """Reads under way for one key; void for all of them once the key was written to."""

    __slots__ = ("is_void", "readers", "started_at")

    def __init__(self) -> None:
        self.is_void = False
        self.readers = 0
        self.started_at = monotonic()


class NearCache:
    def __init__(self, *, entries_max: int, bytes_max: int) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._fills: dict[bytes, Fill] = {}
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._is_on = False
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self.invalidations = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        if entry.expires_at <= monotonic():
            self._drop(key)
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return entry

    def begin_fill(self, key: bytes) -> Fill:
        """Call before asking Redis."""
        fill = self._fills.get(key)
        if fill is None:
            fill = self._fills[key] = Fill()
        fill.readers += 1
        return fill

    def end_fill(self, key: bytes, fill: Fill, entry: Entry | None) -> None:
        """Call with what Redis answered, or None when it failed or had nothing."""
        fill.readers -= 1
        if fill.readers == 0 and self._fills.get(key) is fill:
            del self._fills[key]
        if entry is not None and not fill.is_void:
            self._store(key, entry)

    def written(self, key: bytes, version: int) -> None:
        """A script published that the key was written or removed; `version` orders it against what is held."""
        self.invalidations += 1
        fill = self._fills.pop(key, None)
        if fill is not None:
            fill.is_void = True
        entry = self._entries.get(key)
        if entry is not None and entry.version < version:
            self._drop(key)

    def turn_on(self) -> None:
        """Every invalidation from now on will be heard."""
        self.clear()
        self._is_on = self._entries_max > 0

    def turn_off(self) -> None:
        self._is_on = False
        self.clear()

    def clear(self) -> None:
        self._entries.clear()
        self.bytes = 0
        for fill in self._fills.values():
            fill.is_void = True
        self._fills.clear()

    def _store(self, key: bytes, entry: Entry) -> None:
        size = len(key) + len(entry.value)
        held = self._entries.get(key)
        if not self._is_on or size > self._bytes_max or (held is not None and held.version > entry.version):
            return
        if held is not None:
            self._drop(key)
        self._entries[key] = entry
        self.bytes += size
        while len(self._entries) > self._entries_max or self.bytes > self._bytes_max:
            oldest = next(iter(self._entries))
            self._drop(oldest)
            self.evictions += 1

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        self.bytes -= len(key) + len(entry.value)
