"""At least once: what a queue acknowledged is delivered and acknowledged, and a delivery that was repeated cannot ack.

`publish` has the message as its value `id`, `consume` has `id`, `receipt` and `attempt` of what was delivered (and no
`id` when there was nothing), `ack` has `id` and `receipt`. The history must end with a drain: consumers that go on
until the topic is empty.
"""

from __future__ import annotations

from tests.chaos.history import Event, History, Violation, by_target, conflict, losses, select


def no_acknowledged_message_is_lost(history: History) -> list[Violation]:
    """Each message whose publish was answered is acked at least once, unless data was lost after it was asked for.

    An ack of unknown outcome counts: the message may be gone because of it.
    """
    lost_until_ms = max((loss.completed_ms for loss in losses(history)), default=float("-inf"))
    acked = {
        (ack.target, ack.values["id"])
        for ack in select(history, "ack")
        if ack.outcome != "refused" or ack.code == "already_acked"
    }
    found = []
    for topic, published in by_target(select(history, "publish", outcome="ok")).items():
        delivered = {e.values.get("id"): e for e in select(history, "consume", outcome="ok") if e.target == topic}
        for event in published:
            name = event.values["id"]
            if event.invoked_ms > lost_until_ms and (topic, name) not in acked:
                last = [delivered[name]] if name in delivered else []
                fate = "delivered, but never acked" if last else "never delivered"
                found.append(conflict("message lost", f"{topic}: {name} was acknowledged and {fate}", event, *last))
    return found


def superseded_receipts_are_refused(history: History) -> list[Violation]:
    """No ack succeeds with a receipt when a later delivery of the message was answered before the ack was asked for."""
    deliveries: dict[tuple[str, str], list[Event]] = {}
    for event in select(history, "consume", outcome="ok"):
        if "id" in event.values:
            deliveries.setdefault((event.target, event.values["id"]), []).append(event)
    found = []
    for ack in select(history, "ack", outcome="ok"):
        of_message = deliveries.get((ack.target, ack.values["id"]), [])
        own = next((e for e in of_message if e.values["receipt"] == ack.values["receipt"]), None)
        if own is None:
            continue
        for later in of_message:
            # One asked for after the other was answered is the later one, whatever a counter that was lost says.
            if later.invoked_ms > own.completed_ms and later.completed_ms < ack.invoked_ms:
                says = f"{ack.target}: {ack.values['id']} was acked by a receipt after it was delivered again"
                found.append(conflict("superseded receipt acked", says, own, later, ack))
                break
    return found
