"""Opens a connection with redis-py (TLS, authentication, database) and hands its transport to one of our protocols.

redis-py is the well-kept part; its per-call path is what the multiplexer replaces. Its own retries are off: they
would send a mutation again after a lost reply.
"""

import asyncio
from typing import Any, cast

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

from service.error_registry import StoreLoading


class DialError(Exception):
    """Redis could not be reached or did not let us in; the message says why."""


class Line:
    """An established connection. `attach` ends redis-py's use of it for ever."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, *parts: Any) -> Any:
        """One call before the hand-over. Raises DialError."""
        try:
            await self._connection.send_command(*parts)
            return await self._connection.read_response()
        except (RedisError, OSError) as error:
            raise DialError(str(error)) from error

    @property
    def transport(self) -> asyncio.Transport:
        writer = self._connection._writer
        return cast("asyncio.Transport", writer.transport)

    def close(self) -> None:
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
        async with asyncio.timeout(timeout_s):
            await connection.connect()
    except BusyLoadingError:
        connection._close()
        raise StoreLoading from None
    except (RedisError, OSError) as error:
        connection._close()
        raise DialError(str(error)) from error
    return Line(connection)
