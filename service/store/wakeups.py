"""Requests parked on this node until a script somewhere publishes that what they wait for may have changed.

A wake-up wakes the first in line. Whoever leaves the line, granted or not, wakes the next, who then looks at what
holds now: so there is always one waiter of this node that knows the present hold and is known to it.
A lost wake-up costs time, never correctness: every waiter also has a time at which it looks again by itself.
"""

import asyncio
from collections import deque

from service.error_registry import LockWaitersFull
from service.limits import LOCK_WAITERS_PER_NODE_MAX

Ticket = asyncio.Future[None]
EVERY = b"*"
"""Published before the beginning of keys instead of one key: all that begin so may be had again, for a quarantine
ended."""


class Wakeups:
    def __init__(self) -> None:
        self._parked: dict[bytes, deque[Ticket]] = {}
        self._count = 0
        self.is_closed = False

    @property
    def parked(self) -> int:
        return self._count

    def park(self, key: bytes) -> Ticket:
        """Take a ticket, last in line, *before* looking, so that no wake-up falls between looking and waiting.

        Raises LockWaitersFull.
        """
        if self._count >= LOCK_WAITERS_PER_NODE_MAX:
            raise LockWaitersFull(limit=LOCK_WAITERS_PER_NODE_MAX)
        ticket: Ticket = asyncio.get_running_loop().create_future()
        self._parked.setdefault(key, deque()).append(ticket)
        self._count += 1
        return ticket

    def renew(self, key: bytes, ticket: Ticket) -> Ticket:
        """A ticket that can be woken again, in the same place of the line."""
        line = self._parked[key]
        fresh: Ticket = asyncio.get_running_loop().create_future()
        line[line.index(ticket)] = fresh
        return fresh

    def leave(self, key: bytes, ticket: Ticket) -> None:
        """Leave the line and wake the next in it."""
        line = self._parked[key]
        line.remove(ticket)
        self._count -= 1
        if not line:
            del self._parked[key]
        self.wake(key)

    def wake(self, key: bytes) -> None:
        if key.startswith(EVERY):
            beginning = key[len(EVERY) :]
            for parked in [parked for parked in self._parked if parked.startswith(beginning)]:
                self.wake(parked)
            return
        for ticket in self._parked.get(key, ()):
            if not ticket.done():
                ticket.set_result(None)
                return

    def wake_all(self) -> None:
        """After a gap in the subscription: any of them may have missed its wake-up."""
        for line in self._parked.values():
            for ticket in line:
                if not ticket.done():
                    ticket.set_result(None)

    def close(self) -> None:
        """The node stops: nobody waits any longer (`is_closed` tells the woken why)."""
        self.is_closed = True
        self.wake_all()
