"""What a node tells the leader of its waits, and what it keeps to itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from service.lock.deadlock import told
from service.lock.deadlock.teller import GRACE_S, Teller
from service.lock.deadlock.told import BATCH_MAX, Telling, Told
from service.raft.connection import Unreachable
from service.raft.ready import Role, SoftState
from tests.support import eventually


class Leader:
    """The seam to the network and to Raft: what was sent, and faults on request. It stands for line and runner."""

    def __init__(self) -> None:
        self.soft_state = SoftState(Role.FOLLOWER, 1, "leader")
        self.heard: list[Telling] = []
        self.answers_lost = 0
        self._moved = asyncio.Event()

    async def ask(self, _path: str, body: bytes, _deadline_s: float) -> bytes:
        self.heard.append(told.decode(body))
        if self.answers_lost:
            self.answers_lost -= 1
            raise Unreachable("the answer was lost")
        return b""

    async def changed(self) -> None:
        await self._moved.wait()

    def change(self, leader: str | None, term: int) -> None:
        self.soft_state = SoftState(Role.FOLLOWER, term, leader)
        self._moved.set()
        self._moved = asyncio.Event()

    def close(self) -> None:
        return

    def waiters(self, at: int = -1) -> list[bytes]:
        return [wait.waiter for wait in self.heard[at].began]


def run(scenario: Callable[[Leader, Teller], Awaitable[None]]) -> None:
    async def play() -> None:
        leader: Any = Leader()
        teller = Teller("n1", leader, leader)
        teller.start()
        try:
            await scenario(leader, teller)
        finally:
            await teller.stop()

    asyncio.run(play())


def wait(number: int) -> Told:
    return Told(b"w%d" % number, b"alice", ("r1",))


async def grace() -> None:
    """As long as a wait that began now is kept to itself, and then some."""
    await asyncio.sleep(2 * GRACE_S)


async def has(leader: Leader, count: int) -> None:
    async def heard() -> bool:
        return len(leader.heard) >= count

    await eventually(heard, f"{count} tellings")


def test_a_wait_that_is_over_within_the_grace_is_told_to_nobody() -> None:
    async def scenario(leader: Leader, teller: Teller) -> None:
        for number in range(100):
            teller.began(wait(number))
            teller.ended(wait(number).waiter)
        await grace()
        teller.began(wait(100))
        await has(leader, 1)
        assert leader.waiters() == [b"w100"]
        assert leader.heard[0].ended == ()

    run(scenario)


def test_ten_thousand_waits_are_told_in_few_messages_and_then_nothing_is() -> None:
    async def scenario(leader: Leader, teller: Teller) -> None:
        for number in range(10 * BATCH_MAX):
            teller.began(wait(number))

        async def all_told() -> bool:
            return sum(len(one.began) for one in leader.heard) == 10 * BATCH_MAX

        await eventually(all_told, "all to be told")
        messages = len(leader.heard)
        assert messages <= 100
        assert [one.number for one in leader.heard] == list(range(1, messages + 1))
        assert len({waiter for at in range(messages) for waiter in leader.waiters(at)}) == 10 * BATCH_MAX, "each once"
        await grace()
        assert (len(leader.heard), teller.tellings) == (messages, messages)

    run(scenario)


def test_the_end_of_a_told_wait_is_told_later() -> None:
    async def scenario(leader: Leader, teller: Teller) -> None:
        teller.began(wait(1))
        await has(leader, 1)
        teller.ended(b"w1")
        await has(leader, 2)
        assert (leader.heard[1].began, leader.heard[1].ended) == ((), (b"w1",))

    run(scenario)


def test_a_new_leader_or_a_new_term_is_told_everything_again() -> None:
    async def scenario(leader: Leader, teller: Teller) -> None:
        for number in (1, 2):
            teller.began(wait(number))
        await has(leader, 1)
        teller.ended(b"w2")
        leader.change(None, 2)
        leader.change("other", 2)
        await has(leader, 2)
        assert (leader.waiters(), leader.heard[1].term, leader.heard[1].ended) == ([b"w1"], 2, ())
        leader.change("other", 3)
        await has(leader, 3)
        assert (leader.waiters(), leader.heard[2].term) == ([b"w1"], 3)

    run(scenario)


def test_what_may_not_have_been_heard_is_told_again_under_a_later_number() -> None:
    async def scenario(leader: Leader, teller: Teller) -> None:
        leader.answers_lost = 2
        teller.began(wait(1))
        await has(leader, 1)
        teller.began(wait(2))
        await has(leader, 3)
        assert [one.number for one in leader.heard] == [1, 2, 3]
        assert leader.waiters() == [b"w1", b"w2"]
        await grace()
        assert len(leader.heard) == 3

    run(scenario)


def test_a_wait_that_ends_while_its_beginning_is_on_its_way_is_told_to_have_ended() -> None:
    async def scenario(leader: Leader, teller: Teller) -> None:
        leader.answers_lost = 1
        teller.began(wait(1))
        await has(leader, 1)
        teller.ended(b"w1")
        await has(leader, 2)
        assert (leader.waiters(), leader.heard[1].ended) == ([], (b"w1",))

    run(scenario)


def test_one_that_stands_in_line_anew_is_told_anew() -> None:
    async def scenario(leader: Leader, teller: Teller) -> None:
        teller.began(wait(1))
        await has(leader, 1)
        teller.began(wait(1))
        await has(leader, 2)
        assert leader.waiters() == [b"w1"]

    run(scenario)
