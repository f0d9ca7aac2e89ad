"""What is recorded of locks, who is told, and reading on in it: lib/event and lock.events."""

import pytest

from tests.lua.runner import Event, Runner, heard

MODES = ("exclusive", "shared")


def told(run: Runner, after: str = "") -> list[tuple[str, str, int]]:
    """Event, owner and token of all that is recorded after the beginning."""
    return [(one.event, one.owner, one.token) for one in run.events(after) if one.event != "recording"]


def last_id(run: Runner) -> str:
    return run.events()[-1].id


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_recorded_that_nobody_asked_for(run: Runner, mode: str) -> None:
    token = run.granted("a", mode)
    run.renew("a", token, 1_000)
    run.release("a")
    assert "lock_events" not in run.kinds()


@pytest.mark.parametrize("request_id", ["", "r1"])
@pytest.mark.parametrize("mode", MODES)
def test_a_grant_and_its_release_are_recorded(run: Runner, mode: str, request_id: str) -> None:
    run.record()
    token = run.granted("a", mode, ttl_ms=5_000, request_id=request_id and "g1")
    run.release("a", request_id=request_id and "g2")
    _, granted, released = run.events()
    assert granted[1:] == ("granted", "res", "a", token, mode, {"ttl_ms": "5000"})
    assert released[1:] == ("released", "res", "a", token, mode, {})


def test_a_token_of_sixteen_digits_is_recorded_digit_by_digit(run: Runner) -> None:
    run.install(131_071)
    run.record()
    for mode in MODES:
        token = run.granted("a", mode)
        run.release("a")
        assert {one.token for one in run.events()[-2:]} == {token}
        assert token > 10**15


@pytest.mark.parametrize("mode", MODES)
def test_refusals_and_repeats_are_not_recorded(run: Runner, mode: str) -> None:
    run.record()
    token = run.granted("a", mode, request_id="r1")
    before = run.events()
    run.acquire("a", mode, request_id="r1")
    run.acquire("b")
    run.release("b")
    run.release("a", token + 1)
    run.renew("b", token)
    assert run.events() == before


@pytest.mark.parametrize("mode", MODES)
def test_a_renewal_is_recorded_when_it_changes_the_length(run: Runner, mode: str) -> None:
    run.record()
    token = run.granted("a", mode, ttl_ms=5_000)
    run.renew("a", token)
    run.renew("a", token, 5_000)
    assert len(run.events()) == 2
    run.renew("a", token, 4_000)
    assert run.events()[-1][1:] == ("renewed", "res", "a", token, mode, {"ttl_ms": "4000"})


@pytest.mark.parametrize("mode", MODES)
def test_a_hand_over_is_a_grant_once_it_is_confirmed(run: Runner, mode: str) -> None:
    run.record()
    first = run.granted("a")
    run.waiting("b", mode)
    run.release("a")
    assert told(run) == [("granted", "a", first), ("released", "a", first)]
    token = run.holders()["b"]
    run.confirm("b", token, 7_000)
    run.confirm("b", token, 7_000)
    assert told(run)[2:] == [("granted", "b", token)]
    assert run.events()[-1].more == {"ttl_ms": "7000"}


def test_what_is_taken_up_again_and_what_cannot_be_is_recorded(run: Runner) -> None:
    low, high = run.granted("a"), run.granted("b", resource="other")
    run.lose_everything()
    run.record()
    assert run.reattach("b", high).code == "ok"
    assert run.reattach("a", low).code == "lock_lost"
    assert run.reattach("b", high, resource="other").code == "ok"
    assert told(run) == [("reattached", "b", high), ("lost", "a", low), ("reattached", "b", high)]


def test_who_listens_hears_of_every_entry(run: Runner) -> None:
    channel = run.key("lock_events").decode()
    with heard(run, channel) as before:
        run.granted("a")
        run.release("a")
    run.record()
    with heard(run, channel) as messages:
        run.granted("a")
        run.release("a")
        run.release("a")
    assert (before, messages) == ([], [b"granted", b"released"])


def test_the_oldest_entries_give_way_to_new_ones(run: Runner) -> None:
    run.record()
    first = run.events()[0].id
    for _ in range(700):
        run.granted("a")
        run.release("a")
    assert 1_024 <= run.redis.xlen(run.key("lock_events")) < 1_024 + 100
    assert run.call("lock.events", "", after=first, most=10).fields == [1]
    assert run.redis.pttl(run.key("lock_events")) > 0


def test_reading_goes_on_where_it_stopped_and_takes_256_entries_at_the_most(run: Runner) -> None:
    run.record()
    for _ in range(150):
        run.granted("a")
        run.release("a")
    seen: list[Event] = []
    while page := run.events(seen[-1].id if seen else "", 1_000):
        assert len(page) <= 256
        seen += page
    assert len(seen) == 301
    assert [one.id for one in seen] == sorted({one.id for one in seen}, key=lambda one: tuple(map(int, one.split("-"))))


def test_reading_after_an_entry_that_is_gone_is_a_gap(run: Runner) -> None:
    assert run.call("lock.events", "", after="5-0", most=10).fields == [1]
    run.record()
    assert run.call("lock.events", "", after="5-0", most=10).fields == [1]
    assert run.call("lock.events", "", after=last_id(run), most=10).fields == [0]
