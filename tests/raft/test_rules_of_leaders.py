"""Backlog and replication: rules so small that larger scenarios mostly work without them."""

from __future__ import annotations

import pytest

from service.raft.errors import BacklogFull, InvariantBroken
from service.raft.log import ENTRY_OVERHEAD_BYTES, entry_bytes
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    VoteReply,
)
from service.raft.progress import Mode
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World


def test_an_empty_backlog_takes_any_legal_entry_and_another_may_fill_it_exactly(raft: RaftClass) -> None:
    world = World(3, raft, max_entry_bytes=100, max_uncommitted_bytes=100)
    world.elect("n1")
    world.propose(b"x" * 100)
    world.isolate("n1")
    core = world.core("n1")
    core.propose(b"x" * (50 - ENTRY_OVERHEAD_BYTES))
    core.propose(b"x" * (50 - ENTRY_OVERHEAD_BYTES))
    with pytest.raises(BacklogFull):
        core.propose(b"")


def test_a_new_leader_counts_what_it_inherits_and_commits_give_back_exactly_that(raft: RaftClass) -> None:
    world = World(3, raft, max_entry_bytes=100, max_uncommitted_bytes=200)
    world.elect("n1")
    world.isolate("n1")
    while True:
        try:
            world.propose(b"x" * 20, "n1")
        except BacklogFull:
            break
    world.restart("n1")
    world.heal()
    world.core("n1").start_election()
    world.work("n1")
    core = world.core("n1")
    for voter in ("n2", "n3"):
        core.step(VoteReply(voter, "n1", core.term, granted=True))
    tail = sum(map(entry_bytes, core.log.entries[core.log.commit - core.log.base :]))
    assert core.uncommitted_bytes == tail > 100
    world.work("n1")
    core.step(AppendReply("n2", "n1", core.term, core.log.last))
    assert core.log.commit == core.log.last
    assert core.uncommitted_bytes == 0


def test_a_commit_gives_back_only_what_it_commits(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.isolate("n1")
    first = world.propose(b"a", "n1")
    world.propose(b"bb", "n1")
    core = world.core("n1")
    core.step(AppendReply("n2", "n1", core.term, first.index))
    assert core.log.commit == first.index
    assert core.uncommitted_bytes == 2 + ENTRY_OVERHEAD_BYTES


def test_one_ready_fills_a_followers_whole_window(raft: RaftClass) -> None:
    world = World(3, raft, max_inflight_messages=3, max_entry_bytes=64, max_message_bytes=64)
    world.elect("n1")
    core = world.core("n1")
    for number in range(5):
        core.propose(b"%d" % number)
    sent = [message for message in core.ready().messages if isinstance(message, AppendRequest) and message.to == "n2"]
    assert [len(message.entries) for message in sent] == [1, 1, 1]


def test_a_leader_that_compacted_entries_and_has_no_snapshot_stops(raft: RaftClass) -> None:
    world = World(3, raft, trailing_entries=0)
    world.elect("n1")
    world.isolate("n3")
    world.propose(b"a")
    world.hosts["n1"].compact()
    world.core("n1").log.snapshot = None
    world.core("n1").report_unreachable("n3")
    world.heal()
    with pytest.raises(InvariantBroken, match="there is no snapshot"):
        world.run(4 * HEARTBEAT)


def test_nothing_goes_out_optimistically_to_a_member_that_cannot_be_reached(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(HEARTBEAT)
    core = world.core("n1")
    core.propose(b"a")
    world.work("n1")
    world.queue.clear()
    core.report_unreachable("n2")
    peer = core.peers["n2"]
    assert (peer.mode, peer.next, peer.probing, list(peer.inflight)) == (Mode.PROBE, peer.match + 1, True, [])
    core.propose(b"b")
    assert [m.to for m in core.ready().messages if isinstance(m, AppendRequest)] == ["n3"]
    core.report_unreachable("a stranger")
    peer.await_snapshot(9)
    core.report_unreachable("n2")
    assert peer.mode is Mode.SNAPSHOT


def test_a_snapshot_that_was_not_delivered_is_followed_by_one_probe_after_a_heartbeat(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    peer = core.peers["n2"]
    core.report_snapshot("n2", delivered=False)
    assert core.peer_states()["n2"].mode == "replicate", "no snapshot was under way"
    peer.await_snapshot(9)
    core.report_snapshot("n2", delivered=True)
    assert core.peer_states()["n2"].mode == "snapshot", "until it is acknowledged"
    core.report_snapshot("n2", delivered=False)
    assert (peer.mode, peer.next, peer.probing) == (Mode.PROBE, peer.match + 1, True)
    core.report_snapshot("a stranger", delivered=False)


def test_an_idle_cluster_exchanges_heartbeats_only(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.run(2 * HEARTBEAT)
    world.sent.clear()
    world.run(4 * HEARTBEAT)
    assert world.sent == {"Heartbeat": 8, "HeartbeatReply": 8}


def test_a_snapshot_is_given_up_after_its_time_and_not_before(raft: RaftClass) -> None:
    world = World(3, raft, snapshot_retry_ticks=ELECTION)
    world.elect("n1")
    core = world.core("n1")
    core.peers["n2"].await_snapshot(9)
    for _ in range(ELECTION - 1):
        core.tick()
    assert core.peer_states()["n2"].mode == "snapshot"
    core.tick()
    assert core.peer_states()["n2"].mode == "probe"


def test_a_lost_probe_of_a_follower_that_lacks_nothing_is_sent_again(raft: RaftClass) -> None:
    """Otherwise it stays in doubt until the next proposal, which then has to wait for a probe."""
    world = World(3, raft)
    world.elect("n1")
    world.run(2 * HEARTBEAT)
    core = world.core("n1")
    world.lose = lambda message: isinstance(message, AppendRequest)
    core.report_unreachable("n2")
    world.run(2 * HEARTBEAT)
    assert core.peer_states()["n2"].mode == "probe"
    world.lose = lambda _message: False
    world.run(2 * HEARTBEAT)
    assert core.peer_states()["n2"].mode == "replicate"
