"""cache.fill and the leases it grants: one filler at a time, and none that comes too late."""

from tests.lua.runner import Runner


def state(run: Runner, fill_ms: int = 5_000, stale_ms: int = 0, early: int = 0) -> tuple[bytes, bytes]:
    """What a caller is told: the state, and the value that will do."""
    _, told, _, entry, _ = run.fill("a", fill_ms, stale_ms, early=early).fields
    return told, entry.partition(b" ")[2]


def test_of_a_missing_value_the_first_caller_fills_and_the_others_are_told_for_how_long(run: Runner) -> None:
    token = run.granted_fill("a", fill_ms=5_000)
    _, told, left_ms, entry, none = run.fill("a", nonce="b2").fields
    assert (told, entry, none) == (b"filling", b"", b"")
    assert 0 < left_ms <= 5_000
    assert run.store("a", b"made", fill_token=token).code == "ok"
    assert state(run) == (b"fresh", b"made")


def test_a_lease_ends_by_itself_and_its_filler_is_refused(run: Runner) -> None:
    token = run.granted_fill("a", fill_ms=1_000)
    run.pass_time(1_001)
    assert run.store("a", fill_token=token) == ("fill_superseded", [])
    later = run.granted_fill("a", nonce="b2")
    before = run.snapshot()
    assert run.store("a", fill_token=token, request_id="r1") == ("fill_superseded", [])
    assert run.snapshot() == before
    assert run.store("a", fill_token=later).code == "ok"


def test_a_write_or_removal_ends_a_lease(run: Runner) -> None:
    for end in (run.put, run.invalidate):
        run.invalidate("a")
        token = run.granted_fill("a")
        end("a")
        assert run.store("a", b"old", fill_token=token) == ("fill_superseded", [])
    assert run.get("a") is None


def test_a_lease_is_no_value(run: Runner) -> None:
    run.granted_fill("a")
    assert run.get("a") is None
    assert run.read("a").fields[1:] == [b"", -1]
    assert run.invalidate("a").fields == [0]
    run.granted_fill("a")
    assert run.put("a", if_version=0).code == "ok"


def test_a_value_that_ended_is_given_to_those_who_accept_it(run: Runner) -> None:
    version = run.store("a", b"v", 1_000, stale_ms=5_000).fields[0]
    assert run.get("a") == (version, b"v")
    run.pass_time(1_000)
    # Marks hold a time of Redis, which the test cannot move.
    entry = run.redis.get(run.key("entry", "a"))
    head, _, value = entry.partition(b" ")
    _, _, marks = head.partition(b"~")
    ended = b"%d~%d.%s %s" % (version, int(marks.partition(b".")[0]) - 1_001, marks.partition(b".")[2], value)
    run.redis.set(run.key("entry", "a"), ended, keepttl=True)
    assert run.get("a") is None
    assert run.read("a").fields[1:] == [b"", -1]
    assert state(run, fill_ms=0) == (b"none", b"")
    assert state(run, fill_ms=0, stale_ms=60_000) == (b"none", b"v")
    assert state(run, stale_ms=60_000) == (b"granted", b"v")
    assert state(run, stale_ms=60_000) == (b"filling", b"v")
    assert run.compare(a=version).fields[1] == 1, "it is the latest all the same"


def test_a_fresh_value_is_made_anew_early_by_one_caller(run: Runner) -> None:
    run.put("a", b"v", ttl_ms=60_000)
    assert state(run, early=0) == (b"fresh", b"v")
    assert state(run, early=1) == (b"granted", b"v")
    assert state(run, early=1) == (b"fresh", b"v"), "somebody is at it"
    assert 50_000 < run.redis.pttl(run.key("entry", "a")) <= 60_000
    version = run.read("a").fields[1].partition(b"~")[0]
    assert run.read("a", known=[version.decode()]).fields[1] == b"="


def test_a_lost_counter_is_a_loss_of_data(run: Runner) -> None:
    run.redis.delete(run.key("versions"))
    assert run.fill("a") == ("fence_missing", [])
