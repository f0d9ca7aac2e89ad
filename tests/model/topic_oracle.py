"""What is promised of a topic, as plainly as it can be said.

The model keeps each message in one state, and for each priority the order of those that are ready. It knows nothing of
how Redis stores them, nor that a message which was removed leaves its id behind in a list. Its time is in moments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.model.world import MOMENT_MS

FOREVER = 14 * 24 * 60 * 60 * 1000 // MOMENT_MS
"""How long a dead letter is kept for which nothing else is set."""
BACKOFF_MOST = 60 * 60 * 1000 // MOMENT_MS


@dataclass
class One:
    """A message from its publication until it is gone."""

    id: str
    data: bytes
    priority: int
    key: str
    expires: int | None
    state: str = "new"
    attempt: int = 0
    receipt: str = ""
    ends: int = 0
    """Of its delay or its delivery, or the time of its death."""
    since: int = 0
    """When that began: of two that end in one moment, the one that began first ends first."""
    reason: str = ""


@dataclass
class Settings:
    """None: nothing is set."""

    max_deliveries: int | None = None
    concurrency: int | None = None
    max_length: int | None = None
    overflow: str | None = None
    backoff: int | None = None
    retention: int | None = None
    dead_retention: int | None = None
    dedup: int | None = None
    key_concurrency: int | None = None
    is_rated: bool = False
    """One delivery a moment."""
    sends_dead_to: str | None = None
    paused_in: bool = False
    paused_out: bool = False


@dataclass
class Topic:
    now: int = 0
    settings: Settings = field(default_factory=Settings)
    messages: dict[str, One] = field(default_factory=dict)
    ready: dict[int, list[One]] = field(default_factory=lambda: {priority: [] for priority in range(9, -1, -1)})
    waiting: dict[str, list[One]] = field(default_factory=dict)
    under_way: Counter[str] = field(default_factory=Counter)
    seen: dict[str, int] = field(default_factory=dict)
    """Until when an id is not stored again."""
    rated_at: int = -1
    """When the rate allowed its last delivery."""
    expired: int = 0
    dropped: int = 0

    # -- what there is

    def of(self, state: str) -> list[One]:
        """Those in a state whose time counts, in the order in which it ends."""
        found = [one for one in self.messages.values() if one.state == state]
        return sorted(found, key=lambda one: (one.ends, one.since))

    def dead(self) -> list[One]:
        found = [one for one in self.messages.values() if one.state == "dead"]
        return sorted(found, key=lambda one: (one.since, one.id))

    def line(self) -> list[One]:
        """All that are ready, in the order in which they are delivered."""
        return [one for priority in self.ready.values() for one in priority]

    def in_line(self) -> list[One]:
        """All that wait for their key, by key."""
        return [one for key in sorted(self.waiting) for one in self.waiting[key]]

    def is_over(self, one: One) -> bool:
        return one.expires is not None and one.expires <= self.now

    def is_flying(self, one: One) -> bool:
        return one.state == "inflight" and one.ends > self.now

    def flying(self) -> int:
        return sum(map(self.is_flying, self.messages.values()))

    def length(self) -> int:
        return sum(one.state != "dead" for one in self.messages.values())

    def next_due(self) -> int | None:
        """When something is to be done for which nobody asks."""
        times = [one.ends for one in self.messages.values() if one.state in ("inflight", "delayed")]
        times += [one.expires for one in self.messages.values() if one.expires is not None and one.state != "inflight"]
        times += self.seen.values()
        for one in self.of("dead"):
            times.append(self.now if self.settings.sends_dead_to else one.ends + self.dead_kept())
        return min(times, default=None)

    def dead_kept(self) -> int:
        return FOREVER if self.settings.dead_retention is None else self.settings.dead_retention

    def is_last(self, one: One) -> bool:
        return one.attempt >= (self.settings.max_deliveries or 5)

    # -- what happens to one

    def refusal(self, ids: Iterable[str]) -> list[object]:
        """Of a publish of these, or nothing."""
        if self.settings.paused_in:
            return ["topic_paused"]
        if excess := self.excess(ids):
            is_dropping = self.settings.overflow == "drop_oldest"
            if not is_dropping or len(self.line()) < excess:
                return ["topic_full", self.length()]
        return []

    def excess(self, ids: Iterable[str]) -> int:
        """Of what would be stored of these, what there is no room for."""
        most = self.settings.max_length
        new = {name for name in ids if name not in self.messages and not self.was_seen(name)}
        return max(self.length() + len(new) - most, 0) if most is not None and new else 0

    def was_seen(self, name: str) -> bool:
        return bool(self.settings.dedup) and self.seen.get(name, -1) > self.now

    def drop(self, count: int) -> None:
        """The oldest of the lowest priority, and what becomes ready by that may go, too."""
        for _ in range(count):
            self.remove(next(of[0] for of in reversed(self.ready.values()) if of))
            self.dropped += 1

    def store(self, one: One, delay: int, tick: int) -> bool:
        """Whether it was not there yet."""
        settings = self.settings
        if one.id in self.messages or self.was_seen(one.id):
            return False
        if settings.dedup:
            self.seen[one.id] = self.now + settings.dedup
        if settings.retention:
            latest = self.now + settings.retention
            one.expires = latest if one.expires is None else min(one.expires, latest)
        self.messages[one.id] = one
        if delay:
            one.state, one.ends, one.since = "delayed", self.now + delay, tick
        else:
            self.enter(one)
        return True

    def enter(self, one: One) -> None:
        """Ready, or in line behind others of its key."""
        if one.key and self.under_way[one.key] >= (self.settings.key_concurrency or 1):
            one.state = "waiting"
            self.waiting.setdefault(one.key, []).append(one)
            return
        if one.key:
            self.under_way[one.key] += 1
        self.queue(one)

    def queue(self, one: One, *, first: bool = False) -> None:
        one.state = "ready"
        self.ready[one.priority].insert(0 if first else len(self.ready[one.priority]), one)

    def pass_turn(self, key: str) -> None:
        if not key:
            return
        if self.waiting.get(key):
            self.queue(self.waiting[key].pop(0))
        else:
            self.under_way[key] -= 1
            self.under_way += Counter()  # those of which nothing is under way are gone

    def remove(self, one: One) -> None:
        has_turn = one.state in ("ready", "inflight") or (one.state == "delayed" and one.attempt > 0)
        if one.state == "ready":
            self.ready[one.priority].remove(one)
        elif one.state == "waiting":
            self.waiting[one.key].remove(one)
        del self.messages[one.id]
        if has_turn:
            self.pass_turn(one.key)

    def remove_all(self, chosen: Iterable[One]) -> int:
        chosen = list(chosen)
        for one in chosen:
            self.remove(one)
        return len(chosen)

    def bury(self, one: One, tick: int, reason: str = "max_deliveries") -> None:
        one.state, one.since, one.ends, one.reason, one.expires = "dead", tick, self.now, reason, None
        self.pass_turn(one.key)

    def come_back(self, one: One, tick: int) -> None:
        """From a delivery, without a delay."""
        if self.is_over(one):
            self.expire(one)
        elif self.is_last(one):
            self.bury(one, tick)
        else:
            self.queue(one, first=True)

    def give_back(self, one: One, delay: int, tick: int) -> None:
        if delay and not self.is_over(one) and not self.is_last(one):
            one.state, one.ends, one.since = "delayed", self.now + delay, tick
        else:
            self.come_back(one, tick)

    def back_off(self, one: One) -> int:
        """Twice as long for each delivery."""
        return min((self.settings.backoff or 0) << (one.attempt - 1), BACKOFF_MOST)

    def expire(self, one: One) -> None:
        self.remove(one)
        self.expired += 1

    def redrive(self, one: One) -> None:
        one.attempt, one.receipt, one.reason = 0, "", ""
        self.enter(one)

    def end_delay(self, one: One) -> None:
        """One that was given back has its turn already."""
        if one.attempt:
            self.queue(one)
        else:
            self.enter(one)

    # -- what is done to all of them

    def tend(self, tick: int) -> None:
        for one in reversed([one for one in self.of("inflight") if one.ends <= self.now]):
            self.come_back(one, tick)
        for one in [one for one in self.of("delayed") if one.ends <= self.now]:
            self.end_delay(one)
        ended = [one for one in self.messages.values() if self.is_over(one) and one.state != "inflight"]
        for one in sorted(ended, key=lambda one: one.expires or 0):
            self.expire(one)
        self.remove_all([one for one in self.dead() if one.ends + self.dead_kept() <= self.now])
        self.seen = {name: until for name, until in self.seen.items() if until > self.now}

    def take(self, most: int) -> list[One]:
        if self.settings.paused_out:
            return []
        if self.settings.concurrency is not None:
            most = min(most, max(self.settings.concurrency - self.flying(), 0))
        if self.settings.is_rated:
            most = min(most, int(self.rated_at < self.now))
        taken = self.line()[:most]
        for one in taken:
            self.ready[one.priority].remove(one)
            one.state = "inflight"
        if taken and self.settings.is_rated:
            self.rated_at = self.now
        return taken

    def purge_ready(self) -> int:
        """What becomes ready meanwhile stays, but for those that lose their turn to the first of them."""
        urgent = [one for priority, of in self.ready.items() if priority for one in of]
        return self.remove_all(urgent) + self.remove_all(list(self.ready[0]))
