"""Random lives of two locks against what the design promises of them.

The model knows holds as (owner, mode, token, end) and nothing of how Redis stores them. It says who may hold together,
what ends a hold, that tokens only rise, and what a repeated request must hear.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.model.world import MOMENT_MS, World, explore, mark
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


class LockMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.last_token = 0
        self.holds: list[Hold] = []
        self.asked: dict[str, Asked] = {}
        self.tokens: dict[tuple[str, str], int] = {}

    # -- the model

    def running(self, resource: str) -> list[Hold]:
        return [hold for hold in self.holds if hold.resource == resource and hold.ends > self.now]

    def is_running(self, hold: Hold | None) -> bool:
        return hold is not None and hold in self.holds and hold.ends > self.now

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
        elif self.may_hold(resource, owner, mode):
            assert reply.code == "ok"
            hold = Hold(resource, owner, mode, int(reply.fields[0]), self.now + ttl, ttl)
            assert hold.token > self.last_token
            self.last_token = self.tokens[resource, owner] = hold.token
            self.holds.append(hold)
            self.remember(request_id, contents, hold)
        else:
            assert reply.code == "lock_held"
            assert {name.decode() for name in reply.fields[2::3]} == {hold.owner for hold in self.running(resource)}

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
            self.remember(request_id, contents, None)

    @rule(resource=RESOURCES, owner=OWNERS, age=st.sampled_from([0, 0, 1]), ttl=TTLS, request_id=REQUESTS)
    def renew(self, resource: str, owner: str, age: int, ttl: int | None, request_id: str) -> None:
        self.renew_by(resource, owner, self.tokens.get((resource, owner), 2) - age, ttl, request_id)

    def renew_by(self, resource: str, owner: str, token: int, ttl: int | None, request_id: str) -> None:
        hold = self.find(resource, owner)
        contents = ("renew", resource, owner, token, ttl)
        reply = self.run.renew(
            owner,
            token,
            "" if ttl is None else ttl * MOMENT_MS,
            resource=resource,
            request_id=request_id,
            fingerprint=mark(request_id, contents),
        )
        if self.is_reuse(request_id, contents):
            assert reply.code == "request_id_reused"
        elif hold is None or token != hold.token:
            assert reply.code == "lock_lost"
        elif request_id in self.asked:
            assert reply.code == "ok"
        else:
            hold.ttl = ttl or hold.ttl
            hold.ends = self.now + hold.ttl
            assert reply == ("ok", [hold.ttl * MOMENT_MS])
            self.remember(request_id, contents, hold)

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

    @rule(unlucky=st.integers(0, 9))
    def redis_forgets(self, unlucky: int) -> None:
        """The next generation's tokens are above all that was ever granted."""
        if unlucky == 9:
            self.lose_everything()
            self.holds.clear()
            self.asked.clear()

    @invariant()
    def everybody_sees_the_running_holds(self) -> None:
        for resource in ("r1", "r2"):
            assert self.run.holders(resource) == {hold.owner: hold.token for hold in self.running(resource)}


def test_locks_keep_their_promises_in_any_order_of_events(any_server: RedisServer, examples_max: int) -> None:
    explore(LockMachine, any_server, examples_max=examples_max)
