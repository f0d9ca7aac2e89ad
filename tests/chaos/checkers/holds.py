"""At most one exclusive holder at any moment, and no reader beside a writer, while their leases run."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.history import Event, History, Violation, by_target, conflict, select

RULE = "two holders"
GRAIN_MS = 1.0
"""Redis counts leases in whole milliseconds, cut off: a lease may end this much before invocation + ttl."""
SAYS_LOST = ("lock_lost", "lock_not_held", "token_stale")
"""Refusals that tell a holder that it holds no more."""


@dataclass(slots=True)
class Hold:
    """A time during which a client rightfully believes that it holds a lock.

    From the receipt of the grant to the sending of the request + its lease: a lease cannot have begun before it was
    asked for. A renewal begins another hold of the same grant. It ends early when the client lets go or is told that it
    has lost the lock.
    """

    grant: Event
    since: Event
    start_ms: float
    end_ms: float

    @property
    def is_exclusive(self) -> bool:
        return bool(self.grant.values.get("mode", "exclusive") == "exclusive")


def holds(events: list[Event]) -> list[Hold]:
    """The holds of one resource, from its events by invocation."""
    found: list[Hold] = []
    current: dict[str, list[Hold]] = {}
    for event in events:
        if event.operation == "acquire":
            if event.outcome == "ok":
                current[event.client] = [_hold(event, event)]
                found += current[event.client]
            continue
        of_grant = current.get(event.client, [])
        if not of_grant or event.values["token"] != token_of(of_grant[-1].since):
            continue
        end_ms = _end_by(event)
        for hold in of_grant:
            hold.end_ms = min(hold.end_ms, end_ms)
        if event.operation == "renew" and event.outcome == "ok":
            of_grant.append(_hold(of_grant[0].grant, event))
            found.append(of_grant[-1])
    return [hold for hold in found if hold.start_ms < hold.end_ms]


def token_of(event: Event) -> int:
    """The token after a grant or renewal: a renewal may give another one (value `new_token`)."""
    return int(event.values.get("new_token", event.values["token"]))


def _end_by(event: Event) -> float:
    """When the holds before this renewal or release end because of it, at the earliest."""
    if event.outcome == "refused":
        # Any other refusal changed nothing: the lease runs on.
        return event.completed_ms if event.code in SAYS_LOST else float("inf")
    # A renewal may have set a shorter lease than was left.
    return event.invoked_ms if event.operation == "release" else _lease_end_ms(event)


def _hold(grant: Event, since: Event) -> Hold:
    return Hold(grant, since, since.completed_ms, _lease_end_ms(since))


def _lease_end_ms(event: Event) -> float:
    return event.invoked_ms + float(event.values["ttl_ms"]) - GRAIN_MS


def no_two_holders(history: History) -> list[Violation]:
    """One violation for each hold that began while another, incompatible one ran."""
    found = []
    for resource, events in by_target(select(history, "acquire", "renew", "release")).items():
        longest: dict[bool, Hold] = {}
        for hold in sorted(holds(events), key=lambda hold: hold.start_ms):
            rivals = [longest.get(True), longest.get(False) if hold.is_exclusive else None]
            for rival in rivals:
                if rival is not None and rival.grant is not hold.grant and hold.start_ms < rival.end_ms:
                    found.append(conflict(RULE, _says(resource, rival, hold), rival.since, hold.since))
                    break
            last = longest.get(hold.is_exclusive)
            if last is None or last.end_ms < hold.end_ms:
                longest[hold.is_exclusive] = hold
    return found


def _says(resource: str, one: Hold, other: Hold) -> str:
    return (
        f"{one.grant.client} holds {resource} until {one.end_ms:.2f} ms, {other.grant.client} from "
        f"{other.start_ms:.2f} ms: {min(one.end_ms, other.end_ms) - other.start_ms:.2f} ms together"
    )
