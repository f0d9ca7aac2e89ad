"""Keeps the routes of a Redis Cluster, and finds the way for calls that the cluster did not run.

A call that was refused with MOVED, ASK, TRYAGAIN or CLUSTERDOWN has changed nothing, so it may be sent again, here
within the store's timeout: while a slot moves from one primary to another, its keys go one by one, and a script that
needs keys of both sides, or one that does not exist yet, can run only when the move is over.
"""

import asyncio
import logging
from typing import NamedTuple

from service import background
from service.error_registry import StoreUnsettled
from service.keys import Partition
from service.redis_url import RedisUrl, Server, join, split
from service.store.cluster_map import View, owners, slot_of, view
from service.store.dial import DialError, dial
from service.store.link import Link
from service.store.routes import GUEST_KEEP_S, Routes
from service.store.survey import survey

log = logging.getLogger("simpul.store")

REDIRECTIONS_MAX = 8
"""Redirections followed in a row: a longer chain means that nodes send the call back and forth."""

NODES_ASKED_MAX = 16
"""Nodes asked for the map at once; a majority of them has to answer."""

ASK_TIMEOUT_S = 0.5
"""How long one round of questions waits, at most the store's own timeout."""

REFRESH_EVERY_S = 0.2
"""How often the map is read while a primary is not there: a replica is about to take over."""

REFRESH_PAUSE_S = 0.01

PAUSE_FIRST_S = 0.005
PAUSE_MOST_S = 0.05


class Hop(NamedTuple):
    """Where a call goes next; `asks` when that primary is still importing the slot."""

    link: Link
    asks: bool


class Trip:
    """One call on its way through refusals. Bounded by time, and by redirections in a row."""

    def __init__(self, cluster: "Cluster", partition: Partition, timeout_s: float) -> None:
        self._cluster = cluster
        self._routes = cluster.routes
        self._partition = partition
        self._deadline = asyncio.get_running_loop().time() + timeout_s
        self._redirections = 0
        self._pause_s = PAUSE_FIRST_S

    async def next_hop(self, refused_by: Link, error: str) -> Hop | None:
        """Where to send the call after `error`; None when that is no matter of routes. Raises StoreUnsettled."""
        kind, _, rest = error.partition(" ")
        if kind in ("MOVED", "ASK"):
            self._redirections += 1
            if self._redirections > REDIRECTIONS_MAX:
                raise StoreUnsettled(reason=f"{error}, after {REDIRECTIONS_MAX} redirections")
            address = _target(rest, refused_by)
            if kind == "ASK":
                return Hop(await self._up(self._routes.guest(address), error), True)
            await self._moved(refused_by, address, error)
        elif kind in ("TRYAGAIN", "CLUSTERDOWN"):
            self._redirections = 0
            if kind == "CLUSTERDOWN":
                self._cluster.look_again()
            await self._pause(error)
        else:
            return None
        return Hop(await self._owner_up(error), False)

    async def _moved(self, refused_by: Link, address: str, error: str) -> None:
        """Follow at once to a primary that is linked already. One that is not comes with all its partitions from the
        map, so that it is admitted for all of them."""
        self._cluster.look_again()
        if self._routes.knows(address):
            self._routes.point(dict.fromkeys(self._cluster.sharing_slot(self._partition), address))
            return
        while self._routes.owner_of(self._partition) is refused_by:
            await self._pause(error)

    async def _pause(self, error: str) -> None:
        self._check_time(error)
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, PAUSE_MOST_S)

    async def _owner_up(self, error: str) -> Link:
        while not (owner := self._routes.owner_of(self._partition)).is_up:
            await self._until_changed(error)
        return owner

    async def _up(self, link: Link, error: str) -> Link:
        while not link.is_up:
            await self._until_changed(error)
        return link

    async def _until_changed(self, error: str) -> None:
        left_s = self._check_time(error)
        try:
            async with asyncio.timeout(left_s):
                await self._routes.changed()
        except TimeoutError:
            self._check_time(error)

    def _check_time(self, error: str) -> float:
        left_s = self._deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise StoreUnsettled(reason=error)
        return left_s


class Cluster:
    """Reads the map at the start, when a call finds it outdated, and again and again while a primary is missing."""

    def __init__(self, redis_url: RedisUrl, routes: Routes, *, client_name: str, timeout_s: float) -> None:
        self.routes = routes
        self._redis_url = redis_url
        self._client_name = f"{client_name}-map"
        self._timeout_s = min(timeout_s, ASK_TIMEOUT_S)
        self._slots = {partition.number: slot_of(partition) for partition in routes.partitions}
        self._addresses = redis_url.seeds
        self._outdated = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    def sharing_slot(self, partition: Partition) -> list[int]:
        """Numbers of the partitions that move together with this one."""
        slot = self._slots[partition.number]
        return [number for number, other in self._slots.items() if other == slot]

    def look_again(self) -> None:
        self._outdated.set()

    def start(self) -> None:
        self._task = background.start(self._run(), "redis cluster map")

    async def stop(self) -> None:
        await background.stop(self._task)

    async def _run(self) -> None:
        while True:
            # A burst of refused calls is one reason to look, not many.
            await asyncio.sleep(REFRESH_PAUSE_S)
            self._outdated.clear()
            await self._read_map()
            is_whole = all(self.routes.owner_of(partition).is_up for partition in self.routes.partitions)
            try:
                async with asyncio.timeout(GUEST_KEEP_S if is_whole else REFRESH_EVERY_S):
                    await self._outdated.wait()
            except TimeoutError:
                if is_whole:
                    await self._until_outdated()

    async def _until_outdated(self) -> None:
        """Nothing is missing and nothing was moved lately: the map is read again when a call or a link says so."""
        self.routes.settle()
        await self._outdated.wait()

    async def _read_map(self) -> None:
        links = [link.address for link in self.routes.links]
        asked = tuple(dict.fromkeys((*links, *self._addresses, *self._redis_url.seeds)))[:NODES_ASKED_MAX]
        views, failures = await survey([self._ask(address) for address in asked], self._timeout_s)
        if not views:
            self._say(f"no node of the cluster tells its map: {'; '.join(failures)}")
            return
        found = owners(self.routes.partitions, views)
        missing = sum(address is None for address in found.values())
        self._say(f"{missing} partitions are in slots that no primary serves" if missing else "")
        self._addresses = tuple(dict.fromkeys(address for one in views for address in one.addresses))
        self.routes.point(found)

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._said:
            log.warning("Redis Cluster: %s", trouble)
        self._said = trouble
        self.routes.explain(trouble or "its map is being read")

    async def _ask(self, address: str) -> View:
        server = self._redis_url.server(address)
        return await ask_for_map(server, client_name=self._client_name, timeout_s=self._timeout_s)


async def ask_for_map(server: Server, *, client_name: str, timeout_s: float) -> View:
    """What one node says. Raises DialError."""
    line = await dial(server.url, client_name=client_name, timeout_s=timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            slots, nodes = await line.execute("CLUSTER", "SLOTS"), await line.execute("CLUSTER", "NODES")
            return view(server.address, slots, nodes)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise DialError(f"{server.address} gave no map of a cluster ({error})") from error
    finally:
        line.close()


def _target(rest: str, refused_by: Link) -> str:
    """From `<slot> <host>:<port>`, or without a host: then it is the one that answered."""
    host, _, port = rest.partition(" ")[2].rpartition(":")
    return join(host.strip("[]") or split(refused_by.address)[0], port)
