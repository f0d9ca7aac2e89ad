"""This node's copies of what it read lately: least recently used first out, bounded in entries and in bytes.

A copy is dropped by the publication of the write that replaces it. `hearing` says for each partition how long its
copies may be served, should publications be lost. Two races are closed here:

* a reply read before a write may arrive after that write's publication: a read is announced before Redis is asked, and
  a publication of its key in the meantime makes every older value void;
* publications may be lost: what is read before a loss is not kept, and what is held from before is compared first.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from service.cache.hearing import Asked, Hearing, Verdict
from service.clock import steady_s
from service.histogram import LatencyHistogram
from service.keys import PARTITIONS
from service.limits import INTEGER_MAX

ECHOES = 16
"""Of so many of this node's own writes one is timed until its publication comes back."""


class Entry(NamedTuple):
    version: int
    value: bytes
    """Empty: it is known that there is none."""
    expires_at: float
    """Of this machine's steady clock, in seconds; infinity for ever."""
    number: int
    """The partition's."""
    delta_ms: int = 0
    """How long it took to make the value; 0: not known."""
    read_at: float = 0.0
    """When Redis was asked for it: nothing had replaced it then."""


class Fill:
    """Reads under way for one key, and the newest write of it that was told of meanwhile."""

    __slots__ = ("readers", "written")

    def __init__(self) -> None:
        self.readers = 0
        self.written = 0


class NearCache:
    """Keys are Redis keys; `number` is their partition's."""

    def __init__(self, *, entries_max: int, bytes_max: int, bound_ms: int) -> None:
        self.hearing = Hearing(bound_ms / 1000)
        self._good_until = self.hearing.good_until
        self._used = self.hearing.used
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._in_partition: list[dict[bytes, None]] = [{} for _ in range(PARTITIONS)]
        self._fills: dict[bytes, Fill] = {}
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.lapsed = 0
        self.evictions = 0
        self.invalidations = 0
        self.unchanged = 0
        self.sent = 0
        self.not_found = 0
        self.lag = LatencyHistogram()
        self._echo = (0, 0, 0.0)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, number: int) -> Entry | None:
        """A copy that may be served."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self._used[number] = 1
        now = steady_s()
        if entry.expires_at <= now:
            self._drop(key)
            self.misses += 1
            return None
        if self._good_until[number] <= now and self._has_lapsed(entry, now):
            self.lapsed += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return entry

    def _has_lapsed(self, entry: Entry, now: float) -> bool:
        """What was just asked for is known to be the latest of that moment, whatever was not heard of other keys."""
        return entry.read_at + self.hearing.bound_s <= now or self.hearing.is_doubted(entry.number)

    def servable(self, key: bytes) -> Entry | None:
        """What `get` would answer now, without a trace: not counted, and no reason to keep the copy good."""
        entry, now = self._entries.get(key), steady_s()
        if entry is None or entry.expires_at <= now:
            return None
        if self._good_until[entry.number] <= now and self._has_lapsed(entry, now):
            return None
        return entry

    def sizes(self) -> list[int]:
        """Copies held, by partition."""
        return [len(keys) for keys in self._in_partition]

    def keys_of(self, number: int) -> Collection[bytes]:
        """Of the copies held of a partition."""
        return self._in_partition[number].keys()

    def held(self, key: bytes) -> Entry | None:
        """A copy that may be served if Redis says that it is the latest."""
        return self._entries.get(key)

    # -- reads

    def ask(self, number: int) -> Asked:
        """Call before asking Redis about this partition."""
        return self.hearing.ask(number, steady_s())

    def begin_fill(self, key: bytes) -> Fill:
        """Call before asking Redis."""
        fill = self._fills.get(key)
        if fill is None:
            fill = self._fills[key] = Fill()
        fill.readers += 1
        return fill

    def end_fill(self, key: bytes, fill: Fill) -> int:
        """Call with the answer, and also without one. An older version than this may not be kept."""
        fill.readers -= 1
        if fill.readers == 0 and self._fills.get(key) is fill:
            del self._fills[key]
        return fill.written

    def answered(self, number: int, counter: int, asked: Asked) -> bool:
        """Whether what Redis answered together with this counter may be kept, as far as the partition is concerned."""
        if not self._in_partition[number]:
            self.hearing.emptied(number)
        verdict = self.hearing.answered(number, counter, asked)
        if verdict is Verdict.EMPTY:
            self._empty(number)
        return verdict is Verdict.KEEP

    def keep(self, key: bytes, entry: Entry) -> None:
        """Keep what was read, unless something newer is held."""
        held = self._entries.get(key)
        size = len(key) + len(entry.value)
        if size > self._bytes_max or not self._entries_max:
            return
        if held is not None:
            if held.version > entry.version:
                return
            self._drop(key)
        self._entries[key] = entry
        self._in_partition[entry.number][key] = None
        self.bytes += size
        while len(self._entries) > self._entries_max or self.bytes > self._bytes_max:
            oldest = next(iter(self._entries))
            self._drop(oldest)
            self.evictions += 1

    def confirm(self, key: bytes, copy: Entry, asked: Asked) -> None:
        """Redis has called the copy the latest. One that was dropped meanwhile stays dropped."""
        held = self._entries.get(key)
        if held is None or held.version != copy.version:
            return
        if self._good_until[copy.number] < asked.at + self.hearing.bound_s:
            self._entries[key] = held._replace(read_at=asked.at)
        self._entries.move_to_end(key)

    # -- writes

    def heard(self, key: bytes, number: int, version: int) -> None:
        """A script published that it wrote or removed the key."""
        self.invalidations += 1
        self.written(key, version)
        self.hearing.heard(number, version)
        if number == self._echo[0] and version >= self._echo[1] > 0:
            self.lag.observe(steady_s() - self._echo[2])
            self._echo = (0, 0, 0.0)

    def wrote(self, key: bytes, number: int, version: int) -> None:
        """Redis answered this node's own write, whose readers see it from now on."""
        self.written(key, version)
        if version % ECHOES == 0 and not self.hearing.covers(number, version):
            self._echo = (number, version, steady_s())

    def written(self, key: bytes, version: int) -> None:
        """The key was written or removed, as an answer has told or a publication."""
        fill = self._fills.get(key)
        if fill is not None and fill.written < version:
            fill.written = version
        entry = self._entries.get(key)
        if entry is not None and entry.version < version:
            self._drop(key)

    # -- the subscription

    def turn_on(self) -> None:
        """Every publication from now on should be heard."""
        self.hearing.begin(steady_s())
        self._clear_doubts()

    def turn_off(self) -> None:
        """Publications are not heard; copies are kept, and compared before any is served again."""
        self.hearing.end()
        self._clear_doubts()

    def _clear_doubts(self) -> None:
        for number, keys in enumerate(self._in_partition):
            if not keys:
                self.hearing.emptied(number)

    def begin_anew(self) -> None:
        """Another generation: forget everything."""
        for number in range(PARTITIONS):
            self._empty(number)
        for fill in self._fills.values():
            fill.written = INTEGER_MAX
        self._fills.clear()
        self.hearing.begin_anew(steady_s())

    # -- doubted copies

    def copies(self, number: int, most: int) -> dict[bytes, int]:
        """Versions by key of some of the partition's copies, those read last first."""
        keys = list(self._in_partition[number])
        return {key: self._entries[key].version for key in keys[: -most - 1 : -1]}

    def compared(self, number: int, counter: int, asked: Asked, current: Mapping[bytes, int]) -> None:
        """Redis has said that these copies, in these versions, are the latest, and what the counter is."""
        verdict = self.hearing.compared(number, counter, asked)
        if verdict is Verdict.EMPTY:
            self._empty(number)
        elif verdict is Verdict.KEEP:
            for key in [key for key in self._in_partition[number] if self._entries[key].version != current.get(key)]:
                self._drop(key)

    def drop_stale(self, key: bytes, version: int) -> None:
        """Redis has another value than this copy."""
        entry = self._entries.get(key)
        if entry is not None and entry.version == version:
            self._drop(key)

    def _empty(self, number: int) -> None:
        for key in list(self._in_partition[number]):
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        del self._in_partition[entry.number][key]
        self.bytes -= len(key) + len(entry.value)
