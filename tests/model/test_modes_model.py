"""Random lives of one lock in all its modes: exclusive, shared, semaphores of two limits, re-entrant, up and down.

The model is a list of holds and a list of those who wait. It knows nothing of records, scores and permits that are not
cleared away yet. Every owner has at most one place of each kind in the line.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.lua.runner import detail, waiter_of
from tests.model.world import MOMENT_MS, World, explore
from tests.support import RedisServer

OWNERS = st.sampled_from("abcd")
MOMENTS = st.integers(1, 4)
FOR_EVER_MS = 100_000 * MOMENT_MS


@dataclass(frozen=True)
class Kind:
    mode: str
    permits: int = 0
    limit: int = 0

    def detail(self, *, reentrant: bool = False) -> str:
        if not reentrant and not self.limit:
            return ""
        return detail(reentrant=reentrant, limit=self.limit, permits=self.permits)


EXCLUSIVE, SHARED = Kind("exclusive"), Kind("shared")
KINDS = st.sampled_from(
    [EXCLUSIVE, SHARED, SHARED, *(Kind("semaphore", permits, 3) for permits in (1, 1, 2, 3)), Kind("semaphore", 1, 2)]
)


@dataclass
class Hold:
    owner: str
    kind: Kind
    token: int
    ends: int
    holds: int = 0


@dataclass
class Waiter:
    owner: str
    kind: Kind
    is_upgrade: bool = False
    reentrant: bool = False

    @property
    def id(self) -> str:
        return waiter_of("upgrade" + self.owner if self.is_upgrade else self.owner)


class ModesMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.holds: list[Hold] = []
        self.line: list[Waiter] = []
        self.unconfirmed: dict[str, int] = {}
        self.last_token = 0

    # -- the model

    def find(self, owner: str) -> Hold | None:
        return next((hold for hold in self.holds if hold.owner == owner), None)

    def place(self, owner: str, *, is_upgrade: bool = False) -> Waiter | None:
        return next((one for one in self.line if (one.owner, one.is_upgrade) == (owner, is_upgrade)), None)

    def is_compatible(self, owner: str, kind: Kind) -> bool:
        """But for the permits."""
        if not self.holds:
            return True
        held = self.holds[0].kind
        return held.mode == kind.mode != "exclusive" and held.limit == kind.limit and not self.find(owner)

    def has_permits(self, kind: Kind) -> bool:
        return kind.mode != "semaphore" or sum(hold.kind.permits for hold in self.holds) + kind.permits <= kind.limit

    def limit_held(self) -> int:
        return self.holds[0].kind.limit if self.holds else 0

    def limit_waited_for(self) -> int:
        return next((one.kind.limit for one in self.line if one.kind.limit), 0)

    def new_token(self, token: int) -> int:
        assert token > self.last_token
        self.last_token = token
        return token

    def hand_on(self) -> None:
        while self.line:
            head = self.line[0]
            if head.is_upgrade or not (self.is_compatible(head.owner, head.kind) and self.has_permits(head.kind)):
                return
            self.line.pop(0)
            shown = self.run.holders()
            assert head.owner in shown, "it is its turn"
            token = self.new_token(shown[head.owner])
            self.holds.append(Hold(head.owner, head.kind, token, self.now, int(head.reentrant)))
            self.unconfirmed[head.owner] = token

    # -- what may happen

    @rule(owner=OWNERS, kind=KINDS, ttl=MOMENTS, reentrant=st.booleans())
    def acquire(self, owner: str, kind: Kind, ttl: int, reentrant: bool) -> None:
        reply = self.run.acquire(owner, kind.mode, ttl_ms=ttl * MOMENT_MS, detail=kind.detail(reentrant=reentrant))
        own = self.find(owner)
        enters = reentrant and own and own.kind.mode == kind.mode and own.kind.permits >= kind.permits
        if kind.limit and self.limit_held() not in (0, kind.limit):
            assert reply == ("limit_mismatch", [self.limit_held()])
        elif own and enters:
            own.holds, own.ends = max(own.holds, 1) + 1, max(own.ends, self.now + ttl)
            assert reply.code == "ok"
            assert (reply.fields[0], reply.fields[3]) == (own.token, own.holds)
        elif self.is_compatible(owner, kind) and self.has_permits(kind) and not self.line:
            assert reply.code == "ok"
            token = self.new_token(int(reply.fields[0]))
            self.holds.append(Hold(owner, kind, token, self.now + ttl, int(reentrant)))
        else:
            assert reply.code == "lock_held"

    @rule(owner=OWNERS, kind=KINDS, reentrant=st.booleans())
    def wait(self, owner: str, kind: Kind, reentrant: bool) -> None:
        if self.place(owner) or owner in self.unconfirmed:
            return
        reply = self.run.wait(
            owner,
            kind.mode,
            session_ms=FOR_EVER_MS,
            wait_ms=FOR_EVER_MS,
            detail=kind.detail(reentrant=reentrant),
        )
        in_force = self.limit_held() or self.limit_waited_for()
        if kind.limit and in_force not in (0, kind.limit):
            assert reply == ("limit_mismatch", [in_force])
            return
        assert reply.code == "ok"
        self.line.append(Waiter(owner, kind, reentrant=reentrant))
        self.hand_on()
        place = self.place(owner)
        assert reply.fields[0] == (self.line.index(place) + 1 if place else 0)

    @rule(kinds=st.lists(KINDS, min_size=2, max_size=3))
    def many_wait(self, kinds: list[Kind]) -> None:
        """Behind a writer, which single steps at random seldom come to."""
        self.acquire("d", EXCLUSIVE, 2, False)
        for owner, kind in zip("abc", kinds, strict=False):
            self.wait(owner, kind, False)

    @precondition(lambda self: self.unconfirmed)
    @rule(ttl=MOMENTS)
    def confirm(self, ttl: int) -> None:
        owner, token = self.unconfirmed.popitem()
        hold = self.find(owner)
        reply = self.run.confirm(owner, token, ttl * MOMENT_MS)
        if hold and hold.token == token:
            hold.ends = self.now + ttl
            assert reply == ("ok", [token, ttl * MOMENT_MS])
        else:
            assert reply.code == "lock_lost"

    @rule(owner=OWNERS, whole=st.booleans())
    def release(self, owner: str, whole: bool) -> None:
        hold = self.find(owner)
        reply = self.run.release(owner, all=1 if whole else "")
        if not hold:
            assert reply.code == "lock_not_held"
        elif hold.holds > 1 and not whole:
            hold.holds -= 1
            assert reply == ("ok", [0, hold.holds])
        else:
            assert reply == ("ok", [0, 0] if hold.holds else [])
            self.holds.remove(hold)
            self.hand_on()

    @rule(owner=OWNERS, is_upgrade=st.booleans())
    def withdraw(self, owner: str, is_upgrade: bool) -> None:
        place = self.place(owner, is_upgrade=is_upgrade)
        if not place:
            return
        assert self.run.withdraw(owner, waiter=place.id).fields == [self.line.index(place) + 1, 0]
        self.line.remove(place)
        self.hand_on()

    @rule(owner=OWNERS, ttl=st.one_of(st.none(), MOMENTS))
    def renew(self, owner: str, ttl: int | None) -> None:
        hold = self.find(owner)
        if hold and owner not in self.unconfirmed and ttl:
            reply = self.run.renew(owner, hold.token, ttl * MOMENT_MS)
            assert (reply.code, reply.fields[:2]) == ("ok", [ttl * MOMENT_MS, hold.kind.mode.encode()])
            hold.ends = self.now + ttl

    @rule(owner=OWNERS, ttl=MOMENTS, waits=st.booleans())
    def upgrade(self, owner: str, ttl: int, waits: bool) -> None:
        hold, place = self.find(owner), self.place(owner, is_upgrade=True)
        reply = self.run.upgrade(
            owner,
            hold.token if hold else 1,
            ttl_ms=ttl * MOMENT_MS,
            session_ms=FOR_EVER_MS,
            wait_ms=FOR_EVER_MS if waits else 0,
        )
        first = self.line[0] if self.line else None
        if not hold:
            assert reply.code == "lock_not_held"
        elif hold.kind.mode != "shared":
            assert reply == ("lock_mode_mismatch", [hold.kind.mode.encode()])
        elif len(self.holds) == 1:
            assert (reply.code, reply.fields[1]) == ("ok", ttl * MOMENT_MS)
            hold.kind, hold.ends = EXCLUSIVE, self.now + ttl
            hold.token = self.new_token(reply.fields[0])
            if place:
                self.line.remove(place)
        elif first and first.is_upgrade and first is not place:
            assert reply == ("lock_deadlock", [first.owner.encode()])
        else:
            assert reply.code == "lock_held"
            if waits and not place:
                self.line.insert(0, Waiter(owner, SHARED, is_upgrade=True))

    @rule(ttls=st.lists(MOMENTS, min_size=2, max_size=2), owner=OWNERS)
    def readers_gather(self, ttls: list[int], owner: str) -> None:
        for one, ttl in zip("ab", ttls, strict=True):
            self.acquire(one, SHARED, ttl, False)
        self.upgrade(owner, 2, True)

    @rule(owner=OWNERS)
    def downgrade(self, owner: str) -> None:
        hold = self.find(owner)
        reply = self.run.downgrade(owner, hold.token if hold else 1)
        if not hold:
            assert reply.code == "lock_not_held"
        elif hold.kind.mode != "exclusive":
            assert reply == ("lock_mode_mismatch", [hold.kind.mode.encode()])
        else:
            assert (reply.code, reply.fields[2]) == ("ok", hold.holds)
            hold.kind = SHARED
            self.hand_on()

    @rule()
    def look(self) -> None:
        assert self.run.hand_over().code == "ok"
        self.hand_on()

    @rule(moments=st.integers(1, 2), linger=st.booleans())
    def pass_time(self, moments: int, linger: bool) -> None:
        self.pass_moments(moments, linger=linger)
        self.holds = [hold for hold in self.holds if hold.ends > self.now]
        # Grants, and turns that were told, are forgotten after less than a moment, lingering or not.
        self.run.redis.delete(self.run.key("granted"))

    @invariant()
    def redis_shows_the_line_and_the_holders(self) -> None:
        assert self.run.line() == [waiter.owner for waiter in self.line]
        assert self.run.holders() == {hold.owner: hold.token for hold in self.holds}
        for hold in self.holds:
            held = self.run.held(hold.owner)
            shown = held.mode, held.limit, held.permits, held.holds
            assert shown == (hold.kind.mode, hold.kind.limit, hold.kind.permits, hold.holds)


def test_a_lock_in_all_its_modes_is_what_was_asked_of_it(any_server: RedisServer, examples_max: int) -> None:
    explore(ModesMachine, any_server, examples_max=examples_max)
