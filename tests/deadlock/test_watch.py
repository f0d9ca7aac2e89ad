"""The leader's part on real Redis, step by step: what happens between its readings is chosen by the test."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.error_registry import NotCommitted, RaftMessageInvalid, StoreUnavailable
from service.keys import COUNTER_BITS, Keys
from service.lock.calls import ACQUIRE, CONFIRM, RELEASE, WAIT, Place
from service.lock.deadlock import told, watch
from service.lock.deadlock.told import Telling, Told
from service.lock.deadlock.watch import Watch
from service.raft.ready import Role, SoftState
from service.store import bundle
from service.store.signature import Call
from tests.support import RedisServer, eventually

FENCE = b"3.set1"
SESSION = b"5e5510"
KEYS = Keys("test")
SCRIPTS = bundle.shipped().scripts


class Store:
    """The seam to Redis: every call is a real script, and something may happen before one."""

    def __init__(self, server: RedisServer) -> None:
        self.redis: Any = server.client()
        self.calls: list[str] = []
        self.before: dict[int, Callable[[], None]] = {}
        """By number of the call, from 1, of all the leader makes."""
        for partition in KEYS.partitions:
            self.redis.mset({partition.fence: FENCE, partition.tokens: 3 << COUNTER_BITS})

    async def call(self, call: Call, partition: Any, keys: tuple[bytes, ...], args: tuple[Any, ...]) -> list[Any]:
        self.calls.append(call.name)
        self.before.get(len(self.calls), lambda: None)()
        return self.run(call, partition, keys, args)

    def run(self, call: Call, partition: Any, keys: tuple[bytes, ...], args: tuple[Any, ...]) -> list[Any]:
        source = SCRIPTS[call.name].source
        reply: list[Any] = self.redis.eval(source, len(keys) + 1, partition.fence, *keys, FENCE, *args)
        return reply

    # What clients do

    def acquire(self, owner: str, resource: str, mode: str = "exclusive") -> int:
        at = Place(KEYS, resource)
        of = at.partition
        keys = (of.outcome, of.tokens, *at.hold_keys, of.quarantine, at.waiters, of.lock_events)
        args = {"fingerprint": b"", "keep_ms": 0, "owner": owner, "mode": mode, "ttl_ms": 60_000}
        code, token, *_ = self.run(ACQUIRE, of, keys, _given(ACQUIRE, args))
        assert code == b"ok"
        return int(token)

    def wait(self, owner: str, resource: str, mode: str = "exclusive") -> Told:
        """One place for each owner and resource."""
        at = Place(KEYS, resource)
        of = at.partition
        waiter = f"{owner}-{resource}".encode().hex()
        args = {
            "fingerprint": b"",
            "owner": owner,
            "mode": mode,
            "ttl_ms": 60_000,
            "waiter": waiter,
            "session": SESSION,
            "session_ms": 60_000,
            "wait_ms": 60_000,
            "wake_channel": KEYS.wake_channel,
        }
        reply = self.run(WAIT, of, (of.outcome, *at.line_keys, of.quarantine), _given(WAIT, args))
        assert reply[1] > 0, "it has to wait"
        return Told(waiter.encode(), owner.encode(), (resource,))

    def release(self, owner: str, resource: str) -> None:
        at = Place(KEYS, resource)
        args = {"fingerprint": b"", "keep_ms": 0, "owner": owner, "token": b"", "wake_channel": KEYS.wake_channel}
        keys = (at.partition.outcome, *at.line_keys, at.partition.lock_events)
        assert self.run(RELEASE, at.partition, keys, _given(RELEASE, args))[0] == b"ok"

    def confirm(self, wait: Told) -> None:
        at = Place(KEYS, wait.resources[0])
        of = at.partition
        token = self.redis.hget(of.granted, wait.waiter).split()[1]
        *_, waiters, info, _, granted = at.line_keys
        args = {
            "fingerprint": b"",
            "keep_ms": 0,
            "owner": wait.owner,
            "token": token,
            "ttl_ms": 60_000,
            "waiter": wait.waiter,
            "wake_channel": KEYS.wake_channel,
        }
        keys = (of.outcome, *at.hold_keys, waiters, info, granted, of.lock_events)
        assert self.run(CONFIRM, of, keys, _given(CONFIRM, args))[0] == b"ok"

    def line(self, resource: str) -> int:
        return int(self.redis.zcard(Place(KEYS, resource).waiters))


def _given(call: Call, named: dict[str, Any]) -> tuple[Any, ...]:
    """What is not named is left empty."""
    return tuple(named.get(name, b"") for name in call.args[1:])


class Leads:
    """The seam to Raft."""

    def __init__(self) -> None:
        self.soft_state = SoftState(Role.LEADER, 4, "me")

    def leads(self) -> bool:
        return self.soft_state.role is Role.LEADER


class Scene:
    def __init__(self, server: RedisServer) -> None:
        self.store = Store(server)
        self.runner = Leads()
        seams: Any = {"runner": self.runner, "scripts": self.store}
        self.watch = Watch(**seams, keys=KEYS)
        self._number = 0

    async def tell(self, *waits: Told, term: int = 4) -> None:
        self._number += 1
        await self.watch.receive(told.encode(Telling("n1", "life", term, self._number, waits, ())))

    async def explored(self) -> None:
        """All that was told, and nothing is under way."""

        async def is_done() -> bool:
            return self.watch.unexplored == 0

        await eventually(is_done, "everything to be explored")

    def play(self, scenario: Callable[["Scene"], Any]) -> None:
        async def run() -> None:
            self.watch.start()
            try:
                await scenario(self)
            finally:
                await self.watch.stop()

        asyncio.run(run())


@pytest.fixture
def scene(server: RedisServer) -> Iterator[Scene]:
    made = Scene(server)
    yield made
    made.store.redis.close()


def crosswise(store: Store) -> tuple[Told, Told]:
    """a has x and waits for y, b has y and waits for x."""
    store.acquire("a", "x")
    store.acquire("b", "y")
    return store.wait("a", "y"), store.wait("b", "x")


def test_the_youngest_wait_of_a_circle_is_ended_after_two_readings_of_each_line(scene: Scene) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.tell(*crosswise(scene.store))
        await scene.explored()
        assert scene.store.calls == ["lock.blockers"] * 4 + ["lock.cancel"]
        assert (scene.store.line("x"), scene.store.line("y")) == (0, 1)
        assert (scene.watch.found, scene.watch.ended, scene.watch.told) == (1, 1, 2)

    scene.play(scenario)


def test_a_holder_that_waits_for_nothing_costs_one_reading(scene: Scene) -> None:
    async def scenario(scene: Scene) -> None:
        scene.store.acquire("a", "x")
        await scene.tell(*(scene.store.wait(f"w{number}", "x") for number in range(50)))
        await scene.explored()
        assert scene.store.calls == ["lock.blockers"]

    scene.play(scenario)


def test_a_circle_that_no_moment_ever_saw_is_none(scene: Scene) -> None:
    """The first reading of x is from before a gave it to b, that of y from after: each is true, and both together show
    a circle. The second reading of x is what tells."""

    async def scenario(scene: Scene) -> None:
        store = scene.store
        store.acquire("a", "x")
        waits_for_x = store.wait("b", "x")
        waits_for_y = Told(b"a-y".hex().encode(), b"a", ("y",))

        def hand_on() -> None:
            store.release("a", "x")
            store.confirm(waits_for_x)
            store.acquire("b", "y")
            assert store.wait("a", "y") == waits_for_y

        await scene.tell(waits_for_y)
        await scene.explored()
        store.before[3] = hand_on
        await scene.tell(waits_for_x)
        await scene.explored()
        assert store.calls.count("lock.blockers") == 5, "y when a was told, x and y, and both again: it looked so"
        assert "lock.cancel" not in store.calls
        assert (store.line("y"), scene.watch.found) == (1, 0)

    scene.play(scenario)


def test_a_wait_that_is_granted_before_it_is_ended_stays_granted(scene: Scene) -> None:
    async def scenario(scene: Scene) -> None:
        waits = crosswise(scene.store)
        scene.store.before[5] = lambda: scene.store.release("a", "x")
        await scene.tell(*waits)
        await scene.explored()
        assert scene.store.calls[:5] == ["lock.blockers"] * 4 + ["lock.cancel"]
        assert (scene.watch.found, scene.watch.ended) == (1, 0)
        granted = scene.store.redis.hget(Place(KEYS, "x").partition.granted, waits[1].waiter)
        assert int(granted.split()[1]) > 3 << COUNTER_BITS, "and not marked as ended"

    scene.play(scenario)


def test_the_youngest_wait_is_waited_for_until_it_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in Redis within its grace. To end the one that was told would be to end another than it should be."""

    async def scenario(scene: Scene) -> None:
        store = scene.store
        store.acquire("a", "x")
        store.acquire("c", "x2")
        # c waits for what a has, a for what c has; a's second wait is told, so that the line of the circle is read.
        first = store.wait("a", "x2")
        second = store.wait("c", "x")
        third = Told(b"other", b"c", ("x",))
        await scene.tell(first, third)

        async def was_seen_often() -> bool:
            return len(store.calls) > 12

        await eventually(was_seen_often, "the circle to be seen again and again")
        assert "lock.cancel" not in store.calls
        await scene.tell(second)
        await scene.explored()
        assert (store.line("x"), store.line("x2")) == (0, 1)

    monkeypatch.setattr(watch, "UNTOLD_MS", 600_000)
    scene.play(scenario)


def test_a_wait_that_is_never_told_does_not_keep_the_others_in_the_circle(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node does not reach the leader: the youngest of those that are known is ended instead."""

    async def scenario(scene: Scene) -> None:
        store = scene.store
        store.acquire("a", "x")
        store.acquire("c", "x2")
        first = store.wait("a", "x2")
        store.wait("c", "x")
        await scene.tell(first, Told(b"other", b"c", ("x",)))
        await scene.explored()
        assert (store.line("x"), store.line("x2")) == (1, 0)

    monkeypatch.setattr(watch, "UNTOLD_MS", -600_000)
    scene.play(scenario)


def test_what_redis_did_not_answer_is_explored_later(scene: Scene) -> None:
    async def scenario(scene: Scene) -> None:
        def is_away() -> None:
            raise StoreUnavailable(address="x", reason="it is away")

        scene.store.before[1] = scene.store.before[3] = is_away
        await scene.tell(*crosswise(scene.store))
        await scene.explored()
        assert scene.watch.ended == 1

    scene.play(scenario)


def test_only_the_leader_of_the_term_that_is_meant_is_told(scene: Scene) -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(NotCommitted):
            await scene.tell(Told(b"w", b"a", ("x",)), term=3)
        scene.runner.soft_state = SoftState(Role.FOLLOWER, 4, "other")
        with pytest.raises(NotCommitted):
            await scene.tell(Told(b"w", b"a", ("x",)))
        with pytest.raises(RaftMessageInvalid):
            await scene.watch.receive(b"nonsense")
        assert scene.store.calls == []

    scene.play(scenario)


def test_a_new_office_knows_nothing_of_the_one_before(scene: Scene) -> None:
    async def scenario(scene: Scene) -> None:
        first, second = crosswise(scene.store)
        await scene.tell(first)
        await scene.explored()
        assert scene.watch.told == 1
        scene.runner.soft_state = SoftState(Role.LEADER, 6, "me")
        assert scene.watch.told == 0
        await scene.tell(second, term=6)
        await scene.explored()
        assert (scene.watch.told, scene.watch.ended) == (1, 0), "the first wait was not told again yet"
        await scene.tell(first, term=6)
        await scene.explored()
        assert scene.watch.ended == 1

    scene.play(scenario)
