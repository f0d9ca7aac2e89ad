"""fence.shorten: a quarantine ends earlier, never later, and those who wait hear of it."""

import pytest

from tests.lua.runner import COUNTER_BITS, QUARANTINE_MS, WAKE_CHANNEL, Runner, heard


def beginning(run: Runner) -> bytes:
    """What is published for all locks of the partition: a beginning of their keys."""
    return b"*" + run.key("fence").removesuffix(b"fence")


def test_a_quarantine_is_shortened_to_the_time_given(run: Runner) -> None:
    run.lose_everything(60_000)
    assert run.shorten(20_000) == ("ok", [20_000])
    assert 10_000 < run.quarantine_left_ms() <= 20_000
    assert run.acquire("a").code == "lock_quarantine"
    run.pass_time(20_000)
    assert run.acquire("a").code == "ok"


def test_a_quarantine_is_never_prolonged(run: Runner) -> None:
    run.lose_everything(60_000)
    before = run.snapshot()
    for longer_ms in (60_001, 61_000, 9_000_000):
        code, (left_ms,) = run.shorten(longer_ms)
        assert code == "ok"
        assert 30_000 < left_ms <= 60_000
    assert run.snapshot() == before


def test_a_quarantine_shortened_to_nothing_is_over(run: Runner) -> None:
    run.lose_everything()
    assert run.shorten(0) == ("ok", [0])
    assert run.acquire("a").code == "ok"


def test_a_quarantine_that_is_over_stays_over(run: Runner) -> None:
    run.lose_everything(1_000)
    run.pass_time(1_000)
    before = run.snapshot()
    assert run.shorten(500) == ("ok", [0])
    assert run.snapshot() == before


def test_without_a_quarantine_nothing_is_done(run: Runner) -> None:
    before = run.snapshot()
    assert run.shorten(0) == ("ok", [-1])
    assert run.snapshot() == before


def test_the_counter_that_stands_aside_is_kept(run: Runner) -> None:
    run.granted("a")
    run.release("a")
    run.install(run.generation + 1, quarantine_ms=QUARANTINE_MS)
    run.shorten(0)
    assert run.granted("a") == (run.generation << COUNTER_BITS) + 1


def test_those_who_wait_anywhere_in_the_partition_are_told(run: Runner) -> None:
    run.lose_everything()
    with heard(run, WAKE_CHANNEL) as messages:
        run.shorten(1_000)
    assert messages == [beginning(run)]
    assert run.key("lock", "res").startswith(messages[0][1:])


@pytest.mark.parametrize("quarantine_ms", [-1, QUARANTINE_MS], ids=["no quarantine", "none shortened"])
def test_nobody_is_told_of_nothing(run: Runner, quarantine_ms: int) -> None:
    if quarantine_ms > 0:
        run.lose_everything(quarantine_ms)
    with heard(run, WAKE_CHANNEL) as messages:
        run.shorten(QUARANTINE_MS + 1)
    assert messages == []
