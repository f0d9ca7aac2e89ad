"""What a node tells the leader of its waits, and what it hears when one of them was ended."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import msgspec

from service.error_registry import LockDeadlock
from service.limits import LOCK_CYCLE_SHOWN_MAX
from service.lock.deadlock.cycles import Step
from service.lock.deadlock.graph import Hold

PATH = "/raft/waits"
DEADLINE_S = 2.0
BATCH_MAX = 1_000
"""Waits in one telling, at 1 KB each at the most."""


class Told(msgspec.Struct, array_like=True, frozen=True):
    """One wait: `resources` in whose lines it stands, and by which id. The rest is in Redis."""

    waiter: bytes
    owner: bytes
    resources: tuple[str, ...]


class Telling(msgspec.Struct, array_like=True, frozen=True):
    """Waits that began and waits that ended, as one life of a node tells them to one leader. `number` rises, so that a
    late one is known for what it is."""

    node: str
    life: str
    term: int
    number: int
    began: tuple[Told, ...]
    ended: tuple[bytes, ...]
    """By waiter."""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Telling).decode


class Link(msgspec.Struct, array_like=True, frozen=True):
    """One step of a circle: `owner` waits for `resource`, which `blocker` holds with `token`, or, without one, waits
    for, too, further ahead in the line."""

    owner: bytes
    resource: bytes
    mode: str
    blocker: bytes
    token: int | None
    blocker_mode: str


class Verdict(msgspec.Struct, array_like=True, frozen=True):
    """Why a wait was ended. `length` counts all steps of the circle, of which at most LOCK_CYCLE_SHOWN_MAX follow."""

    length: int
    cycle: tuple[Link, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Verdict)


def verdict(cycle: Sequence[Step], name_of: dict[bytes, bytes]) -> bytes:
    """Without spaces, as lock.cancel takes it. `name_of` gives the resource of a lock's key."""
    links = tuple(
        Link(
            step.wait.owner,
            name_of[step.lock],
            step.wait.mode,
            step.blocker.owner,
            step.blocker.token if isinstance(step.blocker, Hold) else None,
            step.blocker.mode,
        )
        for step in cycle[:LOCK_CYCLE_SHOWN_MAX]
    )
    return urlsafe_b64encode(_encode(Verdict(len(cycle), links)))


def refusal(said: bytes) -> LockDeadlock:
    """What the victim's client is told. Raises ValueError when this is no verdict."""
    found = _decoder.decode(urlsafe_b64decode(said))
    victim = found.cycle[0]
    return LockDeadlock(
        owner=victim.owner.decode(),
        resource=victim.resource.decode(),
        length=found.length,
        cycle=[_shown(link) for link in found.cycle],
    )


def _shown(link: Link) -> dict[str, object]:
    step: dict[str, object] = {
        "owner": link.owner.decode(),
        "waits_for": link.resource.decode(),
        "mode": link.mode,
    }
    blocker = link.blocker.decode()
    if link.token is None:
        return {**step, "behind": blocker}
    return {**step, "held_by": blocker, "held_mode": link.blocker_mode, "token": link.token}
