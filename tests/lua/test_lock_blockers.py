"""lock.blockers: everybody who holds a lock and everybody who waits for it, and nobody else."""

from tests.lua.runner import SESSION_MS, Runner, detail, now_ms, waiter_of


def owners(seen: list[tuple[object, ...]], at: int) -> list[object]:
    return [one[at] for one in seen]


def test_a_writer_and_those_behind_it_are_shown_in_order(run: Runner) -> None:
    token = run.granted("a", ttl_ms=5_000)
    before = now_ms(run)
    for owner, mode in (("b", "shared"), ("c", "exclusive")):
        run.waiting(owner, mode)
    seen = run.blockers()
    ((owner, shown, left_ms, mode, _),) = seen.holders
    assert (owner, int(shown), mode) == (b"a", token, b"exclusive")
    assert 0 < left_ms <= 5_000
    assert [(one[0], one[2], one[3]) for one in seen.waiters] == [
        (waiter_of("b").encode(), b"b", b"shared"),
        (waiter_of("c").encode(), b"c", b"exclusive"),
    ]
    places = [int(one[1]) for one in seen.waiters]
    assert before * 1000 <= places[0] < places[1] <= (seen.now_ms + 1) * 1000, "a place is the time of joining"
    assert (seen.cursor, seen.after) == (b"", b"")


def test_readers_are_shown_each_with_its_token(run: Runner) -> None:
    tokens = {owner.encode(): run.granted(owner, "shared") for owner in ("r1", "r2", "r3")}
    run.waiting("w")
    assert {owner: int(token) for owner, token, *_ in run.blockers().holders} == tokens


def test_readers_that_ended_and_waiters_of_ended_sessions_are_not_shown(run: Runner) -> None:
    run.granted("ended", "shared", ttl_ms=1_000)
    run.granted("living", "shared", ttl_ms=60_000)
    run.waiting("w")
    run.waiting("dead", session="dead")
    run.pass_time(SESSION_MS - 1_000)
    run.attend()
    run.pass_time(1_000)
    seen = run.blockers()
    assert owners(seen.holders, 0) == [b"living"]
    assert owners(seen.waiters, 2) == [b"w"]


def test_a_semaphore_is_shown_with_its_limit_and_everybodys_permits(run: Runner) -> None:
    for owner, permits in (("a", 2), ("b", 1)):
        run.granted(owner, "semaphore", detail=detail(limit=3, permits=permits))
    run.waiting("c", "semaphore", detail=detail(limit=3, permits=3))
    run.waiting("w")
    run.pass_time(SESSION_MS - 1_000)
    seen = run.blockers()
    assert seen.limit == 3
    assert {(one[0], one[3], one[4]) for one in seen.holders} == {(b"a", b"semaphore", 2), (b"b", b"semaphore", 1)}
    assert [one[2:] for one in seen.waiters] == [(b"c", b"semaphore", 3), (b"w", b"exclusive", 1)]
    run.withdraw("c")
    assert run.blockers().limit == 3, "as long as it is held so"


def test_a_semaphore_that_is_only_waited_for_is_shown_with_its_limit(run: Runner) -> None:
    run.granted("a")
    run.waiting("c", "semaphore", detail=detail(limit=3, permits=2))
    assert run.blockers().limit == 3
    run.withdraw("c")
    assert run.blockers().limit == 0


def test_a_hold_with_more_to_it_is_shown_as_any_other(run: Runner) -> None:
    token = run.granted("a", detail=detail(reentrant=True, metadata='{"job":1}'))
    run.waiting("b")
    ((owner, shown, *_),) = run.blockers().holders
    assert (owner, int(shown)) == (b"a", token)


def test_a_free_lock_shows_nobody(run: Runner) -> None:
    assert run.blockers()[:2] == (b"", b"")
    assert run.blockers()[3:] == (0, [], [])


def test_a_long_line_is_read_in_pages_and_no_one_is_missed(run: Runner) -> None:
    run.granted("a")
    for number in range(2_001):
        run.waiting(f"w{number}")
    first = run.blockers()
    assert len(first.waiters) == 1_000
    second = run.blockers(cursor="", after=first.after.decode())
    third = run.blockers(cursor="", after=second.after.decode())
    shown = owners(first.waiters + second.waiters + third.waiters, 2)
    assert shown == [b"w%d" % number for number in range(2_001)]
    assert (third.after, second.holders) == (b"", [])


def test_many_readers_are_read_in_pages_and_no_one_is_missed(run: Runner) -> None:
    for number in range(2_500):
        run.granted(f"r{number}", "shared")
    run.waiting("w")
    found, cursor, pages = set(), "0", 0
    while cursor:
        seen = run.blockers(cursor=cursor, after="")
        assert len(seen.holders) < 2_000
        found |= {*owners(seen.holders, 0)}
        cursor, pages = seen.cursor.decode(), pages + 1
    assert found == {b"r%d" % number for number in range(2_500)}
    assert pages > 1
