"""Which locks of a request are taken together, and in what order: pure, so that every node does the same.

A script touches one partition, so the locks of one partition are taken by one call, all or none. Partitions come in
ascending order and names within one in byte order: two requests that share locks in several partitions meet at the
lower one first, where one of them waits, so that neither can hold what the other waits for while it waits itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.error_registry import FieldInvalid
from service.keys import Keys, Partition
from service.limits import LOCK_PARTITIONS_MAX
from service.lock.calls import Place


class Group(NamedTuple):
    """Locks of one partition, in byte order of their names."""

    partition: Partition
    places: tuple[Place, ...]

    @property
    def line_keys(self) -> tuple[bytes, ...]:
        """What the scripts take that hand several locks over, after the outcome."""
        of = self.partition
        each = (key for place in self.places for key in place.own_keys)
        return of.tokens, of.quarantine, of.sessions, of.granted, of.lock_events, *each

    @property
    def hold_keys(self) -> tuple[bytes, ...]:
        of = self.partition
        return of.quarantine, of.lock_events, *(key for place in self.places for key in place.hold_keys)

    @property
    def resources(self) -> list[str]:
        return [place.name.decode() for place in self.places]


def grouped(keys: Keys, resources: Sequence[str]) -> tuple[Group, ...]:
    """The groups of a request in the order in which they are taken.

    Raises FieldInvalid, naming the field: a name that is none, one that is there twice, too many partitions.
    """
    first_at: dict[bytes, int] = {}
    found: dict[int, list[Place]] = {}
    for number, resource in enumerate(resources):
        place = Place(keys, resource, field=f"resources[{number}]")
        if place.name in first_at:
            raise FieldInvalid(field=f"resources[{number}]", reason=f"repeats resources[{first_at[place.name]}]")
        first_at[place.name] = number
        found.setdefault(place.partition.number, []).append(place)
    if len(found) > LOCK_PARTITIONS_MAX:
        reason = (
            f"are spread over {len(found)} partitions, and at most {LOCK_PARTITIONS_MAX} are taken in one request: "
            "names that share a part in braces live in one"
        )
        raise FieldInvalid(field="resources", reason=reason)
    return tuple(
        Group(keys.partitions[number], tuple(sorted(found[number], key=lambda place: place.name)))
        for number in sorted(found)
    )


def check_tokens(resources: Sequence[str], tokens: Mapping[str, int]) -> None:
    """One token for each resource and none else. Raises FieldInvalid."""
    wanted = set(resources)
    strange = next((name for name in tokens if name not in wanted), None)
    if strange is not None:
        raise FieldInvalid(field="tokens", reason=f"names {strange}, which is not among the resources")
    absent = next((name for name in resources if name not in tokens), None)
    if absent is not None:
        raise FieldInvalid(field="tokens", reason=f"has none for {absent}")
