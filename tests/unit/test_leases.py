"""What a node remembers of its grants: never less than others must wait for, never more than a holder may claim."""

from pathlib import Path

import pytest

from service.clock import steady_s
from service.decisions.node import lease_memory, leases
from service.decisions.node.leases import Leases

LOCK, OWNER = b"lock:r", b"alice"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(leases, "steady_s", lambda: now[0])
    return now


def grant(made: Leases, sent_at: float, ttl_ms: int = 1_000, *, owner: bytes = OWNER, **more: bool) -> None:
    made.granted(LOCK, owner, 7, "exclusive", ttl_ms, sent_at=sent_at, is_repeat=more.get("is_repeat", False))


def test_a_holder_may_claim_its_lease_from_the_question_and_others_wait_from_the_answer(clock: list[float]) -> None:
    made = Leases()
    grant(made, sent_at=99.75)
    found = made.running(LOCK, OWNER, 7)
    assert found is not None
    assert (found.left_ms, found.mode, found.ttl_ms) == (750, "exclusive", 1_000)
    assert made.end_at() == 101.0
    clock[0] = 100.76
    assert made.running(LOCK, OWNER, 7) is None
    assert made.left_ms() == pytest.approx(241, abs=1)


def test_only_owner_and_token_together_are_proof(clock: list[float]) -> None:
    made = Leases()
    grant(made, sent_at=100.0)
    assert made.running(LOCK, OWNER, 8) is None
    assert made.running(LOCK, b"bob", 7) is None
    assert made.running(b"lock:other", OWNER, 7) is None


def test_a_released_lease_is_neither_proof_nor_waited_for(clock: list[float]) -> None:
    made = Leases()
    grant(made, sent_at=100.0)
    made.released(LOCK, OWNER)
    assert made.running(LOCK, OWNER, 7) is None
    assert made.left_ms() == 0


def test_a_repeat_is_waited_for_but_no_proof(clock: list[float]) -> None:
    """It says the length of a lease that began nobody knows when."""
    made = Leases()
    grant(made, sent_at=100.0, is_repeat=True)
    assert made.running(LOCK, OWNER, 7) is None
    assert made.left_ms() == 1_001


def test_a_shorter_renewal_shortens_the_proof_and_not_what_is_waited_for(clock: list[float]) -> None:
    """A copy of Redis from before it shows the hold until its first end, and after a quarantine that is believed."""
    made = Leases()
    grant(made, sent_at=100.0, ttl_ms=60_000)
    grant(made, sent_at=100.0, ttl_ms=500)
    found = made.running(LOCK, OWNER, 7)
    assert found is not None
    assert (found.left_ms, found.ttl_ms) == (500, 500)
    assert made.left_ms() == 60_001


def test_a_later_grant_to_the_same_owner_is_waited_for_instead_of_the_hold_it_gave_up(clock: list[float]) -> None:
    made = Leases()
    made.granted(LOCK, OWNER, 6, "exclusive", 60_000, sent_at=100.0, is_repeat=False)
    grant(made, sent_at=100.0, ttl_ms=500)
    assert made.left_ms() == 501


def test_a_lease_shortened_through_another_node_is_waited_for_but_no_proof(clock: list[float]) -> None:
    made = Leases()
    grant(made, sent_at=99.75, ttl_ms=60_000)
    made.vouch_no_more(LOCK, OWNER, 7)
    assert made.running(LOCK, OWNER, 7) is None
    assert made.left_ms() == 60_001
    grant(made, sent_at=100.0, ttl_ms=500)
    assert made.running(LOCK, OWNER, 7) is not None, "renewed here again, and by what it was told now"
    assert made.left_ms() == 60_001


def test_only_the_lease_that_was_shortened_is_vouched_for_no_more(clock: list[float]) -> None:
    made = Leases()
    made.vouch_no_more(LOCK, OWNER, 7)
    assert made.left_ms() == 0, "of a lease that it never granted, a node knows nothing to wait for"
    for owner in (OWNER, b"bob"):
        grant(made, sent_at=100.0, owner=owner)
    made.granted(b"lock:other", OWNER, 7, "shared", 1_000, sent_at=100.0, is_repeat=False)
    made.vouch_no_more(LOCK, OWNER, 7)
    assert made.running(LOCK, b"bob", 7) is not None
    assert made.running(b"lock:other", OWNER, 7) is not None


def test_ended_leases_do_not_pile_up(clock: list[float]) -> None:
    made = Leases()
    for number in range(1_000):
        grant(made, sent_at=clock[0], owner=b"%d" % number, ttl_ms=10)
        clock[0] += 0.02
    assert len(made) <= 2


def test_what_does_not_fit_in_memory_is_waited_for_all_the_same(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASES_REMEMBERED_MAX", 10)
    made = Leases()
    grant(made, sent_at=100.0, owner=b"long", ttl_ms=50_000)
    for number in range(20):
        grant(made, sent_at=100.0, owner=b"%d" % number)
    assert len(made) == 10
    assert made.running(LOCK, b"long", 7) is None
    assert made.left_ms() == 50_001


def test_a_note_is_read_once_and_only_on_the_same_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "leases.json"
    assert lease_memory.take(note) is None
    end_at = steady_s() + 30
    lease_memory.leave(note, end_at)
    found = lease_memory.take(note)
    assert found == pytest.approx(end_at, abs=0.05)
    assert lease_memory.take(note) is None, "a crash in this life must not find the note of the one before"
    lease_memory.leave(note, end_at)
    monkeypatch.setattr(lease_memory, "_boot", lambda: "another")
    assert lease_memory.take(note) is None


def test_a_note_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    note = tmp_path / "leases.json"
    for text in ("", "{}", '{"boot": 1}', "[]"):
        note.write_text(text)
        assert lease_memory.take(note) is None


def test_a_late_word_on_an_earlier_grant_leaves_the_later_one_its_proof(clock: list[float]) -> None:
    made = Leases()
    grant(made, sent_at=100.0)
    made.vouch_no_more(LOCK, OWNER, 6)
    assert made.running(LOCK, OWNER, 7) is not None
