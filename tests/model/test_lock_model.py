"""Random lives of two locks against what the design promises of them, over losses of data.

The model knows holds as (owner, mode, token, end) and nothing of how Redis stores them. It says who may hold together,
what ends a hold, that tokens only rise, and what a repeated request must hear.

It keeps two lists. `holds` is what Redis must show. `leases` is what clients were told and go by: a loss of data, of
everything or back to an older copy, changes the first and not the second, and the promises are about the second: of two
clients whose leases run, no two exclude each other, and none whose lease ended is told that it goes on, whatever Redis
has forgotten or brought back.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.lua.runner import COUNTER_BITS
from tests.model.world import MOMENT_MS, Copy, World, explore, mark
from tests.support import RedisServer

OWNERS = st.sampled_from(["a", "a", "b", "c"])
RESOURCES = st.sampled_from(["r1", "r1", "r1", "r2"])
MODES = st.sampled_from(["exclusive", "shared", "shared"])
MOMENTS = st.integers(1, 4)
TTLS = st.one_of(st.none(), MOMENTS)
REQUESTS = st.sampled_from(["", "", "q1", "q2", "q3"])


@dataclass
class Hold:
    resource: str
    owner: str
    mode: str
    token: int
    ends: int
    ttl: int


@dataclass
class Asked:
    """A request id, what it was used for first, and the hold it was granted."""

    contents: tuple[Any, ...]
    hold: Hold | None


class Loss(Enum):
    NOTHING = 0
    EVERYTHING = 1
    SINCE_THE_COPY = 2


@dataclass
class Kept:
    """What an older copy of the data has, and what the model knew of it then."""

    copy: Copy
    holds: list[Hold]
    asked: dict[str, Asked]
    quarantine_ends: int


class LockMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.last_token = 0
        self.holds: list[Hold] = []
        self.asked: dict[str, Asked] = {}
        self.tokens: dict[tuple[str, str], int] = {}
        self.leases: dict[int, Hold] = {}
        self.latest_ends: dict[int, int] = {}
        self.released: dict[int, Hold] = {}
        self.quarantine_ends = 0
        self.kept: Kept | None = None

    # -- the model

    def running(self, resource: str) -> list[Hold]:
        return [hold for hold in self.holds if hold.resource == resource and hold.ends > self.now]

    def is_running(self, hold: Hold | None) -> bool:
        return hold is not None and self.by_token(hold.resource, hold.owner, hold.token) is not None

    def by_token(self, resource: str, owner: str, token: int) -> Hold | None:
        hold = self.find(resource, owner)
        return hold if hold and hold.token == token else None

    def running_leases(self) -> list[Hold]:
        return [lease for lease in self.leases.values() if lease.ends > self.now]

    def last_end(self) -> int:
        """When the last lease ends, or the last copy of one from before it was shortened, which only its node knows."""
        return max((self.latest_ends[token] for token in self.leases), default=self.now)

    def in_quarantine(self) -> bool:
        return self.quarantine_ends > self.now

    def may_hold(self, resource: str, owner: str, mode: str) -> bool:
        others = self.running(resource)
        if mode == "exclusive":
            return not others
        return all(hold.mode == "shared" and hold.owner != owner for hold in others)

    def find(self, resource: str, owner: str) -> Hold | None:
        return next((hold for hold in self.running(resource) if hold.owner == owner), None)

    def is_reuse(self, request_id: str, contents: tuple[Any, ...]) -> bool:
        return request_id in self.asked and self.asked[request_id].contents != contents

    def remember(self, request_id: str, contents: tuple[Any, ...], hold: Hold | None) -> None:
        if request_id:
            self.asked[request_id] = Asked(contents, hold)

    # -- what may happen

    @rule(resource=RESOURCES, owner=OWNERS, mode=MODES, ttl=MOMENTS, request_id=REQUESTS)
    def acquire(self, resource: str, owner: str, mode: str, ttl: int, request_id: str) -> None:
        contents = ("acquire", resource, owner, mode, ttl)
        reply = self.run.acquire(
            owner,
            mode,
            resource=resource,
            ttl_ms=ttl * MOMENT_MS,
            request_id=request_id,
            fingerprint=mark(request_id, contents),
        )
        if self.is_reuse(request_id, contents):
            assert reply.code == "request_id_reused"
        elif request_id in self.asked:
            first = self.asked[request_id].hold
            assert first
            assert reply.code == ("ok" if self.is_running(first) else "lock_released")
            assert int(reply.fields[0]) == first.token
        elif self.may_hold(resource, owner, mode) and self.in_quarantine():
            assert reply.code == "lock_quarantine"
            left_ms = (self.quarantine_ends - self.now) * MOMENT_MS
            assert left_ms - MOMENT_MS < reply.fields[0] <= left_ms
        elif self.may_hold(resource, owner, mode):
            assert reply.code == "ok"
            hold = Hold(resource, owner, mode, int(reply.fields[0]), self.now + ttl, ttl)
            assert hold.token > self.last_token
            self.last_token = self.tokens[resource, owner] = hold.token
            self.holds.append(hold)
            self.leases[hold.token] = replace(hold)
            self.latest_ends[hold.token] = hold.ends
            self.remember(request_id, contents, hold)
        else:
            assert reply.code == "lock_held"
            assert {name.decode() for name in reply.fields[2:-1:3]} == {hold.owner for hold in self.running(resource)}

    @rule(ttls=st.lists(MOMENTS, min_size=2, max_size=3))
    def readers_gather(self, ttls: list[int]) -> None:
        """Several at a time, which single grants at random seldom come to."""
        for owner, ttl in zip("abc", ttls, strict=False):
            self.acquire("r1", owner, "shared", ttl, "")

    @rule(resource=RESOURCES, owner=OWNERS, age=st.sampled_from([None, 0, 1]), request_id=REQUESTS)
    def release(self, resource: str, owner: str, age: int | None, request_id: str) -> None:
        """`age`: by no token, by the latest this owner was granted, or by another."""
        token = "" if age is None else self.tokens.get((resource, owner), 2) - age
        self.release_by(resource, owner, token, request_id)

    def release_by(self, resource: str, owner: str, token: int | str, request_id: str) -> None:
        hold = self.find(resource, owner)
        contents = ("release", resource, owner, token)
        reply = self.run.release(
            owner, token, resource=resource, request_id=request_id, fingerprint=mark(request_id, contents)
        )
        if self.is_reuse(request_id, contents):
            assert reply.code == "request_id_reused"
        elif request_id in self.asked:
            assert reply.code == "ok"
        elif hold is None:
            assert reply.code == "lock_not_held"
        elif token not in ("", hold.token):
            assert reply.code == "token_stale"
        else:
            assert reply.code == "ok"
            self.holds.remove(hold)
            for lease in self.running_leases():
                # Whatever hold of its the owner meant by no token, it holds nothing any more.
                if (lease.resource, lease.owner) == (resource, owner) and token in ("", lease.token):
                    self.released[lease.token] = self.leases.pop(lease.token)
            self.remember(request_id, contents, None)

    @rule(resource=RESOURCES, owner=OWNERS, age=st.sampled_from([0, 0, 1]), ttl=TTLS, request_id=REQUESTS)
    def renew(self, resource: str, owner: str, age: int, ttl: int | None, request_id: str) -> None:
        self.renew_by(resource, owner, self.tokens.get((resource, owner), 2) - age, ttl, request_id)

    def renew_by(self, resource: str, owner: str, token: int, ttl: int | None, request_id: str) -> None:
        """As a node does it: what Redis lost is taken up again if a node remembers that its lease runs."""
        hold = self.by_token(resource, owner, token)
        contents = ("renew", resource, owner, token, ttl)
        once: dict[str, Any] = {"request_id": request_id, "fingerprint": mark(request_id, contents)}
        reply = self.run.renew(owner, token, "" if ttl is None else ttl * MOMENT_MS, resource=resource, **once)
        if self.is_reuse(request_id, contents):
            assert reply.code == "request_id_reused"
        elif self.in_quarantine() and token < self.run.generation << COUNTER_BITS:
            assert reply.code == "lock_quarantine"
            lease = self.leases.get(token) or self.released.get(token)
            if lease and (lease.resource, lease.owner) == (resource, owner) and lease.ends > self.now:
                self.reattach(lease, ttl or lease.ttl, contents, once)
        elif hold is None:
            assert reply.code == "lock_lost"
        elif request_id in self.asked:
            assert (reply.code, reply.fields[1:]) == ("ok", [hold.mode.encode(), 1])
        else:
            is_shorter = ttl is not None and ttl < hold.ttl
            self.extend(hold, ttl or hold.ttl)
            assert reply == ("ok", [hold.ttl * MOMENT_MS, hold.mode.encode(), *([2] if is_shorter else [])])
            self.remember(request_id, contents, hold)

    def extend(self, hold: Hold, ttl: int) -> None:
        """The client was told so, and goes by it; one that has released it does not."""
        hold.ttl, hold.ends = ttl, self.now + ttl
        assert hold.token in self.leases or hold.token in self.released
        lease = self.leases.get(hold.token)
        if lease:
            assert lease.ends > self.now, "a lease that ended goes on"
            lease.ttl, lease.ends = hold.ttl, hold.ends
            self.latest_ends[hold.token] = max(self.latest_ends[hold.token], hold.ends)

    def reattach(self, lease: Hold, ttl: int, contents: tuple[Any, ...], once: dict[str, Any]) -> None:
        kept = self.by_token(lease.resource, lease.owner, lease.token)
        others = [other for other in self.running(lease.resource) if other is not kept]
        if lease.mode == "shared" and all(other.mode == "shared" for other in others):
            others = [other for other in others if other.owner == lease.owner]
        reply = self.run.reattach(
            lease.owner, lease.token, lease.mode, ttl * MOMENT_MS, resource=lease.resource, **once
        )
        if once["request_id"] in self.asked and kept:
            assert (reply.code, reply.fields[1:]) == ("ok", [lease.mode.encode(), 1])
        elif once["request_id"] in self.asked:
            assert reply.code == "lock_lost", "it ended after that request"
        elif any(other.token > lease.token for other in others):
            assert reply.code == "lock_lost"
            assert lease.token not in self.leases, "a lease that runs was refused"
        else:
            assert reply == ("ok", [ttl * MOMENT_MS, lease.mode.encode()])
            running = {lease.token for lease in self.running_leases()}
            assert running.isdisjoint(other.token for other in others), "a lease that runs gave way"
            self.holds = [hold for hold in self.holds if hold is not kept and hold not in others]
            hold = replace(lease)
            self.holds.append(hold)
            self.extend(hold, ttl)
            self.remember(once["request_id"], contents, hold)

    @precondition(lambda self: self.asked)
    @rule(pick=st.integers(0, 9))
    def repeat(self, pick: int) -> None:
        """A client that never heard the answer asks the very same thing again."""
        request_id = sorted(self.asked)[pick % len(self.asked)]
        kind, *contents = self.asked[request_id].contents
        again: Any = {"acquire": self.acquire, "release": self.release_by, "renew": self.renew_by}[kind]
        again(*contents, request_id)

    @rule(moments=st.integers(1, 2), linger=st.booleans())
    def pass_time(self, moments: int, linger: bool) -> None:
        self.pass_moments(moments, linger=linger)

    @rule()
    def a_replica_falls_behind(self) -> None:
        holds, asked = deepcopy((self.holds, self.asked))
        self.kept = Kept(self.copy(), holds, asked, self.quarantine_ends)

    @precondition(lambda self: self.running_leases())
    @rule(pick=st.integers(0, 9), owner=OWNERS, mode=MODES, loss=st.sampled_from(Loss), is_newest_first=st.booleans())
    def a_replica_misses_a_change_of_holders(
        self, *, pick: int, owner: str, mode: str, loss: Loss, is_newest_first: bool
    ) -> None:
        """Which single steps at random seldom come to."""
        self.a_replica_falls_behind()
        leases = self.running_leases()
        lease = leases[pick % len(leases)]
        self.release_by(lease.resource, lease.owner, lease.token, "")
        self.acquire(lease.resource, owner, mode, 2, "")
        self.redis_forgets(loss, 0)
        if loss is not Loss.NOTHING:
            self.all_come_back(is_newest_first, is_late=True)

    @precondition(lambda self: self.running_leases())
    @rule(
        pick=st.integers(0, 9),
        owner=OWNERS,
        moments=st.tuples(st.integers(0, 1), st.integers(0, 2)),
        loss=st.sampled_from([*Loss, Loss.SINCE_THE_COPY]),
    )
    def a_replica_misses_a_shorter_lease(self, pick: int, owner: str, moments: tuple[int, int], loss: Loss) -> None:
        """It may have ended since, and the lock have been granted to another; and the quarantine may be over."""
        self.a_replica_falls_behind()
        leases = self.running_leases()
        lease = leases[pick % len(leases)]
        self.renew_by(lease.resource, lease.owner, lease.token, 1, "")
        self.pass_moments(moments[0], linger=False)
        self.acquire(lease.resource, owner, "exclusive", 1, "")
        self.redis_forgets(loss, 0)
        self.pass_moments(moments[1], linger=False)
        self.renew_by(lease.resource, lease.owner, lease.token, None, "")

    @rule(loss=st.sampled_from([Loss.NOTHING, Loss.NOTHING, *Loss]), longer=st.sampled_from([0, 0, 1]))
    def redis_forgets(self, loss: Loss, longer: int) -> None:
        """The leader knows how long leases run that nodes granted, or reckons with `longer`."""
        longest = max(self.last_end(), self.now) + longer
        if loss is Loss.SINCE_THE_COPY and self.kept:
            self.bring_back(self.kept.copy)
            self.holds, self.asked = deepcopy((self.kept.holds, self.kept.asked))
            self.quarantine_ends = max(self.kept.quarantine_ends, longest)
        elif loss is Loss.EVERYTHING:
            self.run.redis.flushall()
            self.holds, self.asked, self.kept = [], {}, None
            self.quarantine_ends = longest
        else:
            return
        quarantine_ms = (longest - self.now) * MOMENT_MS
        assert self.run.install(self.run.generation + 1, quarantine_ms=quarantine_ms).code == "ok"

    @precondition(lambda self: self.in_quarantine())
    @rule(is_newest_first=st.booleans(), is_late=st.booleans())
    def all_come_back(self, is_newest_first: bool, is_late: bool) -> None:
        """`is_late`: also requests sent before a release that reached Redis and not every node."""
        leases = [*self.running_leases(), *(self.released.values() if is_late else ())]
        for lease in sorted(leases, key=lambda lease: lease.token, reverse=is_newest_first):
            self.renew_by(lease.resource, lease.owner, lease.token, None, "")

    @precondition(lambda self: self.in_quarantine())
    @rule()
    def the_leader_learns_how_long_leases_run(self) -> None:
        longest = max(self.last_end(), self.now)
        self.quarantine_ends = min(self.quarantine_ends, longest)
        assert self.run.shorten((longest - self.now) * MOMENT_MS).code == "ok"

    @precondition(lambda self: self.quarantine_ends)
    @rule()
    def the_owner_does_its_duty(self) -> None:
        code, (left_ms,) = self.run.lift()
        assert code == "ok"
        assert (left_ms > 0) == self.in_quarantine()

    @invariant()
    def everybody_sees_the_running_holds(self) -> None:
        for resource in ("r1", "r2"):
            assert self.run.holders(resource) == {hold.owner: hold.token for hold in self.running(resource)}

    @invariant()
    def no_two_clients_have_leases_that_exclude_each_other(self) -> None:
        for resource in ("r1", "r2"):
            leases = [lease for lease in self.running_leases() if lease.resource == resource]
            if any(lease.mode == "exclusive" for lease in leases):
                assert len(leases) == 1
            assert len({lease.owner for lease in leases}) == len(leases)

    @invariant()
    def a_lease_that_runs_is_known_to_redis_or_waited_for(self) -> None:
        for lease in self.running_leases():
            assert self.in_quarantine() or self.is_running(lease)


def test_locks_keep_their_promises_in_any_order_of_events(any_server: RedisServer, examples_max: int) -> None:
    explore(LockMachine, any_server, examples_max=examples_max)
