"""Random lives of two locks and their lines: who is served when, against the rules of a queue.

The model is a list for each lock. It knows nothing of scores, hashes and sessions' keys. An owner always asks in one
mode, so that its place says who it is. Whatever happens, the line that Redis shows must be the model's, and so must
the holders: order of arrival, readers together, no reader past a writer, the dead passed over.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.lua.runner import waiter_of
from tests.model.world import MOMENT_MS, World, explore
from tests.support import RedisServer

OWNERS = st.sampled_from(["w1", "w2", "w3", "r1", "r2", "r3"])
RESOURCES = st.sampled_from(["one", "one", "one", "two"])
SESSIONS = st.sampled_from(["a1", "a1", "b2", "c3"])
MOMENTS = st.integers(1, 4)
SESSION_MOMENTS = 3


def mode_of(owner: str) -> str:
    return "exclusive" if owner.startswith("w") else "shared"


@dataclass
class Hold:
    owner: str
    token: int
    ends: int
    """While it is not confirmed: the present, for it ends before the next moment."""


@dataclass
class Waiter:
    owner: str
    session: str


@dataclass
class Grant:
    token: int
    session: str


class LineMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.holds: dict[str, list[Hold]] = {"one": [], "two": []}
        self.lines: dict[str, list[Waiter]] = {"one": [], "two": []}
        self.sessions: dict[str, int] = {}
        self.granted: dict[tuple[str, str], Grant] = {}
        self.ended: dict[tuple[str, str], str] = {}
        """Sessions by wait that was ended, until they take note of it."""
        self.last_token = 0

    # -- the model

    def running(self, resource: str) -> list[Hold]:
        return self.holds[resource]

    def find(self, resource: str, owner: str) -> Hold | None:
        return next((hold for hold in self.holds[resource] if hold.owner == owner), None)

    def is_alive(self, session: str) -> bool:
        return self.sessions.get(session, 0) > self.now

    def may_hold(self, resource: str, owner: str) -> bool:
        others = self.running(resource)
        if mode_of(owner) == "exclusive":
            return not others
        return all(mode_of(hold.owner) == "shared" and hold.owner != owner for hold in others)

    def is_exclusive(self, resource: str) -> bool:
        return any(mode_of(hold.owner) == "exclusive" for hold in self.running(resource))

    def hand_on(self, resource: str) -> None:
        """Give the lock to whose turn it is; tokens are learned from Redis, and must rise in the order of the line."""
        line = self.lines[resource]
        while line and not self.is_exclusive(resource):
            head = line[0]
            if not self.is_alive(head.session):
                line.pop(0)
            elif self.may_hold(resource, head.owner):
                line.pop(0)
                shown = self.run.holders(resource)
                assert head.owner in shown, "it is its turn"
                token = shown[head.owner]
                self.note_token(token)
                self.holds[resource].append(Hold(head.owner, token, self.now))
                self.granted[resource, head.owner] = Grant(token, head.session)
            else:
                return

    def note_token(self, token: int) -> None:
        assert token > self.last_token
        self.last_token = token

    # -- what may happen

    @rule(resource=RESOURCES, owner=OWNERS, session=SESSIONS)
    def wait(self, resource: str, owner: str, session: str) -> None:
        reply = self.run.wait(
            owner,
            mode_of(owner),
            resource=resource,
            waiter=waiter_of(resource + owner),
            session=session,
            session_ms=SESSION_MOMENTS * MOMENT_MS,
            wait_ms=1_000 * MOMENT_MS,
        )
        assert reply.code == "ok"
        position, waiters, _, token, more = reply.fields
        assert more == 0
        hold, grant = self.find(resource, owner), self.granted.get((resource, owner))
        if grant and hold and hold.token == grant.token:
            assert (position, token) == (0, str(grant.token).encode())
            grant.session = session
            return
        self.granted.pop((resource, owner), None)
        self.ended.pop((resource, owner), None)
        self.sessions[session] = self.now + SESSION_MOMENTS
        place = next((one for one in self.lines[resource] if one.owner == owner), None)
        if place:
            place.session = session
        else:
            self.lines[resource].append(Waiter(owner, session))
        self.hand_on(resource)
        owners = [one.owner for one in self.lines[resource]]
        if owner in owners:
            assert (position, waiters) == (owners.index(owner) + 1, len(owners))
        else:
            assert (position, token) == (0, str(self.granted[resource, owner].token).encode())

    @rule(resource=RESOURCES, ttl=MOMENTS)
    def many_wait(self, resource: str, ttl: int) -> None:
        """A line of readers and writers, which single steps at random seldom come to."""
        self.try_once(resource, "w3", ttl)
        for owner, session in (("r1", "a1"), ("r2", "b2"), ("w1", "c3"), ("r3", "a1"), ("w2", "b2")):
            self.wait(resource, owner, session)

    @rule(resource=RESOURCES, owner=OWNERS, ttl=MOMENTS)
    def try_once(self, resource: str, owner: str, ttl: int) -> None:
        reply = self.run.acquire(owner, mode_of(owner), resource=resource, ttl_ms=ttl * MOMENT_MS)
        if self.may_hold(resource, owner) and not self.lines[resource]:
            assert reply.code == "ok"
            self.note_token(int(reply.fields[0]))
            self.holds[resource].append(Hold(owner, int(reply.fields[0]), self.now + ttl))
        else:
            assert reply.code == "lock_held", "also when only those who wait stand before it"
            assert reply.fields[-1] == len(self.lines[resource])

    @rule(resource=RESOURCES, owner=OWNERS)
    def release(self, resource: str, owner: str) -> None:
        hold = self.find(resource, owner)
        reply = self.run.release(owner, resource=resource)
        assert reply.code == ("ok" if hold else "lock_not_held")
        if hold:
            self.holds[resource].remove(hold)
            self.hand_on(resource)

    @rule(resource=RESOURCES)
    def all_release(self, resource: str) -> None:
        for hold in list(self.running(resource)):
            self.release(resource, hold.owner)

    @rule(resource=RESOURCES, owner=OWNERS, ttl=MOMENTS)
    def confirm(self, resource: str, owner: str, ttl: int) -> None:
        if (resource, owner) in self.ended:
            # A node confirms grants, and no wait that was ended becomes one.
            return
        grant, hold = self.granted.get((resource, owner)), self.find(resource, owner)
        token = grant.token if grant else hold.token if hold else 1
        reply = self.run.confirm(owner, token, ttl * MOMENT_MS, resource=resource, waiter=waiter_of(resource + owner))
        if not hold or hold.token != token:
            assert reply.code == "lock_lost"
        elif grant:
            assert reply == ("ok", [token, ttl * MOMENT_MS])
            hold.ends = self.now + ttl
            del self.granted[resource, owner]
        else:
            assert reply == ("ok", [token, ttl * MOMENT_MS, 1])

    @rule(resource=RESOURCES, owner=OWNERS, session=SESSIONS)
    def withdraw(self, resource: str, owner: str, session: str) -> None:
        reply = self.run.withdraw(owner, resource=resource, session=session, waiter=waiter_of(resource + owner))
        line, grant = self.lines[resource], self.granted.get((resource, owner))
        if self.ended.get((resource, owner)) == session:
            assert reply.fields == [0, 0]
            del self.ended[resource, owner]
            self.hand_on(resource)
            return
        place = next((one for one in line if one.owner == owner), None)
        if place and place.session == session:
            assert reply.fields == [line.index(place) + 1, 0]
            line.remove(place)
        else:
            assert reply.fields == [0, 0]
            if not grant or grant.session != session:
                return
            hold = self.find(resource, owner)
            del self.granted[resource, owner]
            if hold and hold.token == grant.token:
                self.holds[resource].remove(hold)
        self.hand_on(resource)

    @rule(resource=RESOURCES, owner=OWNERS, blocker=OWNERS, is_stale=st.booleans())
    def cancel(self, resource: str, owner: str, blocker: str, is_stale: bool) -> None:
        """As of a deadlock: by a blocker that holds the lock, or stands ahead of it in the line, or does neither."""
        line = self.lines[resource]
        owners = [one.owner for one in line]
        hold = self.find(resource, blocker)
        if owner not in owners:
            return
        at = owners.index(owner)
        place = self.run.redis.zscore(self.run.key("waiters", resource), waiter_of(resource + owner))
        waited_ms, more = self.run.cancel(
            owner,
            blocker if hold else resource + blocker,
            hold.token if hold else "",
            resource=resource,
            waiter=waiter_of(resource + owner),
            place=int(place) - is_stale,
        )
        ahead = [one.owner for one in line[:at] if self.is_alive(one.session)]
        is_true = bool(hold or blocker in ahead) and self.is_alive(line[at].session) and not is_stale
        assert (waited_ms >= 0, more) == (is_true, 0)
        if is_true:
            self.ended[resource, owner] = line.pop(at).session
            self.hand_on(resource)

    @rule(resource=RESOURCES)
    def look(self, resource: str) -> None:
        code, (left_ms, waiters, grants, more) = self.run.hand_over(resource)
        before = len(self.running(resource))
        self.hand_on(resource)
        assert (code, more) == ("ok", 0)
        assert waiters == len(self.lines[resource])
        assert grants == len(self.running(resource)) - before
        assert (left_ms > 0) == bool(self.running(resource))

    @rule(session=SESSIONS)
    def attend(self, session: str) -> None:
        code, (is_new, cursor, *named) = self.run.attend(session, session_ms=SESSION_MOMENTS * MOMENT_MS)
        assert (code, cursor) == ("ok", b"0")
        assert is_new == (not self.is_alive(session))
        self.sessions[session] = self.now + SESSION_MOMENTS
        own = {waiter: about for waiter, about in zip(named[::2], named[1::2], strict=True) if waiter}
        granted = {
            waiter_of(resource + owner).encode(): b"%d" % grant.token
            for (resource, owner), grant in self.granted.items()
            if grant.session == session
        }
        ended = {waiter_of(resource + owner).encode() for (resource, owner), of in self.ended.items() if of == session}
        assert own == {**granted, **dict.fromkeys(ended, b"1 because")}

    @rule(moments=st.integers(1, 2), linger=st.booleans())
    def pass_time(self, moments: int, linger: bool) -> None:
        self.pass_moments(moments, linger=linger)
        for resource, holds in self.holds.items():
            self.holds[resource] = [hold for hold in holds if hold.ends > self.now]
        # Grants are forgotten after a minute, which is less than a moment; lingering or not.
        self.granted.clear()
        self.ended.clear()
        self.run.redis.delete(self.run.key("granted"))

    @rule()
    def everybody_attends_and_looks(self) -> None:
        for session in ("a1", "b2", "c3"):
            if self.is_alive(session):
                self.attend(session)
        for resource in ("one", "two"):
            self.look(resource)

    @invariant()
    def redis_shows_the_line_and_the_holders(self) -> None:
        for resource in ("one", "two"):
            assert self.run.line(resource) == [waiter.owner for waiter in self.lines[resource]]
            assert self.run.holders(resource) == {hold.owner: hold.token for hold in self.running(resource)}


def test_lines_are_served_as_queues_in_any_order_of_events(any_server: RedisServer, examples_max: int) -> None:
    explore(LineMachine, any_server, examples_max=examples_max)
