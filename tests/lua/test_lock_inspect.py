"""lock.inspect: who is shown, and that looking changes nothing."""

import pytest

from tests.lua.runner import Runner


def test_a_free_lock_has_no_mode_and_no_holders(run: Runner) -> None:
    assert run.call("lock.inspect", "res") == ("ok", [b"", 0, 0])


def test_a_writer_is_shown_with_token_and_time_left(run: Runner) -> None:
    token = run.granted("a", ttl_ms=20_000)
    mode, count, owner, shown, left_ms, _ = run.call("lock.inspect", "res").fields
    assert (mode, count, owner, int(shown)) == (b"exclusive", 1, b"a", token)
    assert 15_000 < left_ms <= 20_000


def test_readers_are_shown_the_last_to_end_first(run: Runner) -> None:
    for number in (2, 3, 1):
        run.granted(f"o{number}", "shared", ttl_ms=number * 10_000)
    fields = run.call("lock.inspect", "res").fields
    assert fields[:2] == [b"shared", 3]
    assert fields[2:-1:3] == [b"o3", b"o2", b"o1"]


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_holders_whose_lease_ended_are_not_shown(run: Runner, mode: str, linger: bool) -> None:
    run.granted("a", mode, ttl_ms=1_000)
    run.pass_time(1_001, linger=linger)
    assert run.call("lock.inspect", "res") == ("ok", [b"", 0, 0])


def test_a_hundred_readers_are_shown_and_all_are_counted(run: Runner) -> None:
    for number in range(103):
        run.granted(f"o{number}", "shared")
    fields = run.call("lock.inspect", "res").fields
    assert (fields[1], len(fields[2:])) == (103, 301)


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_inspecting_changes_nothing(run: Runner, mode: str) -> None:
    run.granted("a", mode, ttl_ms=1_000)
    run.pass_time(1_001, linger=True)
    before = run.snapshot()
    run.call("lock.inspect", "res")
    assert run.snapshot() == before
