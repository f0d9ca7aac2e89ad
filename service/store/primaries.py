"""The Redis primaries that hold the partitions now, one alone or those of a cluster: what everything above talks to."""

import random
from collections.abc import Callable
from typing import Any, Protocol

from service.errors import SimpulError
from service.keys import Keys, Partition
from service.redis_url import RedisUrl, Server, Topology, parse
from service.store.cluster import Cluster, Trip
from service.store.link import Gate, Link, Locate
from service.store.routes import Routes
from service.store.sentinel import Sentinels


class Finder(Protocol):
    """Whatever runs in the background to know where the primaries are."""

    def start(self) -> None: ...
    async def stop(self) -> None: ...


class Primaries:
    """`links` and the table behind `link_of` change while the node runs: see `on_routes`."""

    def __init__(self, redis_url: RedisUrl, routes: Routes, timeout_s: float, finder: Finder | None) -> None:
        self.table = routes.table
        """The link of every partition by its number, always the same list: for the hot path to keep."""
        self._redis_url = redis_url
        self._routes = routes
        self._timeout_s = timeout_s
        self._finder = finder
        self._was_whole = False

    @property
    def links(self) -> tuple[Link, ...]:
        """One per primary known now, up or not."""
        return self._routes.links

    def link_of(self, partition: Partition) -> Link:
        return self.table[partition.number]

    def partitions_of(self, link: Link) -> tuple[Partition, ...]:
        """What the link's primary owns, also before the link carries traffic; empty while it only imports a slot."""
        return self._routes.partitions_of(link)

    def on_routes(self, callback: Callable[[], None]) -> None:
        """Called after the set of primaries, the address of one or the owner of a partition changed."""
        self._routes.on_change(callback)

    @property
    def is_up(self) -> bool:
        """Every partition has a primary that carries traffic."""
        return all(link.is_up for link in self.table)

    @property
    def serves(self) -> bool:
        """Worth sending requests to: once every primary was there, a failover of one is no reason to refuse the
        requests for the partitions of the others."""
        self._was_whole = self._was_whole or self.is_up
        return self._was_whole and any(link.is_up for link in self.table)

    @property
    def refusal(self) -> SimpulError:
        """Why not `is_up`: what a call to the first partition without a connection is answered."""
        return next((link for link in self.table if not link.is_up), self.table[0]).refusal

    @property
    def address(self) -> str:
        return ", ".join(link.address for link in self.links) or self.table[0].address

    @property
    def in_flight(self) -> int:
        return sum(link.in_flight for link in self.links)

    @property
    def connects(self) -> int:
        return self._routes.connects_of_gone_links + sum(link.connects for link in self.links)

    async def heard_at(self) -> Server:
        """A primary to hear publications at: any, for a cluster passes them on to all its nodes. Waits for one."""
        while not (up := [link for link in self.links if link.is_up]):
            await self._routes.changed()
        return self._redis_url.server(random.choice(up).address)  # noqa: S311

    def trip(self, partition: Partition) -> Trip | None:
        """The way of a call that was refused, when calls can be sent elsewhere at all."""
        if isinstance(self._finder, Cluster):
            return Trip(self._finder, partition, self._timeout_s)
        return None

    def heed(self, error: str) -> None:
        """Somebody was refused with `error`. If it says that the map is outdated, the map is read again: all others may
        be waiting for what only this one can do, and learn nothing."""
        if isinstance(self._finder, Cluster) and error.startswith(("MOVED", "CLUSTERDOWN")):
            self._finder.look_again()

    def start(self) -> None:
        self._routes.start()
        if self._finder is not None:
            self._finder.start()

    async def stop(self) -> None:
        if self._finder is not None:
            await self._finder.stop()
        await self._routes.stop()


def primaries_of(
    redis_url: str, *, keys: Keys, client_name: str, in_flight_max: int, timeout_s: float, gate: Gate
) -> Primaries:
    """What REDIS_URL names. Raises ValueError for a URL that cannot be used; connects only after `start`."""
    url = parse(redis_url)
    common: dict[str, Any] = {
        "client_name": client_name,
        "in_flight_max": in_flight_max,
        "timeout_s": timeout_s,
        "gate": gate,
    }
    if url.topology is Topology.CLUSTER:
        return _clustered(url, keys, common)
    if url.topology is Topology.SENTINEL:
        sentinels = Sentinels(url, client_name=client_name, timeout_s=timeout_s)
        primaries = _alone(url, keys, common, locate=sentinels.primary, name=sentinels.name, finder=sentinels)
        sentinels.on_switch(lambda address: _follow(primaries.links[0], address))
        return primaries
    server = url.server(url.seeds[0])

    async def always() -> Server:
        return server

    return _alone(url, keys, common, locate=always, name=server.address, finder=None)


def _follow(link: Link, address: str) -> None:
    if link.address != address or link.incarnation is None:
        link.reconnect(f"the sentinels made {address} the primary")


def _alone(
    url: RedisUrl, keys: Keys, common: dict[str, Any], *, locate: Locate, name: str, finder: Finder | None
) -> Primaries:
    def changed() -> None:
        routes.settle()

    link = Link(locate, address=name, on_change=changed, **common)
    routes = Routes(keys.partitions, link, lambda _: link)
    routes.point(dict.fromkeys(range(len(keys.partitions)), name))
    return Primaries(url, routes, common["timeout_s"], finder)


def _clustered(url: RedisUrl, keys: Keys, common: dict[str, Any]) -> Primaries:
    def link_to(address: str) -> Link:
        async def locate() -> Server:
            return url.server(address)

        def changed() -> None:
            routes.settle()
            if not link.is_up:
                cluster.look_again()

        link = Link(locate, address=address, on_change=changed, **common)
        return link

    routes = Routes(keys.partitions, link_to(f"cluster {', '.join(url.seeds)}"), link_to)
    cluster = Cluster(url, routes, client_name=common["client_name"], timeout_s=common["timeout_s"])
    return Primaries(url, routes, common["timeout_s"], cluster)
