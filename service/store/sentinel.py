"""Finds the primary of a service by its sentinels, and hears from them when it changes.

A sentinel that was cut off goes on naming the old primary, so a majority is asked and the answer of the newest
failover (the highest config epoch) counts. It still is only an address: who answers there is identified and put
before the gate like every other server.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import NamedTuple

from service.redis_url import RedisUrl, Server, join
from service.store.dial import DialError, dial
from service.store.subscriber import Subscriber
from service.store.survey import survey

log = logging.getLogger("simpul.store")

SENTINEL_TIMEOUT_S = 0.5
"""How long one round of questions waits for a majority, at most the store's own timeout."""

_SWITCHED = b"+switch-master"


class _Named(NamedTuple):
    """A sentinel's answer; ordered by how new it is."""

    config_epoch: int
    address: str


class Sentinels:
    def __init__(self, redis_url: RedisUrl, *, client_name: str, timeout_s: float) -> None:
        self._redis_url = redis_url
        self._client_name = client_name
        self._timeout_s = min(timeout_s, SENTINEL_TIMEOUT_S)
        self._turns = itertools.cycle(redis_url.seeds)
        self._ear = Subscriber(
            self._next_sentinel,
            client_name=f"{client_name}-sentinel",
            timeout_s=timeout_s,
            on_up=lambda: None,
            on_down=lambda: None,
        )

    @property
    def name(self) -> str:
        """What people are shown before the primary is known."""
        return f"{self._redis_url.service} (sentinels {', '.join(self._redis_url.seeds)})"

    async def primary(self) -> Server:
        """Where the primary is now, by a majority of the sentinels if so many answer. Raises DialError."""
        asks = [self._ask(self._redis_url.sentinel(seed)) for seed in self._redis_url.seeds]
        answers, failures = await survey(asks, self._timeout_s)
        if not answers:
            raise DialError(f"no sentinel names the primary of {self._redis_url.service!r}: {'; '.join(failures)}")
        return self._redis_url.server(max(answers).address)

    def on_switch(self, callback: Callable[[str], None]) -> None:
        """Hear of every failover of our service with the new address; only before `start`."""

        def switched(message: bytes) -> None:
            # "<service> <old host> <old port> <new host> <new port>"; a service's name has no blanks.
            service, _, _, host, port = message.decode().split(" ")
            if service == self._redis_url.service:
                callback(join(host, port))

        self._ear.hear(_SWITCHED, switched)

    def start(self) -> None:
        self._ear.start()

    async def stop(self) -> None:
        await self._ear.stop()

    async def _next_sentinel(self) -> Server:
        return self._redis_url.sentinel(next(self._turns))

    async def _ask(self, sentinel: Server) -> _Named:
        line = await dial(sentinel.url, client_name=self._client_name, timeout_s=self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                flat = await line.execute("SENTINEL", "MASTER", self._redis_url.service)
        except DialError as error:
            raise DialError(f"{sentinel.address}: {error}") from error
        finally:
            line.close()
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return _Named(int(fields[b"config-epoch"]), join(fields[b"ip"].decode(), fields[b"port"].decode()))
