"""Opens a connection with redis-py (TLS, authentication, database) and hands its transport to one of our protocols.

redis-py is the well-kept part; its per-call path is what the multiplexer replaces. Its own retries are off: they
would send a mutation again after a lost reply.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

from service.error_registry import StoreLoading


class DialError(Exception):
    """Redis could not be reached or did not let us in; the message says why."""


class Line:
    """An established connection. `let_go` ends redis-py's use of it for ever."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, *parts: Any) -> Any:
        """One call before the hand-over. Raises DialError."""
        with _failures():
            await self._connection.send_command(*parts)
            return await self._connection.read_response()

    def let_go(self) -> asyncio.Transport:
        """To be given another protocol before the loop turns. Raises DialError when the connection has ended: the loop
        has told redis-py so already, and would never tell the next."""
        writer, reader = self._connection._writer, self._connection._reader
        if writer is None or writer.transport.is_closing() or reader.at_eof():
            raise DialError("Redis closed the connection")
        return cast("asyncio.Transport", writer.transport)

    def close(self) -> None:
        """At once: what has not been sent yet never is."""
        if self._connection._writer is not None:
            self._connection._writer.transport.abort()
        self._connection._close()


async def dial(url: str, *, client_name: str, timeout_s: float) -> Line:
    """Connect and authenticate. Raises DialError, StoreLoading."""
    untyped_pool: Any = ConnectionPool.from_url(
        url,
        protocol=2,
        client_name=client_name,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    connection = untyped_pool.make_connection()
    try:
        with _failures():
            async with asyncio.timeout(timeout_s):
                await _let_in(connection)
    except (DialError, StoreLoading):
        connection._close()
        raise
    return Line(connection)


async def _let_in(connection: Any) -> None:
    try:
        await connection.connect()
    except BusyLoadingError:
        raise StoreLoading from None


@contextmanager
def _failures() -> Iterator[None]:
    """What redis-py and the loop raise, as DialError."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise DialError(str(error)) from error
    except RuntimeError as error:
        # uvloop's word for a write after the other side has closed, which redis-py does not expect; asyncio has none.
        if not str(error).endswith("the handler is closed"):
            raise
        raise DialError("Redis closed the connection") from error
