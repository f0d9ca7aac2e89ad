"""Writes: a plain put by the short script, one with anything more by cache.store, several by one call a partition."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import UNSET

from service.cache.naming import Names
from service.cache.near import NearCache
from service.cache.wire import PutDone, PutManyDone, PutManyRequest, PutRequest, Stored
from service.error_registry import (
    FieldInvalid,
    FieldMissing,
    FillSuperseded,
    OutcomeUnknown,
    RequestIdReused,
    VersionMismatch,
)
from service.errors import SimpulError
from service.keys import Keys, Partition
from service.names import RequestIdentity, encode_name
from service.payload import check_payload
from service.store.scripts import Scripts, declare

_ONCE = "fence fingerprint keep_ms"
_PUT = f"{_ONCE} value ttl_ms if_version channel"
PUT = declare("cache.put", keys="fence outcome versions entry", args=f"{_PUT} knows_names")
STORE = declare("cache.store", keys="fence outcome versions entry names tag+", args=f"{_PUT} stale_ms fill_token name")
PUT_MANY = declare(
    "cache.put_many", keys="fence outcome versions names entry+", args=f"{_ONCE} channel value+ ttl_ms+ if_version+"
)

_FOR_EVER_MS = 0
_NO_VALUE = b""


class Writer:
    def __init__(self, scripts: Scripts, keys: Keys, near: NearCache, names: Names, *, outcome_keep_ms: int) -> None:
        self._scripts = scripts
        self._names = names
        self._keys = keys
        self._near = near
        self._keep_ms = outcome_keep_ms

    async def put(self, request: PutRequest) -> PutDone:
        """Store a value, or that there is none. Raises VersionMismatch, FillSuperseded, PayloadTooLarge, FieldInvalid,
        FieldMissing, RequestIdReused."""
        key = encode_name("key", request.key)
        value, ttl_ms = _value_of(request)
        partition = self._keys.partition_of(key)
        identity = RequestIdentity("cache.put", request, request.request_id)
        entry_key = partition.cache + key
        keys: tuple[bytes, ...] = (partition.outcome + identity.key_suffix, partition.versions, entry_key)
        args: tuple[Any, ...] = (
            identity.fingerprint,
            self._keep_ms,
            value,
            ttl_ms,
            b"" if request.if_version is None else request.if_version,
            self._keys.invalidate_channel,
        )
        needs_more = not value or request.tags or request.stale_ms or request.fill_token
        if needs_more or self._names.are_kept(partition.number):
            reply = await self._store(partition, keys, args, request, key)
        else:
            reply = await self._scripts.call(PUT, partition, keys, (*args, int(self._names.is_known)))
            if reply[0] == b"ok" and not reply[1]:
                reply = await self._store(partition, keys, args, request, key)
        if reply[0] == b"ok":
            # This node's own readers see the write with its reply, not when the publication comes round.
            self._near.wrote(entry_key, partition.number, reply[1])
            return PutDone(version=reply[1])
        if reply[0] == b"version_mismatch":
            raise VersionMismatch(key=request.key, version=int(reply[1]), if_version=request.if_version)
        if reply[0] == b"fill_superseded":
            raise FillSuperseded(key=request.key)
        raise RequestIdReused(request_id=request.request_id)

    async def _store(
        self, partition: Partition, keys: tuple[bytes, ...], args: tuple[Any, ...], request: PutRequest, key: bytes
    ) -> list[Any]:
        """What cache.put has no room for: everything beside value, lifetime and condition, and the name of the key."""
        keys = (*keys, partition.names, *_tag_keys(partition, request))
        reply = await self._scripts.call(
            STORE, partition, keys, (*args, request.stale_ms or 0, request.fill_token or b"", key)
        )
        if reply[0] == b"ok":
            self._names.wrote(partition.number, reply[1])
        return reply

    async def put_many(self, request: PutManyRequest) -> PutManyDone:
        """Store several values, each judged by itself. All of one partition go together, each partition on its own.

        Raises PayloadTooLarge, FieldInvalid, RequestIdReused; OutcomeUnknown when some partitions failed.
        """
        by_partition = self._checked(request)
        identity = RequestIdentity("cache.mput", request, request.request_id)
        replies = await all_or_unknown(
            self._put_many(partition, items, identity) for partition, items in by_partition.items()
        )
        results: list[Any] = [None] * len(request.items)
        for (partition, items), reply in zip(by_partition.items(), replies, strict=True):
            if reply[0] != b"ok":
                raise RequestIdReused(request_id=request.request_id)
            newest = 0
            for at, (place, entry_key, _) in enumerate(items):
                is_stored, version = bool(reply[1 + 2 * at]), int(reply[2 + 2 * at])
                if is_stored:
                    newest = version
                    self._near.wrote(entry_key, partition.number, version)
                results[place] = Stored(is_stored, version)
            if newest:
                self._names.wrote(partition.number, newest, len(items))
        return PutManyDone(all(one.ok for one in results), results)

    def _checked(self, request: PutManyRequest) -> dict[Partition, list[tuple[int, bytes, tuple[Any, ...]]]]:
        by_partition: dict[Partition, list[tuple[int, bytes, tuple[Any, ...]]]] = {}
        seen: set[bytes] = set()
        for place, item in enumerate(request.items):
            key = encode_name(f"items[{place}].key", item.key)
            if key in seen:
                raise FieldInvalid(field=f"items[{place}].key", reason="is there twice")
            seen.add(key)
            value = check_payload(f"items[{place}].value", item.value)
            partition = self._keys.partition_of(key)
            args = (value, item.ttl_ms or _FOR_EVER_MS, b"" if item.if_version is None else item.if_version)
            by_partition.setdefault(partition, []).append((place, partition.cache + key, args))
        return by_partition

    async def _put_many(
        self, partition: Partition, items: list[tuple[int, bytes, tuple[Any, ...]]], identity: RequestIdentity
    ) -> list[Any]:
        return await self._scripts.call(
            PUT_MANY,
            partition,
            (
                partition.outcome + identity.key_suffix,
                partition.versions,
                partition.names,
                *(key for _, key, _ in items),
            ),
            (
                identity.fingerprint,
                self._keep_ms,
                self._keys.invalidate_channel,
                *(value for _, _, args in items for value in args),
            ),
        )


def _value_of(request: PutRequest) -> tuple[bytes, int]:
    """What is stored and for how long, 0 for ever."""
    if request.negative_ttl_ms is not UNSET:
        for field in ("value", "ttl_ms", "stale_ms", "tags"):
            if getattr(request, field) not in (UNSET, None):
                raise FieldInvalid(field=field, reason="cannot be combined with negative_ttl_ms")
        return _NO_VALUE, request.negative_ttl_ms
    if request.value is UNSET:
        raise FieldMissing(field="value")
    if request.stale_ms is not UNSET and request.ttl_ms is None:
        raise FieldInvalid(field="stale_ms", reason="needs ttl_ms: a value for ever does not end")
    return check_payload("value", request.value), request.ttl_ms or _FOR_EVER_MS


def _tag_keys(partition: Partition, request: PutRequest) -> tuple[bytes, ...]:
    tags = request.tags or ()
    return tuple(dict.fromkeys(partition.tag + encode_name(f"tags[{place}]", tag) for place, tag in enumerate(tags)))


async def all_or_unknown(calls: Any) -> list[Any]:
    """The replies of calls to several partitions. When some of them fail, so does all, as of unknown outcome."""
    replies = await asyncio.gather(*calls, return_exceptions=True)
    failed = [reply for reply in replies if isinstance(reply, BaseException)]
    if failed and len(failed) < len(replies) and isinstance(failed[0], SimpulError):
        raise OutcomeUnknown(reason=f"{len(failed)} of {len(replies)} partitions failed ({failed[0].code})")
    if failed:
        raise failed[0]
    return list(replies)
