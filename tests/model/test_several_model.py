"""Random lives of three locks for which single requests and requests for several stand in line.

The model is a list for each lock. A request for several has an entry in each of its lists, or in none; it is granted
when it asks, is first in all of them and may hold them all, and never in part. What is told to whom is part of the
model, so that a word which is never said is seen. At the end of each life everybody goes on in turn until all lines are
empty: no two requests can wait for each other.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.lua.runner import Reply, waiter_of
from tests.model.world import MOMENT_MS, World, explore
from tests.support import RedisServer

RESOURCES = ("a", "b", "c")
WANTS = {"m1": "ab", "m2": "bc", "m3": "abc", "m4": "ac", "q1": "ab", "q2": "abc"}
"""What a request for several asks for; those named q share."""
SINGLES = st.sampled_from(["w1", "w2", "r1", "r2"])
SEVERAL = st.sampled_from(sorted(WANTS))
ONE = st.sampled_from(RESOURCES)
SESSIONS = st.sampled_from(["a1", "a1", "b2"])
MOMENTS = st.integers(1, 4)
SESSION_MOMENTS = 3
TURNS_MAX = 200


def is_shared(owner: str) -> bool:
    return owner[0] in "rq"


@dataclass
class Waiter:
    owner: str
    session: str


@dataclass
class Request:
    """What a request for several knows and was told; it has the same waiter in all lines."""

    number: int = 1
    """Of the request of this owner: a new one after each that ended."""
    tokens: list[int] = field(default_factory=list)
    told_at: int | None = None
    knows: set[str] = field(default_factory=set)


class SeveralMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.holds: dict[str, dict[str, tuple[int, int]]] = {resource: {} for resource in RESOURCES}
        """Token and end by owner; the end of a hold that is not confirmed is the present."""
        self.lines: dict[str, list[Waiter]] = {resource: [] for resource in RESOURCES}
        self.requests = {owner: Request() for owner in WANTS}
        self.granted: dict[tuple[str, str], tuple[int, str]] = {}
        self.sessions: dict[str, int] = {}
        self.last_token = 0

    # -- the model

    def is_alive(self, waiter: Waiter) -> bool:
        return self.sessions.get(waiter.session, 0) > self.now

    def may_hold(self, resource: str, owner: str) -> bool:
        others = self.holds[resource]
        return not others or (is_shared(owner) and owner not in others and all(map(is_shared, others)))

    def note_token(self, token: int) -> None:
        assert token > self.last_token
        self.last_token = token

    def hand_on(self, resource: str, asking: str = "") -> bool:
        """Whether it is the turn of the one that asks."""
        line = self.lines[resource]
        while line:
            head = line[0]
            request = self.requests.get(head.owner)
            if all(map(is_shared, self.holds[resource])) and not self.is_alive(head):
                line.pop(0)
            elif not self.may_hold(resource, head.owner):
                return False
            elif request is None:
                line.pop(0)
                shown = self.run.holders(resource)
                assert head.owner in shown, "it is its turn"
                token = shown[head.owner]
                self.note_token(token)
                self.holds[resource][head.owner] = (token, self.now)
                self.granted[resource, head.owner] = (token, head.session)
            elif head.owner == asking:
                return True
            elif resource in request.knows or request.told_at == self.now:
                return False
            elif request.told_at is None:
                request.told_at = self.now
                return False
            else:
                request.told_at = None
                line.pop(0)
        return False

    def place(self, resource: str, owner: str) -> Waiter | None:
        return next((one for one in self.lines[resource] if one.owner == owner), None)

    def held_by(self, owner: str) -> bool:
        """Whether this request holds all that it was granted."""
        found = [self.holds[resource].get(owner, (0, 0))[0] for resource in WANTS[owner]]
        return bool(self.requests[owner].tokens) and found == self.requests[owner].tokens

    def grant_all(self, owner: str, reply: Reply, ttl: int) -> None:
        again, *tokens = reply.fields
        assert (reply.code, again, len(tokens)) == ("ok", 0, len(WANTS[owner]))
        for resource, token in zip(WANTS[owner], tokens, strict=True):
            self.note_token(token)
            self.holds[resource][owner] = (token, self.now + ttl)
        self.requests[owner].tokens = tokens

    def is_settled_before(self, owner: str, reply: Reply) -> bool:
        """A repeat is told its tokens, or that they are gone; then its owner makes another request."""
        request = self.requests[owner]
        if not request.tokens:
            return False
        if self.held_by(owner):
            assert reply == ("ok", [1, *request.tokens])
        else:
            assert reply.code == "lock_released"
            self.requests[owner] = Request(request.number + 1)
        return True

    def named(self, owner: str) -> dict[str, str]:
        return {"request_id": f"{owner}-{self.requests[owner].number}", "fingerprint": owner}

    # -- requests for several

    @rule(owner=SEVERAL, ttl=MOMENTS)
    def try_all(self, owner: str, ttl: int) -> None:
        mode = "shared" if is_shared(owner) else "exclusive"
        if not self.requests[owner].tokens and any(self.place(resource, owner) for resource in WANTS[owner]):
            return  # a node tries first and waits then
        reply = self.run.acquire_all(owner, WANTS[owner], mode, ttl_ms=ttl * MOMENT_MS, **self.named(owner))
        if self.is_settled_before(owner, reply):
            return
        for number, resource in enumerate(WANTS[owner], 1):
            if self.lines[resource]:
                self.hand_on(resource)
            if self.lines[resource] or not self.may_hold(resource, owner):
                assert (reply.code, reply.fields[0]) == ("lock_held", number)
                return
        self.grant_all(owner, reply, ttl)

    @rule(owner=SEVERAL, session=SESSIONS, ttl=MOMENTS)
    def wait_all(self, owner: str, session: str, ttl: int) -> None:
        mode, wants, request = "shared" if is_shared(owner) else "exclusive", WANTS[owner], self.requests[owner]
        reply = self.run.wait_all(
            owner,
            wants,
            mode,
            ttl_ms=ttl * MOMENT_MS,
            session=session,
            session_ms=SESSION_MOMENTS * MOMENT_MS,
            wait_ms=1_000 * MOMENT_MS,
            **self.named(owner),
        )
        if self.is_settled_before(owner, reply):
            return
        self.sessions[session] = self.now + SESSION_MOMENTS
        request.told_at, request.knows = None, set()
        places = [self.place(resource, owner) for resource in wants]
        for resource, place in zip(wants, places, strict=True):
            if place and all(places):
                place.session = session
            else:
                self.lines[resource] = [one for one in self.lines[resource] if one.owner != owner]
                self.lines[resource].append(Waiter(owner, session))
        turns = {resource for resource in wants if self.hand_on(resource, owner)}
        if turns == set(wants):
            for resource in wants:
                assert self.lines[resource].pop(0).owner == owner
            self.grant_all(owner, reply, ttl)
            for resource in wants:
                self.hand_on(resource)
            return
        request.knows = turns
        assert (reply.code, reply.fields[0]) == ("lock_held", 0), "all or none"
        owners = [[one.owner for one in self.lines[resource]] for resource in wants]
        assert reply.fields[1::2] == [line.index(owner) + 1 for line in owners]
        assert [left_ms == 0 for left_ms in reply.fields[2::2]] == [resource in turns for resource in wants]

    @rule(owner=SEVERAL, session=SESSIONS)
    def take_back(self, owner: str, session: str) -> None:
        request, wants = self.requests[owner], WANTS[owner]
        reply = self.run.withdraw_all(owner, wants, session=session, **self.named(owner))
        positions = []
        for number, resource in enumerate(wants):
            place = self.place(resource, owner)
            ours = place is not None and place.session == session
            positions.append(self.lines[resource].index(place) + 1 if ours and place else 0)
            if ours and place:
                self.lines[resource].remove(place)
                request.told_at = None
                request.knows.discard(resource)
            if request.tokens and self.holds[resource].get(owner, (0, 0))[0] == request.tokens[number]:
                del self.holds[resource][owner]
            self.hand_on(resource)
        assert reply == ("ok", [int(any(positions) or bool(request.tokens)), 0, *positions])
        if request.tokens:
            self.requests[owner] = Request(request.number + 1)

    @rule(owner=SEVERAL)
    def release_all(self, owner: str) -> None:
        reply = self.run.release_all(owner, WANTS[owner])
        held = [owner in self.holds[resource] for resource in WANTS[owner]]
        assert reply == ("ok", [0, *(b"ok" if one else b"lock_not_held" for one in held)])
        for resource in WANTS[owner]:
            if self.holds[resource].pop(owner, None):
                self.hand_on(resource)

    @rule(owner=SEVERAL, ttl=MOMENTS)
    def renew_all(self, owner: str, ttl: int) -> None:
        wants, tokens = WANTS[owner], self.requests[owner].tokens or [1] * len(WANTS[owner])
        reply = self.run.renew_all(owner, wants, *tokens, ttl_ms=ttl * MOMENT_MS)
        held = [
            self.holds[resource].get(owner, (0, 0))[0] == token for resource, token in zip(wants, tokens, strict=True)
        ]
        if not all(held):
            assert reply == ("lock_lost", [b"ok" if one else b"lock_lost" for one in held])
            return
        assert reply.code == "ok"
        for resource, token in zip(wants, tokens, strict=True):
            self.holds[resource][owner] = (token, self.now + ttl)

    # -- requests for one

    @rule(resource=ONE, owner=SINGLES, session=SESSIONS)
    def wait(self, resource: str, owner: str, session: str) -> None:
        if owner in self.holds[resource] or self.place(resource, owner):
            return  # the other model knows how one waits for itself, or again
        mode = "shared" if is_shared(owner) else "exclusive"
        times = {"session_ms": SESSION_MOMENTS * MOMENT_MS, "wait_ms": 1_000 * MOMENT_MS}
        reply = self.run.wait(
            owner, mode, resource=resource, waiter=waiter_of(resource + owner), session=session, **times
        )
        assert reply.code == "ok"
        self.granted.pop((resource, owner), None)
        self.sessions[session] = self.now + SESSION_MOMENTS
        self.lines[resource].append(Waiter(owner, session))
        self.hand_on(resource)

    @rule(resource=ONE, owner=SINGLES, ttl=MOMENTS)
    def confirm_or_try(self, resource: str, owner: str, ttl: int) -> None:
        hold = self.holds[resource].get(owner)
        if hold:
            waiter = waiter_of(resource + owner)
            reply = self.run.confirm(owner, hold[0], ttl * MOMENT_MS, resource=resource, waiter=waiter)
            assert reply.code == "ok"
            if self.granted.pop((resource, owner), None):
                self.holds[resource][owner] = (hold[0], self.now + ttl)
            return
        mode = "shared" if is_shared(owner) else "exclusive"
        reply = self.run.acquire(owner, mode, resource=resource, ttl_ms=ttl * MOMENT_MS)
        if self.lines[resource] or not self.may_hold(resource, owner):
            assert reply.code == "lock_held", "nobody passes a line"
        else:
            self.note_token(int(reply.fields[0]))
            self.holds[resource][owner] = (int(reply.fields[0]), self.now + ttl)

    @rule(resource=ONE)
    def holders_release(self, resource: str) -> None:
        for owner in list(self.holds[resource]):
            if self.holds[resource].pop(owner, None):
                assert self.run.release(owner, resource=resource).code == "ok"
                self.hand_on(resource)

    # -- time and nodes

    @rule(resource=ONE)
    def look(self, resource: str) -> None:
        reply = self.run.hand_over(resource)
        self.hand_on(resource)
        assert (reply.code, reply.fields[1]) == ("ok", len(self.lines[resource]))
        if self.lines[resource]:
            assert reply.fields[0] > 0, "there is a time to look again"

    @rule(session=SESSIONS)
    def attend(self, session: str) -> None:
        _, (_, cursor, *named) = self.run.attend(session, session_ms=SESSION_MOMENTS * MOMENT_MS)
        assert cursor == b"0"
        self.sessions[session] = self.now + SESSION_MOMENTS
        own = {waiter: int(token) for waiter, token in zip(named[::2], named[1::2], strict=True) if waiter}
        expected = {waiter_of("".join(at)): token for at, (token, whose) in self.granted.items() if whose == session}
        told = {owner for owner, request in self.requests.items() if request.told_at is not None}
        missing = {waiter_of(owner) for owner in told if self.session_of(owner) == session}
        assert own.keys() >= {waiter.encode() for waiter in (*expected, *missing)}, "a lost word is said again"
        assert own.keys() <= {waiter.encode() for waiter in (*expected, *map(waiter_of, told))}
        for owner in told:
            if self.now - (self.requests[owner].told_at or 0) > SESSION_MOMENTS:
                self.requests[owner].told_at = None

    def session_of(self, owner: str) -> str | None:
        places = [self.place(resource, owner) for resource in WANTS[owner]]
        return next((place.session for place in places if place), None)

    @rule(moments=st.integers(1, 2), linger=st.booleans())
    def pass_time(self, moments: int, linger: bool) -> None:
        # A moment is longer than words are kept, and all that may become of a word that is kept is to be met.
        self.run.redis.persist(self.run.key("granted"))
        self.pass_moments(moments, linger=linger)
        for resource, holds in self.holds.items():
            self.holds[resource] = {owner: hold for owner, hold in holds.items() if hold[1] > self.now}
        self.granted = {}
        kept = {waiter_of(owner).encode() for owner, one in self.requests.items() if one.told_at is not None}
        for waiter in self.run.redis.hkeys(self.run.key("granted")):
            if waiter not in kept:
                self.run.redis.hdel(self.run.key("granted"), waiter)

    # -- what must hold

    @invariant()
    def redis_shows_the_lines_and_the_holders(self) -> None:
        for resource in RESOURCES:
            assert self.run.line(resource) == [waiter.owner for waiter in self.lines[resource]]
            assert self.run.holders(resource) == {owner: hold[0] for owner, hold in self.holds[resource].items()}

    def teardown(self) -> None:
        if hasattr(self, "lines") and self.script_set is None:
            self.all_come_to_their_turn()
        super().teardown()

    def all_come_to_their_turn(self) -> None:
        """Those who are told ask, those who hold release. One that knows of its turn in a line asks by itself after a
        while, for it may have lost its place in another; nobody else does anything."""
        for session in {waiter.session for line in self.lines.values() for waiter in line}:
            self.attend(session)
        for _ in range(TURNS_MAX):
            if not any(self.lines.values()):
                break
            for resource in RESOURCES:
                self.look(resource)
            for owner, request in self.requests.items():
                there = self.session_of(owner)
                if there and (request.told_at is not None or request.knows):
                    self.wait_all(owner, there, 1)
            for resource in RESOURCES:
                self.holders_release(resource)
        assert not any(self.lines.values()), "somebody waits for ever"
        for resource in RESOURCES:
            self.holders_release(resource)
        assert not self.run.kinds() & {"waiters", "waiter_info"}


def test_locks_are_granted_together_and_in_order_in_any_order_of_events(
    any_server: RedisServer, examples_max: int
) -> None:
    explore(SeveralMachine, any_server, examples_max=examples_max)
