"""What every script promises alike: the fence comes first, a request id acts once, and nothing is left behind."""

from collections.abc import Callable
from typing import Any

import pytest

from service.store import bundle
from tests.lua import groups
from tests.lua import test_queue_fan as fan
from tests.lua.runner import (
    COUNTER_BITS,
    GENERATION,
    KEEP_MS,
    QUARANTINE_MS,
    SESSION,
    SESSION_MS,
    Message,
    Reply,
    Runner,
    waiter_of,
)
from tests.support import DEADLINE_S

Once = Callable[[Runner, str], Reply]
"""A call that would change something in the prepared partition, with a request id."""
OLD_TOKEN = ((GENERATION - 1) << COUNTER_BITS) + 1
SECOND_TOKEN = (GENERATION << COUNTER_BITS) + 2


MUTATIONS: dict[str, Once] = {
    "lock.acquire": lambda run, rid: run.acquire("new", resource="free", request_id=rid),
    "lock.confirm": lambda run, rid: run.confirm("w", token_of(run), 50_000, request_id=rid),
    "lock.release": lambda run, rid: run.release("a", request_id=rid),
    "lock.renew": lambda run, rid: run.renew("a", token_of(run), 50_000, request_id=rid),
    "lock.reattach": lambda run, rid: run.reattach("a", OLD_TOKEN, request_id=rid),
    "lock.upgrade": lambda run, rid: run.upgrade("r", SECOND_TOKEN, resource="up", request_id=rid),
    "lock.downgrade": lambda run, rid: run.downgrade("a", token_of(run) or SECOND_TOKEN - 1, request_id=rid),
    "lock.release_all": lambda run, rid: run.release_all("a", ["res", "none"], request_id=rid),
    "lock.renew_all": lambda run, rid: run.renew_all(
        "two", "pq", token_of(run, "p"), token_of(run, "q"), ttl_ms=50_000, request_id=rid
    ),
    "queue.publish": lambda run, rid: run.publish("new", Message("late", delay_ms=5_000), request_id=rid),
    "queue.fan": lambda run, rid: fan.fan(run, "new", to=("s",), request_id=rid),
    "queue.subscribe": lambda run, rid: fan.subscribe(run, "new", request_id=rid)[0],
    "queue.unsubscribe": lambda run, rid: fan.unsubscribe(run, "s", request_id=rid),
    "queue.consume": lambda run, rid: run.consume_raw(2, request_id=rid),
    "queue.ack": lambda run, rid: run.call("queue.ack", "topic", items=[bare("m1")], request_id=rid),
    "queue.ack_consume": lambda run, rid: run.ack_consume("m1", request_id=rid),
    "queue.nack": lambda run, rid: run.hand_back("m1", request_id=rid),
    "queue.configure": lambda run, rid: run.configure(max_deliveries=3, request_id=rid),
    "queue.kick": lambda run, rid: run.kick("delayed", request_id=rid),
    "queue.purge": lambda run, rid: run.purge("ready", request_id=rid),
    "queue.withdraw": lambda run, rid: run.call("queue.withdraw", "topic", taker=f"{SESSION}:1", request_id=rid),
    "queue.schedule": lambda run, rid: run.schedule(5_000, "new", request_id=rid),
    "queue.unschedule": lambda run, rid: run.unschedule(request_id=rid),
    "queue.extend": lambda run, rid: run.call(
        "queue.extend", "topic", visibility_ms=9_000, **bare("m1"), request_id=rid
    ),
    "cache.put": lambda run, rid: run.put("k", b"new", request_id=rid),
    "cache.store": lambda run, rid: run.store("k", b"new", 60_000, stale_ms=1_000, tags=("t",), request_id=rid),
    "cache.put_many": lambda run, rid: run._put_many({"k": (b"new", 0, ""), "k2": (b"2", 9_000, "")}, rid),
    "cache.invalidate": lambda run, rid: run.invalidate("k", "none", request_id=rid),
    "atomic.apply": lambda run, rid: groups.apply(
        run, groups.publish("new"), groups.ack(receipt_of(run, "m1")), groups.put("k"), request_id=rid
    ),
}
READS: dict[str, Callable[[Runner], Reply]] = {
    "lock.inspect": lambda run: run.call("lock.inspect", "res"),
    "lock.blockers": lambda run: run.call("lock.blockers", "res", cursor="0", after="0"),
    "lock.events": lambda run: run.call("lock.events", "", after="", most=256),
    "lock.history": lambda run: run.call("lock.history", "res", before="", most=10),
    "queue.inspect": lambda run: run.call("queue.inspect", "topic"),
    "queue.peek": lambda run: run.call("queue.peek", "topic", state="ready", offset=0, limit=10),
    "queue.schedules": lambda run: run.call("queue.schedules", "topic", topic="topic", after="", limit=10),
    "queue.left": lambda run: run.call("queue.left", "topic", **bare("m1")),
    "cache.get": lambda run: run.call("cache.get", "k"),
    "cache.read": lambda run: run.read("k", "none"),
    "cache.tagged": lambda run: run.call("cache.tagged", "t", max=10),
    "cache.compare": lambda run: run.compare(k=1),
    "cache.named": lambda run: run.call("cache.named", "", prefix="", after="", max=9),
}
STATES: dict[str, Callable[[Runner], Reply]] = {
    "lock.lift": lambda run: run.lift(),
    "lock.hand_over": lambda run: run.hand_over(),
    "fence.shorten": lambda run: run.shorten(1_000),
    "lock.record": lambda run: run.record(),
    "lock.note_end": lambda run: run.call(
        "lock.note_end", "res", owner="a", token=OLD_TOKEN, mode="exclusive", after="0-0"
    ),
}
"""Work of the cluster itself, which brings about a state."""
LINES: dict[str, Callable[[Runner], Reply]] = {
    "lock.wait": lambda run: run.wait("next"),
    "lock.withdraw": lambda run: run.withdraw("last"),
    "lock.give_back": lambda run: run.give_back("a", token_of(run)),
    "cache.untag": lambda run: run.untag("t", "k"),
    "cache.fill": lambda run: run.fill("none"),
    "cache.begin_names": lambda run: run.begin_names(),
    "cache.add_names": lambda run: run.add_names("k"),
    "cache.remove_named": lambda run: run.remove_named("k", up_to=0),
    "lock.attend": lambda run: run.attend(),
    "queue.attend": lambda run: run.call("queue.attend", "", session=SESSION, session_ms=SESSION_MS),
    "queue.due": lambda run: run.due(),
    "queue.tend": lambda run: run.tend(),
    "queue.ticks": lambda run: run.ticks(),
    "queue.fire": lambda run: run.fire(5, 6, "fired"),
    "lock.cancel": lambda run: run.call(
        "lock.cancel", "res", waiter=waiter_of("last"), place=1, blocker="a", token=token_of(run), why="because"
    ),
    "lock.acquire_all": lambda run: run.acquire_all("new", ["free", "free2"]),
    "lock.wait_all": lambda run: run.wait_all("next", ["free", "res"]),
    "lock.withdraw_all": lambda run: run.withdraw_all("two", "pq"),
    "lock.force_release": lambda run: run.force_release(("a", token_of(run))),
}
"""Known by their waiter, caller or session instead of a request id: a repeat finds what the first call did."""
FENCES = {"fence.install", "fence.check"}
"""They are about another fence than the installed one: each has that in tests of its own."""
IN_QUARANTINE = {"lock.reattach", "lock.lift", "fence.shorten"}
GRANTING = {"lock.acquire", "lock.confirm", "lock.renew", "lock.reattach"}
MARKING = {"lock.renew_all": 0, "lock.upgrade": 2, "lock.downgrade": 1}
"""They say so in a value of their own, at this place."""
each_mutation = pytest.mark.parametrize("name", MUTATIONS)


def bare(message_id: str) -> dict[str, Any]:
    return {"id": message_id, "delivery": "", "generation": ""}


def receipt_of(run: Runner, message_id: str) -> str:
    """Of its delivery, if it is there yet."""
    delivered = run.redis.hget(run.key("messages", "topic"), f"\1{message_id}") or b"1.5 "
    return f"{GENERATION}.{delivered.split(b' ')[0].decode()}.{message_id}"


def token_of(run: Runner, resource: str = "res") -> int:
    hold = run.redis.get(run.key("lock", resource)) or b"x0 "
    return int(hold.split(b" ")[0][1:])


def prepare(run: Runner, name: str = "") -> None:
    """Something for every script to act on."""
    if name in IN_QUARANTINE:
        run.redis.flushall()
        run.install(GENERATION, quarantine_ms=QUARANTINE_MS)
    else:
        run.granted("a")
    if name == "lock.upgrade":
        run.granted("r", "shared", resource="up")
    if name == "lock.confirm":
        run.waiting("w")
        run.release("a")
    if name in LINES or name == "lock.hand_over":
        run.waiting("last")
    if name == "lock.renew_all":
        for resource in "pq":
            run.granted("two", resource=resource)
    if name == "lock.withdraw_all":
        run.granted_all("two", "pq")
    run.publish("m1", "m2", "m3", Message("m4", delay_ms=60_000))
    run.consume(1)
    run.put("k")
    if name in ("queue.fan", "queue.unsubscribe"):
        fan.subscribe(run, "s")


def call(run: Runner, name: str, request_id: str = "r1") -> Reply:
    if name in MUTATIONS:
        return MUTATIONS[name](run, request_id)
    return {**READS, **STATES, **LINES}[name](run)


def test_the_tables_above_name_every_script() -> None:
    assert {*MUTATIONS, *READS, *STATES, *LINES, *FENCES} == set(bundle.shipped().scripts)


@pytest.mark.parametrize("request_id", ["", "known"])
@pytest.mark.parametrize("name", [*MUTATIONS, *READS, *STATES, *LINES])
def test_another_fence_is_refused_before_anything_is_touched(run: Runner, name: str, request_id: str) -> None:
    prepare(run, name)
    if request_id:
        call(run, name, request_id)
    before = run.snapshot()
    ours = run.fence
    for theirs in (f"{GENERATION}.set2", f"{GENERATION - 1}.set1", f"{GENERATION + 1}.set1", f"{ours}0", ours[:-1], ""):
        run.fence = theirs
        assert call(run, name, request_id) == ("fence_stale", [ours.encode()])
    assert run.snapshot() == before


@pytest.mark.parametrize("name", [*MUTATIONS, *READS, *STATES, *LINES])
def test_a_missing_fence_is_refused_before_anything_is_touched(run: Runner, name: str) -> None:
    prepare(run, name)
    run.redis.delete(run.key("fence"))
    before = run.snapshot()
    assert call(run, name) == ("fence_missing", [])
    assert run.snapshot() == before


@each_mutation
def test_a_repeated_request_gets_the_first_outcome_and_changes_nothing(run: Runner, name: str) -> None:
    prepare(run, name)
    first = call(run, name, "r1")
    assert first.code == "ok"
    before = run.snapshot()
    # A lease that a repeat tells of began with the first request, so its caller must not reckon from now.
    again = [1] if name in GRANTING else []
    fields = [*first.fields, *again]
    if name in MARKING:
        fields[MARKING[name]] = 1
    assert call(run, name, "r1") == ("ok", fields)
    # That it was told again may be noted with the outcome: see lock.give_back.
    told = run.snapshot()
    assert told.keys() == before.keys()
    assert {key for key in told if told[key] != before[key]} <= {run.key("outcome", "r1")}
    assert call(run, name, "r1") == ("ok", fields)
    assert run.snapshot() == told


@pytest.mark.parametrize("name", STATES)
def test_the_clusters_own_work_done_twice_is_done_once(run: Runner, name: str) -> None:
    prepare(run, name)
    first = call(run, name)
    before = run.snapshot()
    again = call(run, name)
    assert again == (first.code, [pytest.approx(first.fields[0], abs=DEADLINE_S * 1_000), *first.fields[1:]])
    assert run.snapshot() == before
    assert "outcome" not in run.kinds()


@each_mutation
def test_a_request_id_used_for_something_else_is_refused_untouched(run: Runner, name: str) -> None:
    prepare(run, name)
    run.put("elsewhere", request_id="r1", fingerprint="another request")
    before = run.snapshot()
    assert call(run, name, "r1") == ("request_id_reused", [])
    assert run.snapshot() == before


@each_mutation
def test_two_request_ids_are_two_requests(run: Runner, name: str) -> None:
    prepare(run, name)
    run.put("elsewhere", request_id="r1", fingerprint="another request")
    assert call(run, name, "r2").code == "ok"


@each_mutation
def test_an_outcome_is_kept_for_its_time_and_no_longer(run: Runner, name: str) -> None:
    prepare(run, name)
    call(run, name, "r1")
    assert KEEP_MS - 10_000 < run.redis.pttl(run.keys_of("", "r1")["outcome"]) <= KEEP_MS


@each_mutation
def test_without_a_request_id_nothing_is_kept(run: Runner, name: str) -> None:
    prepare(run, name)
    assert call(run, name, "").code == "ok"
    assert "outcome" not in run.kinds()


def test_a_refusal_is_not_kept(run: Runner) -> None:
    prepare(run)
    refusals = [
        run.acquire("b", request_id="r1").code,
        run.release("b", request_id="r1").code,
        run.release("a", 1, request_id="r1").code,
        run.renew("b", 1, request_id="r1").code,
        run.reattach("b", 1, request_id="r1").code,
        *run.ack("m2", "none", request_id="r1"),
        run.nack("m2", request_id="r1"),
        run.extend("m2", 1_000, request_id="r1"),
        run.put("k", if_version=1, request_id="r1").code,
    ]
    assert refusals == [
        "lock_held",
        "lock_not_held",
        "token_stale",
        "lock_lost",
        "lock_lost",
        "receipt_expired",
        "already_acked",
        "receipt_expired",
        "receipt_expired",
        "version_mismatch",
    ]
    assert "outcome" not in run.kinds()


def test_what_is_settled_leaves_only_the_fence_the_counters_and_the_outcomes(run: Runner) -> None:
    for mode in ("exclusive", "shared"):
        run.granted("a", mode, request_id=f"1{mode}")
        run.waiting("w")
        run.withdraw("w")
        run.release("a", request_id=f"2{mode}")
    run.publish("m1", "m2", Message("m3", delay_ms=1_000), request_id="3")
    run.nack(run.receipt(), 1_000, request_id="4")
    run.pass_time(1_002)
    run.ack(*(one.receipt for one in run.consume(10, request_id="5")), request_id="6")
    run.put("k", request_id="7")
    run.invalidate("k", request_id="8")
    assert run.kinds() == {"outcome", "sessions"}
    run.pass_time(KEEP_MS)
    assert run.kinds() == set()


def test_a_line_leaves_nothing_once_all_were_served_or_left(run: Runner) -> None:
    run.granted("a")
    for owner, mode in (("b", "exclusive"), ("c", "shared"), ("d", "shared"), ("e", "exclusive")):
        run.waiting(owner, mode)
    run.withdraw("e")
    run.release("a")
    for owner in "bcd":
        run.confirm(owner, run.holders()[owner])
        run.release(owner)
    assert run.kinds() == {"sessions"}
    run.pass_time(SESSION_MS)
    assert run.kinds() == set()


def test_a_line_whose_nodes_are_gone_ends_by_itself(run: Runner) -> None:
    run.granted("a", ttl_ms=1_000)
    run.waiting("b", wait_ms=20_000)
    run.waiting("c", wait_ms=60_000)
    run.pass_time(69_000)
    assert run.kinds() == {"waiters", "waiter_info"}
    run.pass_time(1_001)
    assert run.kinds() == set()


def test_leases_that_end_unattended_leave_nothing(run: Runner) -> None:
    run.granted("a", ttl_ms=1_000)
    run.granted("r1", "shared", resource="other", ttl_ms=1_000)
    run.granted("r2", "shared", resource="other", ttl_ms=2_000)
    run.acquire("w")
    run.pass_time(2_001)
    assert run.kinds() == set()
