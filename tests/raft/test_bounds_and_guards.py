"""What is refused, what is bounded, and what stops a member because going on would be worse."""

from __future__ import annotations

from random import Random

import pytest

from service.raft.config import Config
from service.raft.errors import (
    BacklogFull,
    ConfigError,
    CorruptState,
    InvariantBroken,
    NotLeader,
    TooLarge,
)
from service.raft.log import ENTRY_OVERHEAD_BYTES, Log
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    HardState,
    Heartbeat,
    Snapshot,
)
from service.raft.ready import Role
from service.raft.state import Stored
from tests.raft.world import HEARTBEAT, RaftClass, World, config, log_of

MEMBERS = ("n1", "n2", "n3")


def test_unanswered_requests_never_exceed_the_window(raft: RaftClass) -> None:
    world = World(3, raft, max_inflight_messages=3, max_entry_bytes=64, max_message_bytes=64)
    world.elect("n1")
    world.run(HEARTBEAT)
    world.isolate("n3")
    world.log_of_messages.clear()
    for number in range(20):
        world.propose(b"%d" % number)
    to_silent = [m for m in world.of_type(AppendRequest) if m.to == "n3" and m.entries]
    assert len(to_silent) == 3


def test_no_request_carries_more_than_the_message_bound(raft: RaftClass) -> None:
    limit = 4 * (100 + ENTRY_OVERHEAD_BYTES)
    world = World(3, raft, max_entry_bytes=100, max_message_bytes=limit)
    world.elect("n1")
    world.isolate("n3")
    for _ in range(40):
        world.propose(b"x" * 100)
    world.heal()
    world.log_of_messages.clear()
    world.run(4 * HEARTBEAT)
    sizes = [len(message.entries) for message in world.of_type(AppendRequest) if message.to == "n3"]
    assert max(sizes) == 4
    assert world.core("n3").log.last == world.core("n1").log.last


def test_a_proposal_on_a_follower_names_the_leader(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    with pytest.raises(NotLeader) as refusal:
        world.core("n2").propose(b"a")
    assert refusal.value.leader == "n1"


def test_a_proposal_over_the_entry_limit_is_refused(raft: RaftClass) -> None:
    world = World(3, raft, max_entry_bytes=10, max_message_bytes=100)
    world.elect("n1")
    world.core("n1").propose(b"x" * 10)
    with pytest.raises(TooLarge):
        world.core("n1").propose(b"x" * 11)


def test_an_isolated_leaders_backlog_is_bounded_by_bytes(raft: RaftClass) -> None:
    world = World(3, raft, max_entry_bytes=100, max_uncommitted_bytes=1000)
    world.elect("n1")
    world.isolate("n1")
    for _ in range(1000 // (100 + ENTRY_OVERHEAD_BYTES)):
        world.core("n1").propose(b"x" * 100)
    with pytest.raises(BacklogFull):
        world.core("n1").propose(b"x" * 100)


def test_an_isolated_leaders_backlog_is_bounded_by_count(raft: RaftClass) -> None:
    world = World(3, raft, max_uncommitted_entries=5)
    world.elect("n1")
    world.isolate("n1")
    for _ in range(5):
        world.core("n1").propose(b"")
    with pytest.raises(BacklogFull):
        world.core("n1").propose(b"")


def test_committed_bytes_leave_the_backlog(raft: RaftClass) -> None:
    world = World(3, raft, max_entry_bytes=100, max_uncommitted_bytes=300)
    world.elect("n1")
    for number in range(50):
        world.propose(b"x" * 90 + b"%d" % number)
    assert len(world.hosts["n1"].machine) == 50


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        (Stored(HardState(1, None, 5), None, log_of(1)), "commit index 5"),
        (Stored(HardState(1, None, 0), None, log_of(1, 2)), "term must be written before"),
        (Stored(HardState(2, None, 0), None, (Entry(1, 1), Entry(1, 3))), "log has entry 3"),
        (Stored(HardState(2, None, 0), None, (Entry(2, 1), Entry(1, 2))), "log has entry 2"),
        (Stored(HardState(2, "n9", 0), None, ()), "not a member"),
        (Stored(HardState(2, None, 0), Snapshot(1, 1, ("n1", "n2", "n4")), ()), "snapshot is of members"),
    ],
)
def test_contradictory_stored_state_is_refused_by_name(stored: Stored, complaint: str, raft: RaftClass) -> None:
    with pytest.raises(CorruptState, match=complaint):
        raft(config("n1", 3), Random(1), stored)


def test_a_heartbeat_beyond_the_log_of_a_member_that_lost_entries_stops_it(raft: RaftClass) -> None:
    world = World(3, raft)
    with pytest.raises(InvariantBroken, match="acknowledged entries were lost"):
        world.give(Heartbeat("n2", "n1", 1, 7, 0))


def test_an_ack_of_what_was_never_sent_stops_the_leader(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    with pytest.raises(InvariantBroken):
        world.core("n1").step(AppendReply("n2", "n1", world.core("n1").term, 99))


def test_a_second_leader_in_a_term_stops_the_member(raft: RaftClass) -> None:
    world = World(3, raft)
    world.give(Heartbeat("n2", "n1", 1, 0, 0))
    with pytest.raises(InvariantBroken, match="both lead"):
        world.give(Heartbeat("n3", "n1", 1, 0, 0))


def test_a_committed_entry_is_never_cut_off() -> None:
    log = Log(None, log_of(1, 1), 2)
    with pytest.raises(InvariantBroken):
        log.truncate_from(2)


def test_a_snapshot_ahead_of_the_state_machine_is_refused() -> None:
    log = Log(None, log_of(1, 1), 0)
    with pytest.raises(InvariantBroken):
        log.compact(Snapshot(2, 1, MEMBERS), 0)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"members": ("n1", "n2")}, "1, 3 or 5"),
        ({"members": ("n1", "n1", "n2")}, "distinct"),
        ({"node": "n7"}, "one of members"),
        ({"heartbeat_ticks": 0}, "heartbeat_ticks"),
        ({"election_ticks": 11}, "election_ticks"),
        ({"max_entry_bytes": 0}, "max_entry_bytes"),
        ({"max_message_bytes": 1}, "max_message_bytes"),
        ({"max_inflight_messages": 0}, "max_inflight_messages"),
        ({"max_uncommitted_bytes": 1}, "max_uncommitted_bytes"),
        ({"max_uncommitted_entries": 0}, "max_uncommitted_entries"),
        ({"max_apply_bytes": 0}, "max_apply_bytes"),
        ({"max_pending_reads": 0}, "max_pending_reads"),
        ({"trailing_entries": -1}, "trailing_entries"),
        ({"snapshot_retry_ticks": 1}, "snapshot_retry_ticks"),
        ({"history_events": 0}, "history_events"),
    ],
)
def test_a_broken_configuration_names_the_rule(settings: dict[str, object], rule: str) -> None:
    valid: dict[str, object] = {"node": "n1", "members": MEMBERS}
    with pytest.raises(ConfigError, match=rule):
        Config(**{**valid, **settings}).validate()  # type: ignore[arg-type]


def test_no_member_is_made_of_a_broken_configuration(raft: RaftClass) -> None:
    with pytest.raises(ConfigError, match="1, 3 or 5"):
        raft(config("n1", 2), Random(1), Stored())


def test_the_default_configuration_is_valid() -> None:
    Config("n1", MEMBERS).validate()
    assert World(3).core("n1").role is Role.FOLLOWER


def test_reading_a_compacted_entry_is_refused() -> None:
    log = Log(Snapshot(5, 2, MEMBERS), (Entry(2, 6),), 5)
    assert [entry.index for entry in log.slice(6, 1)] == [6]
    assert log.slice(7, 1) == ()
    with pytest.raises(InvariantBroken, match="compacted"):
        log.slice(5, 1)


@pytest.mark.parametrize(
    ("index", "term", "agreed"),
    [
        (9, 9, (8, 4)),
        (8, 3, (7, 3)),
        (7, 2, (5, 2)),
        (6, 3, (6, 3)),
        (5, 9, (5, 2)),
        (3, 9, (3, 0)),
        (8, 1, (5, 2)),
    ],
)
def test_the_highest_index_that_can_agree_is_found_by_term(index: int, term: int, agreed: tuple[int, int]) -> None:
    """A base of 5/2, then entries 6/3, 7/3, 8/4. Below the base only the index is known."""
    log = Log(Snapshot(5, 2, MEMBERS), (Entry(3, 6), Entry(3, 7), Entry(4, 8)), 5)
    assert log.agree_by_term(index, term) == agreed


def test_a_log_is_never_restored_to_a_snapshot_behind_its_commit_index() -> None:
    log = Log(None, log_of(1, 1), 2)
    with pytest.raises(InvariantBroken, match="behind"):
        log.restore(Snapshot(2, 1, MEMBERS))


def test_durability_is_believed_only_of_entries_the_log_still_has_and_never_falls() -> None:
    log = Log(None, log_of(1, 1), 0)
    log.append((Entry(2, 3), Entry(2, 4)))
    reached = []
    for index, term in ((4, 1), (5, 2), (4, 2), (3, 2)):
        log.stable_to(index, term)
        reached.append(log.durable)
    assert reached == [2, 2, 4, 4]


def test_a_snapshot_of_the_wrong_term_is_refused_and_an_older_one_ignored() -> None:
    log = Log(None, log_of(1, 1, 1), 3)
    log.applying = log.applied = 3
    with pytest.raises(InvariantBroken, match="has term"):
        log.compact(Snapshot(2, 9, MEMBERS), 0)
    log.compact(Snapshot(3, 1, MEMBERS, b"newer"), 0)
    log.compact(Snapshot(2, 1, MEMBERS, b"older"), 0)
    assert log.snapshot == Snapshot(3, 1, MEMBERS, b"newer")
    assert (log.base, log.last, log.entries) == (3, 3, [])


def test_a_term_never_falls(raft: RaftClass) -> None:
    core = raft(config("n1", 3), Random(1), Stored(HardState(5, None)))
    with pytest.raises(InvariantBroken, match="would fall"):
        core.enter_term(4)
    assert core.term == 5
