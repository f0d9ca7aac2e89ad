"""Taking messages: at once, or as soon as there is one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from service.error_registry import RequestIdReused, ScriptAbsent
from service.errors import SimpulError
from service.limits import VISIBILITY_MS_DEFAULT
from service.names import RequestIdentity, encode_name
from service.queue import receipts
from service.queue.calls import CONSUME, NACK, WITHDRAW
from service.queue.records import message_of
from service.queue.takers import SESSION_MS, Taker, Takers
from service.queue.topics import Topic, Topics
from service.queue.wire import ConsumeRequest, Delivery

Patience = Callable[[Coroutine[Any, Any, list[Any]]], Awaitable[list[Any]]]
"""Runs a wait for as long as its caller is there to hear the answer."""

_DELIVERY_FIELDS = 4
NOBODY = RequestIdentity("", ConsumeRequest(), None)


class Consuming:
    def __init__(self, topics: Topics, takers: Takers) -> None:
        self._topics = topics
        self._takers = takers

    async def take(self, request: ConsumeRequest, patience: Patience | None) -> list[Delivery]:
        """Up to `max` messages; with none there, wait up to `wait_ms` for one. A caller that is gone takes nothing.
        Raises ConsumersFull, FieldInvalid, RequestIdReused."""
        asked = Asked(self._topics.get(request.topic, request.subscription), request)
        reply = await self._take(asked)
        if len(reply) == 1 and request.wait_ms:
            return await self.wait(asked, patience)
        return deliveries_in(reply, 1)

    async def wait(self, asked: "Asked", patience: Patience | None) -> list[Delivery]:
        """As `take`, when there was nothing just now."""
        waiting = self._wait(asked)
        return deliveries_in(await (patience(waiting) if patience else waiting), 1)

    async def _take(self, asked: "Asked", taker: bytes = b"", session_ms: int = 0) -> list[Any]:
        reply = await self._topics.call(CONSUME, asked.topic, asked.identity, *asked.args, taker, session_ms)
        if reply[0] != b"ok":
            raise RequestIdReused(request_id=asked.request.request_id)
        return reply

    async def _wait(self, asked: "Asked") -> list[Any]:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + asked.request.wait_ms / 1000
        taker = self._takers.park(asked.topic)
        try:
            while not self._takers.is_closed:
                taker.woken.clear()
                reply = await self._take_or_give_back(asked, taker, SESSION_MS)
                if len(reply) > 1:
                    return reply
                try:
                    async with asyncio.timeout_at(ends_at):
                        await taker.woken.wait()
                except TimeoutError:
                    break
            return await self._take_or_give_back(asked, taker, 0)
        except ScriptAbsent:
            return [b"ok"]  # the active script set knows no waiting: there is nothing now
        except BaseException:
            self._takers.finish(self._withdraw(taker))
            raise
        finally:
            self._takers.leave(taker)

    async def _take_or_give_back(self, asked: "Asked", taker: Taker, session_ms: int) -> list[Any]:
        """A client may go while Redis delivers to it."""
        taking = asyncio.ensure_future(self._take(asked, taker.id, session_ms))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._takers.finish(self._give_back(asked.topic, taking))
            raise

    async def _give_back(self, topic: Topic, taking: "asyncio.Future[list[Any]]") -> None:
        with contextlib.suppress(SimpulError):
            reply = await taking
            for receipt in reversed(reply[2::_DELIVERY_FIELDS]):
                parts = receipts.parse("receipt", receipt.decode())
                await self._topics.call_with_all(
                    NACK, topic, NOBODY, parts.id, parts.delivery, parts.generation, 0, b"", b""
                )

    async def _withdraw(self, taker: Taker) -> None:
        """If Redis is away, the place ends with this node's session."""
        with contextlib.suppress(SimpulError):
            await self._topics.call_with_all(WITHDRAW, taker.topic, NOBODY, taker.id)


class Asked:
    """A request to consume, as it is sent."""

    __slots__ = ("args", "identity", "request", "topic")

    def __init__(self, topic: Topic, request: ConsumeRequest) -> None:
        self.topic = topic
        self.request = request
        self.identity = RequestIdentity("queue.consume", request, request.request_id)
        consumer = encode_name("consumer", request.consumer)
        visibility_ms = request.visibility_ms
        self.args: tuple[Any, ...] = (request.max, VISIBILITY_MS_DEFAULT, 1, consumer)
        if isinstance(visibility_ms, int):
            self.args = (request.max, visibility_ms, b"", consumer)


def deliveries_in(reply: list[Any], start: int) -> list[Delivery]:
    """What a script replies of deliveries from a place on: id, receipt, attempt and record of each."""
    rest = iter(reply[start:])
    return [
        Delivery(message_id.decode(), receipt.decode(), attempt, message_of(record))
        for message_id, receipt, attempt, record in zip(rest, rest, rest, rest, strict=True)
    ]
