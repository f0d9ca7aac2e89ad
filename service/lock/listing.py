"""All locks that are held or waited for, page by page: found with SCAN at each primary, told by lock.inspect.

SCAN promises that a key which is there from the first page to the last is found, at least once, and so is a lock; one
that comes or goes meanwhile may or may not be. A page looks at a bounded number of keys, of whatever kind, so it may be
empty and still not be the last.
"""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import hiredis
import msgspec

from service.error_registry import FieldInvalid
from service.keys import Keys
from service.lock.locks import Locks
from service.lock.wire import ListedLock, LockList
from service.names import encode_name
from service.store.link import Link
from service.store.primaries import Primaries
from service.store.scripts import typed_error

KEYS_LOOKED_AT_MAX = 5_000
"""For one page, give or take a call of SCAN."""
SCAN_COUNT_MIN = 16
CURSOR_CHARS_MAX = 4_096
"""Of a cursor. SCAN may give a few names beyond what a page has room for, and these go into the cursor."""


class Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a page ends: at which primary, in which run of it, and where in its SCAN, None after the last. `found` are
    names that SCAN gave beyond what the page had room for."""

    address: str
    run_id: str
    scan: int | None
    found: tuple[bytes, ...] = ()

    def encode(self) -> str:
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises FieldInvalid."""
        try:
            cursor = msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
            if not 0 <= (cursor.scan or 0) < 2**64:
                raise ValueError(text)
            for name in cursor.found:
                encode_name("cursor", name.decode())
        except ValueError:
            raise FieldInvalid(field="cursor", reason="is none that a node has answered") from None
        return cursor


class Listing:
    def __init__(self, primaries: Primaries, keys: Keys, locks: Locks) -> None:
        self._primaries = primaries
        self._keys = keys
        self._locks = locks
        beginnings = [one for partition in keys.partitions for one in (partition.lock, partition.waiters)]
        self._beginning = re.compile(b"|".join(map(re.escape, beginnings)))

    async def page(self, prefix: str, limit: int, cursor: str) -> LockList:
        """Raises FieldInvalid, and what the store raises."""
        begins = encode_name("prefix", prefix) if prefix else b""
        links = sorted(self._primaries.links, key=lambda link: link.address)
        at = Cursor.decode(cursor) if cursor else Cursor(links[0].address, _run_id(links[0]), 0)
        names, looked_at = list(at.found), 0
        while at.scan is not None and len(names) < limit and looked_at < KEYS_LOOKED_AT_MAX:
            link = _link_of(at, links)
            count = max(SCAN_COUNT_MIN, limit - len(names))
            looked_at += count
            scan, found = await self._scan(link, at.scan, begins, count)
            names += [name for name in found if name not in names]
            at = msgspec.structs.replace(at, scan=scan) if scan else _behind(link, links)
        shown = min(limit, len(names))
        go_on = msgspec.structs.replace(at, found=tuple(names[shown:])).encode()
        while len(go_on) > CURSOR_CHARS_MAX:
            shown += 1  # several of the longest names: better a longer page than a cursor that no URL can hold
            go_on = msgspec.structs.replace(at, found=tuple(names[shown:])).encode()
        told = await asyncio.gather(*map(self._told, names[:shown]))
        is_last = at.scan is None and shown == len(names)
        return LockList([one for one in told if one is not None], None if is_last else go_on)

    async def _scan(self, link: Link, scan: int, begins: bytes, count: int) -> tuple[int, list[bytes]]:
        """Where to go on, 0 at the end, and the names of locks, each once."""
        pattern = self._keys.pattern + re.sub(rb"([*?\[\]\\^-])", rb"\\\1", begins) + b"*"
        reply = await link.execute("SCAN", scan, "MATCH", pattern, "COUNT", count)
        if isinstance(reply, hiredis.ReplyError):
            raise typed_error(str(reply), link.address)
        names: dict[bytes, None] = {}
        for key in reply[1]:
            beginning = self._beginning.match(key)
            if beginning and key.startswith(begins, beginning.end()):
                names[key[beginning.end() :]] = None
        return int(reply[0]), list(names)

    async def _told(self, name: bytes) -> ListedLock | None:
        """None for one that is free by now."""
        state = await self._locks.inspect(name.decode())
        if not state.holders and not state.waiter_count:
            return None
        first = state.holders[0] if state.holders else None
        return ListedLock(
            resource=state.resource,
            mode=state.mode,
            holder_count=state.holder_count,
            owner=first.owner if first else None,
            token=first.token if first else None,
            expires_in_ms=first.expires_in_ms if first else None,
            waiter_count=state.waiter_count,
        )


def _run_id(link: Link) -> str:
    """Raises why nothing can be asked of a primary that is away."""
    if link.incarnation is None or not link.is_up:
        raise link.refusal
    return link.incarnation.run_id


def _link_of(cursor: Cursor, links: list[Link]) -> Link:
    link = next((one for one in links if one.address == cursor.address), None)
    if link is None or _run_id(link) != cursor.run_id:
        # The order in which SCAN goes belongs to one run of one server.
        raise FieldInvalid(field="cursor", reason="is of a Redis that was restarted or replaced since: begin anew")
    return link


def _behind(link: Link, links: list[Link]) -> Cursor:
    """The beginning of the next primary, or the end."""
    later = [one for one in links if one.address > link.address]
    if not later:
        return Cursor(link.address, _run_id(link), None)
    return Cursor(later[0].address, _run_id(later[0]), 0)
