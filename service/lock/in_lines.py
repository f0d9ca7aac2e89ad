"""One request in the lines of several locks of a partition, until it may take them all."""

from __future__ import annotations

import asyncio

from service.lock.grouping import Group
from service.lock.parts import Parts
from service.lock.ticket import Answer, Ticket
from service.lock.waiting import SESSION_MS

_WAITS = b"lock_held"
_LOOKED_AT_AFTER_S = SESSION_MS / 1000
"""A line says once that it is the turn. Should its lock then go to a holder from before a loss of data, or the place in
another line be lost while this node sleeps, the request finds out by itself."""


class InLines:
    """Parked on this node, with one place in each line."""

    def __init__(self, parts: Parts, ticket: Ticket, group: Group, deadline: float) -> None:
        """`deadline` is a time of the loop. Raises NodeStopping, LockWaitersFull."""
        self._parts = parts
        self._ticket = ticket
        self._group = group
        self._deadline = deadline
        self._answer: Answer | None = None
        self._look_at = 0.0
        self._is_given_up = False
        self._parked = parts.waiting.park(group.places, ticket.waiter, ticket.owner, self._stand)

    def leave(self, *, in_vain: bool) -> bool:
        """False when another request waits here in the same places: a retry of this one."""
        is_last = self._parts.waiting.leave(self._parked)
        self._is_given_up = in_vain and is_last
        return is_last

    async def answered(self, until: float) -> Answer | None:
        """That all are granted, or why it may not wait. None when neither came by then; it may be asked again. Raises
        NodeStopping, and what the store raises."""
        loop, granted = asyncio.get_running_loop(), self._parked.granted
        while not granted.done():
            now = loop.time()
            if now >= self._look_at:
                await self._stand()
            elif now >= until:
                return None
            else:
                await asyncio.wait([granted], timeout=min(until, self._look_at) - now)
        granted.result()
        return self._answer

    async def _stand(self) -> None:
        """Or take up the places it has, and take all locks if it is the turn. Raises what the store raises."""
        parked, waiting, now = self._parked, self._parts.waiting, asyncio.get_running_loop().time()
        self._look_at = now + _LOOKED_AT_AFTER_S
        left_ms = max(1, round((self._deadline - now) * 1000))
        answer = await self._ticket.wait(self._group, left_ms)
        if self._is_given_up:
            # Redis had refused the call, and it was sent again after the request had left the lines.
            await self._ticket.take_back(self._group)
            return
        code, marker, *about = answer.reply
        if code != _WAITS:
            self._answer = answer
            parked.grant(0)
            return
        waiting.stands(parked, tuple(about[::2]))
        for place, left_ms in zip(self._group.places, about[1::2], strict=True):
            if left_ms:
                waiting.expect(place.lock, left_ms)
            if marker:
                waiting.hand_over_more(place)
