"""Replication: probing, the window, back-tracking, duplicates, bounds, slow followers."""

from __future__ import annotations

from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    HardState,
    Heartbeat,
    InstallSnapshot,
    Snapshot,
)
from service.raft.progress import Mode, Progress
from service.raft.state import Stored
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World, log_of

MEMBERS = ("n1", "n2", "n3")


def _follower(raft: RaftClass, world: World, node: str, term: int, log: tuple[Entry, ...]) -> None:
    world.hosts[node].stored = Stored(HardState(term, None, 0), None, log)
    world.restart(node)


def test_a_delayed_duplicate_append_does_not_cut_off_what_came_after_it(raft: RaftClass) -> None:
    """§5.3: only a conflict removes entries."""
    world = World(3, raft)
    entries = log_of(1, 1, 1)
    world.give(AppendRequest("n2", "n1", 1, 0, 0, entries, 0))
    world.give(AppendRequest("n2", "n1", 1, 0, 0, entries[:1], 0))
    assert world.core("n1").log.last == 3
    assert [message.match for message in world.of_type(AppendReply)] == [3, 1]


def test_a_conflicting_suffix_is_replaced(raft: RaftClass) -> None:
    world = World(3, raft)
    _follower(raft, world, "n1", 2, log_of(1, 2, 2))
    world.give(AppendRequest("n2", "n1", 3, 1, 1, (Entry(3, 2, b"new"),), 0))
    assert [entry.term for entry in world.hosts["n1"].stored.entries] == [1, 3]


def test_an_append_whose_previous_entry_has_another_term_is_refused_with_a_hint(raft: RaftClass) -> None:
    world = World(3, raft)
    _follower(raft, world, "n1", 3, log_of(1, 1, 3, 3, 3))
    world.give(AppendRequest("n2", "n1", 4, 5, 2, (), 0))
    reply = world.of_type(AppendReply)[-1]
    assert reply.rejected
    assert (reply.hint_index, reply.hint_term) == (2, 1)


def test_a_follower_commits_no_further_than_the_request_proves(raft: RaftClass) -> None:
    """§5.3: its own tail may be another leader's, whatever the leader has committed."""
    world = World(3, raft)
    _follower(raft, world, "n1", 2, log_of(1, 2, 2))
    world.give(AppendRequest("n2", "n1", 3, 1, 1, (), 3))
    assert world.core("n1").log.commit == 1


def test_a_heartbeat_names_no_commit_beyond_what_the_follower_is_known_to_hold(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n3")
    world.propose(b"a")
    world.run(HEARTBEAT)
    world.log_of_messages.clear()
    world.run(HEARTBEAT)
    match = {to: peer.match for to, peer in world.core("n1").peers.items()}
    beats = world.of_type(Heartbeat)
    assert {message.to for message in beats} == {"n2", "n3"}
    assert all(message.commit <= match[message.to] for message in beats)


def test_an_ack_of_an_old_term_does_not_count(raft: RaftClass) -> None:
    """The acknowledged entry may be gone: n3 took it in term 1 and lost it to another leader since."""
    world = World(3, raft)
    world.elect("n1")
    old_term = world.core("n1").term
    world.restart("n1")
    world.elect("n1")
    assert world.core("n1").term > old_term
    world.isolate("n1")
    last = world.propose(b"a", "n1").index
    world.core("n1").step(AppendReply("n3", "n1", old_term, last))
    assert world.core("n1").log.commit < last


def test_a_commit_index_never_falls_on_an_old_message(raft: RaftClass) -> None:
    world = World(3, raft)
    world.give(AppendRequest("n2", "n1", 1, 0, 0, log_of(1, 1, 1), 3))
    world.give(AppendRequest("n2", "n1", 1, 0, 0, log_of(1), 1))
    world.give(Heartbeat("n2", "n1", 1, 2, 0))
    assert world.core("n1").log.commit == 3


def test_a_probing_leader_sends_one_request_until_answered_then_streams(raft: RaftClass) -> None:
    """etcd's probe-and-replicate."""
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n3")
    world.run(2 * ELECTION)
    core = world.core("n1")
    core.report_unreachable("n3")
    assert core.peer_states()["n3"].mode == "probe"
    world.log_of_messages.clear()
    for number in range(5):
        world.propose(b"%d" % number)
    assert [m for m in world.of_type(AppendRequest) if m.to == "n3"] == []
    world.heal()
    world.run(HEARTBEAT + 1)
    assert core.peer_states()["n3"].mode == "replicate"
    assert core.peers["n3"].match == core.log.last


def test_a_lost_append_is_found_by_the_next_heartbeat(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    world.lose = lambda message: isinstance(message, AppendRequest) and message.to == "n3"
    world.propose(b"a")
    world.lose = lambda _message: False
    world.run(2 * HEARTBEAT + 1)
    world.agree(b"a")


def test_a_window_full_of_lost_requests_moves_again(raft: RaftClass) -> None:
    world = World(3, raft, max_inflight_messages=2, max_entry_bytes=64, max_message_bytes=64)
    world.elect("n1")
    world.lose = lambda message: isinstance(message, AppendRequest)
    for number in range(6):
        world.propose(b"%d" % number)
    world.lose = lambda _message: False
    world.run(6 * HEARTBEAT)
    world.agree(*(b"%d" % number for number in range(6)))


def test_a_stale_refusal_does_not_move_a_follower_back() -> None:
    peer = Progress(next=10, match=0)
    assert peer.refused(9, 5)
    assert peer.next == 5
    assert not peer.refused(9, 3), "the probe at 9 was already answered"
    peer.acknowledged(7)
    assert (peer.match, peer.next, peer.mode) == (7, 8, Mode.REPLICATE)
    assert not peer.refused(6, 2), "what is acknowledged cannot be refused"
    assert (peer.match, peer.next) == (7, 8)


def test_an_old_refusal_leaves_match_and_next_in_order(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    for number in range(5):
        world.propose(b"%d" % number)
    core = world.core("n1")
    match = core.peers["n2"].match
    core.step(AppendReply("n2", "n1", core.term, 0, True, 3, 2, 1))
    peer = core.peers["n2"]
    assert peer.match == match
    assert peer.next > peer.match


def test_a_slow_follower_gets_a_snapshot_once_its_entries_are_compacted(raft: RaftClass) -> None:
    """etcd's slow-follower-after-compaction: entries while they last, then one snapshot, then entries."""
    world = World(3, raft, trailing_entries=2)
    world.elect("n1")
    world.isolate("n3")
    for number in range(10):
        world.propose(b"%d" % number)
    world.hosts["n1"].compact()
    world.heal()
    world.run(2 * HEARTBEAT + 1)
    assert len([m for m in world.of_type(InstallSnapshot) if m.to == "n3"]) == 1
    world.propose(b"after")
    world.agree(*(b"%d" % number for number in range(10)), b"after")
    assert world.core("n1").peers["n3"].mode is Mode.REPLICATE


def test_a_follower_within_the_trailing_entries_gets_no_snapshot(raft: RaftClass) -> None:
    world = World(3, raft, trailing_entries=20)
    world.elect("n1")
    world.isolate("n3")
    for number in range(10):
        world.propose(b"%d" % number)
    world.hosts["n1"].compact()
    world.heal()
    world.run(2 * HEARTBEAT + 1)
    assert world.of_type(InstallSnapshot) == []
    world.agree(*(b"%d" % number for number in range(10)))


def test_a_lost_snapshot_is_sent_again(raft: RaftClass) -> None:
    world = World(3, raft, trailing_entries=0, snapshot_retry_ticks=ELECTION)
    world.elect("n1")
    world.isolate("n3")
    world.propose(b"a")
    world.hosts["n1"].compact()
    world.heal()
    world.lose = lambda message: isinstance(message, InstallSnapshot)
    world.run(ELECTION)
    assert world.of_type(InstallSnapshot)
    world.lose = lambda _message: False
    world.run(2 * ELECTION)
    world.agree(b"a")


def test_a_reported_snapshot_failure_is_retried_at_the_next_heartbeat(raft: RaftClass) -> None:
    world = World(3, raft, trailing_entries=0, snapshot_retry_ticks=100)
    world.elect("n1")
    world.isolate("n3")
    world.propose(b"a")
    world.hosts["n1"].compact()
    world.heal()
    world.lose = lambda message: isinstance(message, InstallSnapshot)
    world.run(ELECTION)
    world.lose = lambda _message: False
    world.core("n1").report_snapshot("n3", delivered=False)
    world.run(2 * HEARTBEAT + 1)
    world.agree(b"a")


def test_a_delayed_snapshot_does_not_take_a_member_back(raft: RaftClass) -> None:
    """§7. Its own compaction has removed the entry that would prove the snapshot old."""
    world = World(3, raft, trailing_entries=0)
    world.elect("n1")
    for command in (b"a", b"b", b"c"):
        world.propose(command)
    world.run(HEARTBEAT)
    old = Snapshot(2, world.core("n1").term, MEMBERS, b"a")
    world.hosts["n2"].compact()
    commit = world.core("n2").log.commit
    world.give(InstallSnapshot("n1", "n2", world.core("n1").term, old))
    assert world.core("n2").log.commit == commit
    assert world.hosts["n2"].machine == [b"a", b"b", b"c"]


def test_a_snapshot_that_the_log_already_covers_only_commits(raft: RaftClass) -> None:
    world = World(3, raft)
    world.give(AppendRequest("n2", "n1", 1, 0, 0, log_of(1, 1, 1, 1), 0))
    world.give(InstallSnapshot("n2", "n1", 1, Snapshot(2, 1, MEMBERS, b"1\n2")))
    assert world.core("n1").log.commit == 2
    assert world.core("n1").log.last == 4
    assert world.hosts["n1"].stored.snapshot is None


def test_back_tracking_meets_in_every_shape_of_figure_7(raft: RaftClass) -> None:
    """§5.3, figure 7: followers (a) to (f) against its leader, each brought to the leader's log."""
    leader = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    shapes = {
        "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
        "b": (1, 1, 1, 4),
        "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        "e": (1, 1, 1, 4, 4, 4, 4),
        "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    }
    for name, shape in shapes.items():
        world = World(3, raft)
        _follower(raft, world, "n1", 7, log_of(*leader))
        _follower(raft, world, "n2", 7, log_of(*leader))
        _follower(raft, world, "n3", 7, log_of(*shape))
        world.isolate("n3")
        world.elect("n1")
        world.heal()
        world.run(3 * HEARTBEAT)
        logs = [[entry.term for entry in world.hosts[node].stored.entries] for node in ("n1", "n3")]
        assert logs[0] == logs[1], f"shape {name}"


def test_an_old_ack_does_not_lower_what_a_follower_is_known_to_hold() -> None:
    peer = Progress(next=1)
    assert peer.acknowledged(5)
    assert not peer.acknowledged(3)
    assert not peer.acknowledged(5)
    assert (peer.match, peer.next) == (5, 6)


def test_a_follower_that_awaits_a_snapshot_is_not_probed_because_of_an_old_refusal() -> None:
    peer = Progress(next=4)
    peer.await_snapshot(9)
    assert not peer.refused(3, 2)
    assert peer.mode is Mode.SNAPSHOT
    assert not peer.may_send(8)
    assert peer.acknowledged(9)
    assert (peer.match, peer.next, peer.mode) == (9, 10, Mode.REPLICATE)
