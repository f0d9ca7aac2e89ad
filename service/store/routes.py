"""Which link carries which partition: a table that the hot path reads, and the rules by which it changes.

A partition that moves is sent to its new primary only when the link to that one is up: until then the old primary
answers MOVED, and the call waits for the move instead of failing. A link is closed when no partition needs it any
more and the last of its calls has been answered.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from service import background
from service.errors import SimpulError
from service.keys import Partition
from service.store.link import Link

log = logging.getLogger("simpul.store")

GUEST_KEEP_S = 5.0
"""A primary that is importing its first partition is kept linked for so long after the last call sent there."""


class Routes:
    def __init__(self, partitions: tuple[Partition, ...], nowhere: Link, make: Callable[[str], Link]) -> None:
        """`nowhere` is the link, never started, of a partition whose primary is not known; `make` makes the others."""
        self.partitions = partitions
        self.table: list[Link] = [nowhere] * len(partitions)
        """By a partition's number; always the same list, so that the hot path may keep it."""
        self.links: tuple[Link, ...] = ()
        self._nowhere = nowhere
        self._make = make
        self._owners: list[Link] = list(self.table)
        self._by_address: dict[str, Link] = {}
        self._guests: dict[Link, float] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._callbacks: list[Callable[[], None]] = []
        self._seen: object = None
        self._changed = asyncio.Event()
        self._is_started = False
        self.connects_of_gone_links = 0

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def changed(self) -> None:
        """Until a link comes up or goes down or the table changes."""
        await self._changed.wait()

    def owner_of(self, partition: Partition) -> Link:
        """Who owns the partition, whether or not it carries traffic yet."""
        return self._owners[partition.number]

    def partitions_of(self, link: Link) -> tuple[Partition, ...]:
        return tuple(one for one in self.partitions if self._owners[one.number] is link)

    def knows(self, address: str) -> bool:
        return address in self._by_address

    def guest(self, address: str) -> Link:
        """The link to a primary that need not own any partition (yet)."""
        link = self._link_at(address)
        self._guests[link] = asyncio.get_running_loop().time()
        self.settle()
        return link

    def point(self, addresses: Mapping[int, str | None]) -> None:
        """Partitions by number now belong to the primaries at these addresses, or to none."""
        for number, address in addresses.items():
            self._owners[number] = self._nowhere if address is None else self._link_at(address)
        self.settle()

    def settle(self) -> None:
        """Bring table and links up to date; to be called whenever a link came up or went down."""
        for number, owner in enumerate(self._owners):
            if owner.is_up or not self.table[number].is_up:
                self.table[number] = owner
        self._close_unused()
        self.links = tuple(self._by_address.values())
        self._changed.set()
        self._changed = asyncio.Event()
        now = (*((link, link.address) for link in self.links), *self._owners)
        if now != self._seen:
            self._seen = now
            for callback in self._callbacks:
                callback()

    def explain(self, reason: str) -> None:
        """Why partitions have no primary, for the calls that are refused because of it."""
        self._nowhere.excuse(reason)

    def start(self) -> None:
        self._is_started = True
        for link in self.links:
            link.start()

    async def stop(self) -> None:
        self._is_started = False
        retiring = list(self._retiring)
        for task in retiring:
            task.cancel()
        await asyncio.gather(*retiring, return_exceptions=True)
        for link in self._by_address.values():
            await link.stop()

    def _link_at(self, address: str) -> Link:
        link = self._by_address.get(address)
        if link is None:
            link = self._by_address[address] = self._make(address)
            if self._is_started:
                link.start()
        return link

    def _close_unused(self) -> None:
        needed = {*self._owners, *self.table}
        if self._guests:
            oldest = asyncio.get_running_loop().time() - GUEST_KEEP_S
            self._guests = {link: asked_at for link, asked_at in self._guests.items() if asked_at > oldest}
            needed.update(self._guests)
        for address, link in list(self._by_address.items()):
            if link not in needed:
                del self._by_address[address]
                if self._is_started:
                    task = background.finite(self._retire(link), f"closing the link to {address}")
                    self._retiring.add(task)
                    task.add_done_callback(self._retiring.discard)

    async def _retire(self, link: Link) -> None:
        try:
            # Replies come in order: with this one, every call before it has been answered.
            await link.execute("PING")
        except SimpulError as error:
            log.debug("the link to %s ended before it was closed: %s", link.address, error)
        finally:
            self.connects_of_gone_links += link.connects
            await link.stop()
