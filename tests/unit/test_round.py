"""When duties are done: at once, again when they say so, sooner when somebody says so, and never twice for that."""

import asyncio

import pytest

from service.decisions.replicated.machine import DecisionMachine
from service.duties.round import Post, Round
from service.error_registry import DutyStale, StoreLoading
from service.errors import SimpulError
from service.keys import PARTITIONS, Keys, Partition

KEYS = Keys("test")
ME = "http://me"


class Noted:
    """A duty that notes when it was done; it says when it wants to be done again."""

    def __init__(self, *pauses_s: float | None, error: SimpulError | None = None) -> None:
        self.pauses_s = list(pauses_s)
        self.error = error
        self.done: list[int] = []
        self.again = asyncio.Event()

    async def work(self, partition: Partition, post: Post) -> float | None:
        self.done.append(partition.number)
        self.again.set()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.pauses_s.pop(0) if self.pauses_s else None

    async def until(self, times: int) -> None:
        async with asyncio.timeout(10):
            while len(self.done) < times:
                self.again.clear()
                await self.again.wait()


def machine_with(owned: set[int]) -> DecisionMachine:
    machine = DecisionMachine()
    machine.state.assignment = 1
    machine.state.owners = tuple(ME if number in owned else "http://other" for number in range(PARTITIONS))
    return machine


async def settled() -> None:
    """What is ready to run has run."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_every_own_partition_is_begun_with_and_no_other() -> None:
    async def act() -> None:
        duty = Noted()
        round_ = Round(ME, machine_with({3, 9}), KEYS, [duty])
        round_.start()
        await duty.until(2)
        await settled()
        assert sorted(duty.done) == [3, 9]
        await round_.stop()

    asyncio.run(act())


def test_a_duty_is_done_again_when_it_says_so() -> None:
    async def act() -> None:
        duty = Noted(0.0, 0.01, None)
        round_ = Round(ME, machine_with({3}), KEYS, [duty])
        round_.start()
        await duty.until(3)
        await settled()
        assert duty.done == [3, 3, 3]
        await round_.stop()

    asyncio.run(act())


@pytest.mark.parametrize("looks", [1, 5])
def test_a_look_does_one_duty_of_one_partition_once_and_what_was_planned_is_not_done_too(looks: int) -> None:
    async def act() -> None:
        looked_at, other = Noted(3600.0, 3600.0), Noted(3600.0, 3600.0)
        round_ = Round(ME, machine_with({3, 9}), KEYS, [looked_at, other])
        round_.start()
        await looked_at.until(2)
        await other.until(2)
        await settled()
        for _ in range(looks):
            round_.look_at(looked_at, KEYS.partitions[9].fence.removesuffix(b"fence"))
        round_.look_at(looked_at, KEYS.partitions[8].fence.removesuffix(b"fence"))
        await looked_at.until(3)
        await settled()
        assert (sorted(looked_at.done), sorted(other.done)) == ([3, 9, 9], [3, 9])
        assert len(round_._next) == 4, "one plan for each duty of each partition"
        await round_.stop()

    asyncio.run(act())


@pytest.mark.parametrize(("error", "times"), [(StoreLoading(), 2), (DutyStale(partition=3, duty="2 x"), 1)])
def test_a_duty_that_was_refused_is_tried_again_unless_another_does_it(error: SimpulError, times: int) -> None:
    async def act() -> None:
        duty = Noted(error=error)
        round_ = Round(ME, machine_with({3}), KEYS, [duty])
        round_.start()
        await duty.until(times)
        await settled()
        assert len(duty.done) == times
        await round_.stop()

    asyncio.run(act())
