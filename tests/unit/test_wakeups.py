"""Parked requests: one wake-up, one waiter, in order; and nobody sleeps who could look."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from service.error_registry import LockWaitersFull
from service.store import wakeups
from service.store.wakeups import Ticket, Wakeups


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Tickets are futures of a running loop."""

    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def woken(*tickets: Ticket) -> list[bool]:
    return [ticket.done() for ticket in tickets]


@in_loop
async def test_one_wake_up_wakes_the_first_in_line_only() -> None:
    waiting = Wakeups()
    first, second = waiting.park(b"k"), waiting.park(b"k")
    waiting.wake(b"k")
    assert woken(first, second) == [True, False]
    waiting.wake(b"k")
    assert woken(first, second) == [True, True]


@in_loop
async def test_a_wake_up_is_for_its_key_only() -> None:
    waiting = Wakeups()
    one, other = waiting.park(b"k"), waiting.park(b"other")
    waiting.wake(b"other")
    assert woken(one, other) == [False, True]


@in_loop
async def test_a_wake_up_that_nobody_waits_for_is_lost_without_harm() -> None:
    waiting = Wakeups()
    waiting.wake(b"k")
    assert woken(waiting.park(b"k")) == [False]


@in_loop
async def test_whoever_leaves_wakes_the_next() -> None:
    waiting = Wakeups()
    first, second, third = (waiting.park(b"k") for _ in range(3))
    waiting.leave(b"k", first)
    assert woken(first, second, third) == [False, True, False]


@in_loop
async def test_a_wake_up_that_meets_a_leaving_waiter_is_passed_on() -> None:
    waiting = Wakeups()
    first, second = waiting.park(b"k"), waiting.park(b"k")
    waiting.wake(b"k")
    waiting.leave(b"k", first)
    assert woken(second) == [True]


@in_loop
async def test_a_cancelled_ticket_is_passed_over() -> None:
    waiting = Wakeups()
    first, second = waiting.park(b"k"), waiting.park(b"k")
    first.cancel()
    waiting.wake(b"k")
    assert woken(second) == [True]
    waiting.leave(b"k", first)
    waiting.leave(b"k", second)
    assert waiting.parked == 0


@in_loop
async def test_a_renewed_ticket_keeps_its_place_and_can_be_woken_again() -> None:
    waiting = Wakeups()
    first, second = waiting.park(b"k"), waiting.park(b"k")
    waiting.wake(b"k")
    again = waiting.renew(b"k", first)
    assert woken(again) == [False]
    waiting.wake(b"k")
    assert woken(again, second) == [True, False]
    assert waiting.parked == 2


@in_loop
async def test_the_whole_line_is_served_in_order_of_arrival() -> None:
    waiting = Wakeups()
    served: list[int] = []

    async def wait(number: int) -> None:
        ticket = waiting.park(b"k")
        await ticket
        served.append(number)
        waiting.leave(b"k", ticket)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(wait(number))
        await asyncio.sleep(0)
        waiting.wake(b"k")
    assert served == list(range(20))
    assert waiting.parked == 0


@in_loop
async def test_after_a_gap_everybody_looks() -> None:
    waiting = Wakeups()
    tickets = [waiting.park(key) for key in (b"a", b"a", b"b")]
    waiting.wake(b"a")
    waiting.wake_all()
    assert woken(*tickets) == [True, True, True]


@in_loop
async def test_closing_wakes_everybody_and_says_why() -> None:
    waiting = Wakeups()
    tickets = [waiting.park(b"a"), waiting.park(b"b")]
    was_closed = waiting.is_closed
    waiting.close()
    assert (was_closed, waiting.is_closed) == (False, True)
    assert woken(*tickets) == [True, True]


@in_loop
async def test_the_number_of_waiters_is_bounded_over_all_keys() -> None:
    waiting = Wakeups()
    limit = 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wakeups, "LOCK_WAITERS_PER_NODE_MAX", limit)
        tickets = [waiting.park(b"%d" % number) for number in range(limit)]
        with pytest.raises(LockWaitersFull):
            waiting.park(b"one more")
        assert waiting.parked == limit
        waiting.leave(b"0", tickets[0])
        waiting.park(b"one more")


@in_loop
async def test_a_key_nobody_waits_for_is_forgotten() -> None:
    waiting = Wakeups()
    for number in range(10):
        waiting.leave(b"%d" % number, waiting.park(b"%d" % number))
    assert waiting.parked == 0
    assert not waiting._parked
