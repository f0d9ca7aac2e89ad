"""How Redis stands, for people: the fence in each partition, how long locks are held back, what a crash may cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import hiredis
import msgspec

from service.decisions.node.fence import Fence, is_blessed
from service.decisions.replicated.machine import DecisionMachine
from service.errors import SimpulError
from service.store.link import Link
from service.store.primaries import Primaries

UNKNOWN = "unknown"
_CONFIG = ("appendonly", "appendfsync", "maxmemory-policy")


class RedisView(msgspec.Struct, frozen=True):
    """One Redis primary. `appendonly`, `appendfsync` and `maxmemory_policy` are "unknown" where Redis does not tell."""

    incarnation: str
    is_blessed: bool
    partitions: int
    replicas: int
    appendonly: str
    appendfsync: str
    maxmemory_policy: str


class PartitionsView(msgspec.Struct, frozen=True):
    """`fences` counts partitions by the fence that stands there, "none" where there is none; `astray` names those with
    another fence than decided."""

    fences: dict[str, int]
    astray: dict[str, str]
    quarantine_left_ms: int
    """Of the partition that is held back longest; 0: locks are granted everywhere."""


async def partitions(primaries: Primaries, fence: Fence) -> PartitionsView:
    """As they stand at the primaries that carry traffic."""
    found: Counter[str] = Counter()
    astray: dict[str, str] = {}
    left_ms = 0
    for link in primaries.links:
        if not link.is_up:
            continue
        for partition, (installed, quarantine, now_ms) in (await _read_partitions(primaries, link)).items():
            found[installed] += 1
            if installed != fence.text:
                astray[f"p{partition:02d}"] = installed
            left_ms = max(left_ms, quarantine - now_ms)
    return PartitionsView(dict(found), astray, left_ms)


async def _read_partitions(primaries: Primaries, link: Link) -> dict[int, tuple[str, int, int]]:
    wanted = primaries.partitions_of(link)
    try:
        clock, *values = await asyncio.gather(
            link.execute("TIME"),
            *(link.execute("GET", key) for p in wanted for key in (p.fence, p.quarantine)),
        )
    except SimpulError:
        return {}  # it went away meanwhile: shown as not connected
    now_ms = int(clock[0]) * 1000 + int(clock[1]) // 1000
    fences, quarantines = values[0::2], values[1::2]
    return {
        p.number: (_text(fence) or "none", int((_text(quarantine) or "0").partition(" ")[0]), now_ms)
        for p, fence, quarantine in zip(wanted, fences, quarantines, strict=True)
    }


async def redis(primaries: Primaries, machine: DecisionMachine) -> dict[str, RedisView | None]:
    """By address; None for one that is not connected."""
    views = await asyncio.gather(*(_view(link, primaries, machine) for link in primaries.links))
    return {link.address: view for link, view in zip(primaries.links, views, strict=True)}


async def _view(link: Link, primaries: Primaries, machine: DecisionMachine) -> RedisView | None:
    incarnation = link.incarnation
    if incarnation is None:
        return None
    try:
        settings = {name: await _setting(link, name) for name in _CONFIG}
        replicas = _connected_replicas(await link.execute("INFO", "replication"))
    except SimpulError:
        return None
    return RedisView(
        incarnation=str(incarnation),
        is_blessed=is_blessed(incarnation, machine.state.primaries),
        partitions=len(primaries.partitions_of(link)),
        replicas=replicas,
        appendonly=settings["appendonly"],
        appendfsync=settings["appendfsync"],
        maxmemory_policy=settings["maxmemory-policy"],
    )


async def _setting(link: Link, name: str) -> str:
    """Managed services forbid CONFIG."""
    reply = await link.execute("CONFIG", "GET", name)
    if isinstance(reply, hiredis.ReplyError) or len(reply) != 2:
        return UNKNOWN
    return _text(reply[1]) or UNKNOWN


def _connected_replicas(info: Any) -> int:
    for line in _text(info).splitlines():
        if line.startswith("connected_slaves:"):
            return int(line.partition(":")[2])
    return 0


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def warnings(views: dict[str, RedisView | None], machine: DecisionMachine, shown: PartitionsView) -> list[str]:
    """What an operator should know, in sentences."""
    found = []
    for address, view in views.items():
        if view is None:
            found.append(f"{address} is not connected")
            continue
        if not view.is_blessed:
            found.append(f"{address} is not the Redis that the cluster works with: it carries no traffic")
        found.extend(f"{address}: {sentence}" for sentence in _durability(view))
        if view.maxmemory_policy not in ("noeviction", UNKNOWN):
            found.append(
                f"{address}: maxmemory-policy {view.maxmemory_policy} may evict a lock or a message: set noeviction"
            )
    if not machine.setting("quarantine"):
        found.append("quarantine is off: after a loss of data two clients can hold one lock at a time")
    if shown.quarantine_left_ms > 0:
        found.append(f"after a loss of data no new lock is granted for {shown.quarantine_left_ms} ms yet")
    if shown.astray:
        found.append(f"{len(shown.astray)} partitions do not have the fence that was decided")
    return found


def _durability(view: RedisView) -> list[str]:
    said = []
    if view.appendonly == "no":
        said.append("appendonly no: a restart loses every message, lock and value; locks stay safe")
    elif view.appendfsync == "everysec":
        said.append("appendfsync everysec: a crash loses up to 1 s of acknowledged publishes; locks stay safe")
    elif view.appendfsync == "no":
        said.append("appendfsync no: a crash loses what the system had not written yet; locks stay safe")
    if view.replicas:
        said.append("a failover loses what the replica had not received yet; locks stay safe")
    return said
