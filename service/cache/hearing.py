"""What this node has heard of the writes of each partition, and until when it may therefore serve its copies.

Every write of a partition takes the next version of one counter and publishes it, so versions are a sequence without
holes: a message that is missing shows in the next one, or in the counter itself, which every answer of Redis carries.

    heard up to 7 ── message 8 ──> heard up to 8          copies of the key written are dropped
                  ── message 10 ─> 9 was lost             the copies are doubted: compared before one is served again
                  ── answer, counter 7 ─> all is heard    copies may be served for `bound_s` from when it was asked
                  ── answer, counter 9 ─> 8, 9 expected   if they do not come in time, they were lost
                  ── message 7 ─> a repeat                what is held is compared

What holds for every copy that is not doubted: no write of its key has a version above the copy's and up to `seen`.
So an answer with a counter up to `seen` proves that nothing was overwritten before it was asked for. Copies are served
for `bound_s` from that moment and no longer, whatever is lost, delayed or doubled on the way: the argument in whole is
in docs/explanation/near-cache.md.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from service.keys import PARTITIONS

GRACE = 0.25
"""Part of the bound that messages may take which an answer says are on their way."""
RENEW = 0.6
"""A partition in use is asked for again when less than this part of the bound is left."""


class Asked(NamedTuple):
    """A question to Redis, taken before it is sent."""

    at: float
    seen: int


class Verdict(Enum):
    """What an answer of Redis is worth."""

    KEEP = "what was read with it may be kept"
    LET_GO = "it answers its reader, and is not kept"
    EMPTY = "the counter has gone back: everything held of the partition must go"


class Hearing:
    """Times are seconds of one steady clock, given by the caller; `number` is a partition's."""

    def __init__(self, bound_s: float) -> None:
        self.bound_s = bound_s
        self.good_until = [0.0] * PARTITIONS
        """Copies of a partition may be served before this moment."""
        self.used = bytearray(PARTITIONS)
        """Set when a copy was wanted; cleared by whoever sees to it that the partition stays good."""
        self._seen = [0] * PARTITIONS
        """Every message up to this version was heard or made up for; 0: not known yet."""
        self._lost_to = [0] * PARTITIONS
        """What was read when the counter was below this may lack a write that nobody will be told of."""
        self._doubted = bytearray(PARTITIONS)
        self._expected: dict[int, tuple[int, float]] = {}
        self._up_since: float | None = None
        self.gaps = 0
        self.rollbacks = 0
        self.repeats = 0

    def begin(self, now: float) -> None:
        """Every message from now on should be heard. What is held from before is doubted."""
        self.end()
        self._up_since = now

    def end(self) -> None:
        """Messages are not heard any more."""
        self._up_since = None
        for number in range(PARTITIONS):
            self._forget(number)
            self._doubted[number] = 1

    def begin_anew(self, now: float) -> None:
        """Nothing is held any more, and nothing from before `now` counts: another generation has begun."""
        for number in range(PARTITIONS):
            self._forget(number)
            self._doubted[number] = 0
        if self._up_since is not None:
            self._up_since = now

    def emptied(self, number: int) -> None:
        """Nothing of the partition is held any more."""
        self._doubted[number] = 0

    def is_doubted(self, number: int) -> bool:
        return bool(self._doubted[number])

    def covers(self, number: int, version: int) -> bool:
        """Whether every copy of the partition is at least as new as a write of this version."""
        return self._seen[number] >= version and not self._doubted[number]

    def ask(self, number: int, now: float) -> Asked:
        return Asked(now, self._seen[number])

    # -- messages

    def heard(self, number: int, version: int) -> None:
        """A message. The caller has dropped what it holds of the key written, if that is older."""
        seen = self._seen[number]
        if version == seen + 1:
            self._seen[number] = version
            expected = self._expected.get(number)
            if expected is not None and expected[0] <= version:
                del self._expected[number]
                self._confirm(number, expected[1])
        elif version > seen:
            self._seen[number] = version
            self._lose(number, version - 1, is_gap=seen > 0)
        elif version > self._lost_to[number]:
            # Heard before. A server that had counted less would say so too, so copies are compared.
            self.repeats += 1
            self._lose(number, seen)

    def _lose(self, number: int, version: int, *, is_gap: bool = True) -> None:
        self._lost_to[number] = max(self._lost_to[number], version)
        self._expected.pop(number, None)
        if is_gap:
            self.gaps += 1
            self._doubted[number] = 1
            self.good_until[number] = 0.0

    # -- answers

    def answered(self, number: int, counter: int, asked: Asked) -> Verdict:
        """An answer of Redis with the partition's counter."""
        verdict = self._judge(number, counter, asked)
        if verdict is not Verdict.KEEP:
            return verdict
        if self._seen[number] == 0:
            if self._doubted[number]:
                return Verdict.LET_GO
            self._begin_at(number, counter)
        if counter <= self._seen[number]:
            self._confirm(number, asked.at)
        elif number not in self._expected:
            self._expected[number] = (counter, asked.at)
        return Verdict.KEEP

    def _judge(self, number: int, counter: int, asked: Asked) -> Verdict:
        if self._up_since is None or asked.at < self._up_since:
            return Verdict.LET_GO
        if counter < asked.seen:
            # Redis has counted less than it had told of: it lost data, or another server answered.
            self.rollbacks += 1
            self._forget(number)
            self._doubted[number] = 0
            return Verdict.EMPTY
        return Verdict.KEEP if counter >= self._lost_to[number] else Verdict.LET_GO

    def _confirm(self, number: int, asked_at: float) -> None:
        if not self._doubted[number]:
            self.good_until[number] = max(self.good_until[number], asked_at + self.bound_s)

    def compared(self, number: int, counter: int, asked: Asked) -> Verdict:
        """As `answered`, for an answer that told which copies are out of date. KEEP: the caller keeps those that are
        not, and no copy that was not compared: a write up to `counter` may have been made to it and not been heard."""
        verdict = self._judge(number, counter, asked)
        if verdict is Verdict.KEEP:
            self._expected.pop(number, None)
            self._doubted[number] = 0
            if counter > self._seen[number]:
                self._begin_at(number, counter)
            self._confirm(number, asked.at)
        return verdict

    def _begin_at(self, number: int, counter: int) -> None:
        """Go on from here without having heard what came before."""
        self._seen[number] = counter
        self._lost_to[number] = max(self._lost_to[number], counter)

    def _forget(self, number: int) -> None:
        self.good_until[number] = 0.0
        self._seen[number] = self._lost_to[number] = 0
        self._expected.pop(number, None)

    # -- what is to be done

    def overdue(self, now: float) -> list[int]:
        """Partitions whose expected messages did not come: they are doubted from now on."""
        late = [n for n, (_, asked_at) in self._expected.items() if now - asked_at > GRACE * self.bound_s]
        for number in late:
            self._lose(number, self._expected[number][0])
        return late

    def to_renew(self, now: float) -> list[int]:
        """Partitions that were used since the last call and whose time runs out."""
        least = now + RENEW * self.bound_s
        found = [n for n in range(PARTITIONS) if self.used[n] and self.good_until[n] < least]
        self.used[:] = bytes(PARTITIONS)
        return found
