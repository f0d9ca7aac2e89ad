"""The millisecond in which a time ends, on a clock that stands still.

Only the clock is replaced: by a key that the test sets, far in the future so that Redis removes nothing by itself.
An exclusive lease is the expiry of its key, so its last millisecond is Redis's own.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store import bundle
from tests.lua.runner import COUNTER_BITS, GENERATION, Message, Runner, detail
from tests.lua.test_queue_receipts import Settle, each_settle
from tests.support import RedisServer

START_MS = 4_000_000_000_000
OLD_TOKEN = (GENERATION << COUNTER_BITS) + 1


class Clocked(Runner):
    """Scripts that read the time from a key; the caller may touch that one besides KEYS."""

    def _allow(self, keys: object) -> None:
        super()._allow([*keys, b"clock"])  # type: ignore[misc]

    def at(self, after_ms: int) -> None:
        self.redis.set("clock", START_MS + after_ms)


@pytest.fixture
def run(any_server: RedisServer, tmp_path: Path) -> Iterator[Clocked]:
    shutil.copytree(bundle.sources_dir(), tmp_path / "lua")
    (tmp_path / "lua/lib/clock.lua").write_text('local now_ms = tonumber(redis.call("GET", "clock"))\n')
    (tmp_path / "lua/lib/now.lua").write_text(
        'local function redis_now_ms() return tonumber(redis.call("GET", "clock")) end\n'
    )
    clocked = Clocked(any_server, bundle.build(tmp_path / "lua"))
    clocked.at(0)
    yield clocked
    clocked.close()


def test_a_shared_lease_holds_in_its_last_millisecond(run: Clocked) -> None:
    mode = "shared"
    token = run.granted("a", mode, ttl_ms=1_000, request_id="r1")
    run.at(999)
    assert run.acquire("b").fields[-2] == 1
    assert run.holders() == {"a": token}
    assert run.granted("a", mode, ttl_ms=1_000, request_id="r1") == token
    assert run.renew("a", token, 1_000).code == "ok"


@pytest.mark.parametrize("act", ["acquire", "release", "renew", "inspect", "repeat"])
def test_a_shared_lease_is_over_exactly_at_its_end(run: Clocked, act: str) -> None:
    mode = "shared"
    token = run.granted("a", mode, ttl_ms=1_000, request_id="r1")
    run.at(1_000)
    if act == "acquire":
        assert run.acquire("b").code == "ok"
    elif act == "release":
        assert run.release("a").code == "lock_not_held"
    elif act == "renew":
        assert run.renew("a", token).code == "lock_lost"
    elif act == "inspect":
        assert run.holders() == {}
    else:
        assert run.acquire("a", mode, ttl_ms=1_000, request_id="r1").code == "lock_released"


def test_a_reader_may_come_back_exactly_at_the_end_of_its_lease(run: Clocked) -> None:
    run.granted("a", "shared", ttl_ms=1_000)
    run.granted("b", "shared", ttl_ms=9_000)
    run.at(1_000)
    assert run.acquire("a", "shared").code == "ok"


@each_settle
def test_a_delivery_holds_in_its_last_millisecond_and_is_over_in_the_next(run: Clocked, settle: Settle) -> None:
    run.publish("a", "b")
    first, second = run.consume(2, visibility_ms=1_000)
    run.at(999)
    assert run.counts() == (0, 0, 2)
    assert settle(run, first.receipt) == "ok"
    run.at(1_001)
    assert settle(run, second.receipt) == "receipt_expired"


def test_no_message_is_delivered_while_its_delivery_holds(run: Clocked) -> None:
    """Whatever the fraction of a millisecond a delivery ends in, exactly one side has the message."""
    run.publish(*(f"m{number}" for number in range(100)))
    deliveries = run.consume(100, visibility_ms=1_000)
    run.at(1_000)
    again = {one.id for one in run.consume(100, visibility_ms=60_000)}
    for one in deliveries:
        expected = "receipt_superseded" if one.id in again else "ok"
        assert run.extend(one.receipt, 1) == expected


def test_a_delayed_message_is_due_at_its_time(run: Clocked) -> None:
    run.publish(*(Message(f"m{number}", delay_ms=1_000) for number in range(10)))
    run.at(999)
    assert run.consume(10) == []
    run.at(1_001)
    assert len(run.consume(10)) == 10


def test_a_renewed_lease_ends_counted_from_the_renewal(run: Clocked) -> None:
    token = run.granted("a", "shared", ttl_ms=1_000)
    run.at(600)
    run.renew("a", token, 1_000)
    run.at(1_599)
    assert run.holders() == {"a": token}
    run.at(1_600)
    assert run.holders() == {}


@pytest.mark.parametrize("mode", ["exclusive", "shared", "semaphore"])
def test_the_last_renewal_is_the_shortest_lease_before_the_longest_time_is_over(run: Clocked, mode: str) -> None:
    limit = 1 if mode == "semaphore" else 0
    token = run.granted("a", mode, ttl_ms=60_000, detail=detail(limit=limit, max_hold_ms=60_000))
    run.at(59_950)
    assert run.renew("a", token).fields[0] == 50
    run.at(59_951)
    before = run.snapshot()
    assert run.renew("a", token) == ("lock_hold_exceeded", [49])
    assert run.snapshot() == before


def in_quarantine(run: Clocked) -> None:
    run.install(GENERATION + 1, quarantine_ms=1_000)


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_a_quarantine_holds_in_its_last_millisecond(run: Clocked, mode: str) -> None:
    in_quarantine(run)
    run.at(999)
    assert run.check() == ("ok", [1])
    assert run.acquire("a", mode) == ("lock_quarantine", [1])
    assert run.renew("a", OLD_TOKEN) == ("lock_quarantine", [1])
    assert run.lift() == ("ok", [1])
    assert run.shorten(1) == ("ok", [1])
    assert run.reattach("a", OLD_TOKEN, mode).code == "ok"


@pytest.mark.parametrize("act", ["check", "exclusive", "shared", "renew", "lift", "shorten", "reattach", "install"])
def test_a_quarantine_is_over_exactly_at_its_end(run: Clocked, act: str) -> None:
    in_quarantine(run)
    run.at(1_000)
    if act == "check":
        assert run.check() == ("ok", [0])
    elif act in ("exclusive", "shared"):
        assert run.acquire("a", act).code == "ok"
    elif act == "renew":
        assert run.renew("a", OLD_TOKEN).code == "lock_lost"
    elif act == "lift":
        assert run.lift() == ("ok", [0])
    elif act == "shorten":
        assert run.shorten(0) == ("ok", [0])
    elif act == "reattach":
        assert run.reattach("a", OLD_TOKEN).code == "lock_lost"
    else:
        run.install(GENERATION + 2)
        assert run.check() == ("ok", [-1])


@pytest.mark.parametrize(("given_ms", "left_ms"), [(399, 399), (400, 400), (401, 400)])
def test_a_quarantine_is_shortened_to_the_millisecond_and_not_prolonged_by_one(
    run: Clocked, given_ms: int, left_ms: int
) -> None:
    in_quarantine(run)
    run.at(600)
    assert run.shorten(given_ms) == ("ok", [left_ms])
    assert run.check() == ("ok", [left_ms])


@pytest.mark.parametrize(("given_ms", "left_ms"), [(0, 400), (400, 400), (401, 401)])
def test_of_two_quarantines_the_longer_one_counts_to_the_millisecond(run: Clocked, given_ms: int, left_ms: int) -> None:
    in_quarantine(run)
    run.at(600)
    run.install(GENERATION + 2, quarantine_ms=given_ms)
    assert run.check() == ("ok", [left_ms])


@pytest.mark.parametrize("later", ["exclusive", "shared"])
def test_a_later_shared_hold_stands_in_its_last_millisecond_and_no_longer(run: Clocked, later: str) -> None:
    run.install(GENERATION + 1, quarantine_ms=9_000)
    run.reattach("a", OLD_TOKEN + 1, "shared", 1_000)
    run.at(999)
    assert run.reattach("a", OLD_TOKEN, later).code == "lock_lost"
    run.at(1_000)
    assert run.reattach("a", OLD_TOKEN, later).code == "ok"


def test_a_repeat_of_taking_a_hold_up_is_true_to_its_last_millisecond(run: Clocked) -> None:
    run.install(GENERATION + 1, quarantine_ms=9_000)
    run.reattach("a", OLD_TOKEN, "shared", 1_000, request_id="r1")
    run.at(999)
    assert run.reattach("a", OLD_TOKEN, "shared", 1_000, request_id="r1").code == "ok"
    run.at(1_000)
    assert run.reattach("a", OLD_TOKEN, "shared", 1_000, request_id="r1").code == "lock_lost"
