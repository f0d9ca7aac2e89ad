"""Storage that answers late, in part, twice or not at all: what may be said before it has answered."""

from __future__ import annotations

from random import Random

from service.raft.core import Raft
from service.raft.events import SteppedDown, Why
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Snapshot,
    VoteReply,
    VoteRequest,
)
from service.raft.ready import Ready, Role, WriteAck
from service.raft.state import Stored
from tests.raft.simulator.disk import Disk
from tests.raft.simulator.scheduler import Scheduler
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World, config, log_of

MEMBERS = ("n1", "n2", "n3")


def _core(raft: RaftClass, stored: Stored | None = None) -> Raft:
    return raft(config("n1", 3), Random(1), stored or Stored())


def _ack(ready: Ready) -> WriteAck:
    assert ready.write_ack is not None
    return ready.write_ack


def test_an_append_is_acknowledged_only_when_its_entries_are_durable(raft: RaftClass) -> None:
    core = _core(raft)
    core.step(AppendRequest("n2", "n1", 1, 0, 0, (Entry(1, 1, b"a"),), 0))
    ready = core.ready()
    assert ready.hard_state == HardState(1, None, 0)
    assert ready.entries == (Entry(1, 1, b"a"),)
    assert ready.messages == ()
    core.advance(_ack(ready))
    assert core.ready().messages == (AppendReply("n1", "n2", 1, 1),)


def test_a_repeated_append_is_not_acknowledged_before_the_first_ones_write(raft: RaftClass) -> None:
    core = _core(raft)
    request = AppendRequest("n2", "n1", 1, 0, 0, (Entry(1, 1, b"a"),), 0)
    core.step(request)
    first = core.ready()
    core.step(request)
    second = core.ready()
    assert second.write_ack is None
    assert second.messages == ()
    core.advance(_ack(first))
    assert core.ready().messages == (AppendReply("n1", "n2", 1, 1),), "said once, however often asked"


def test_a_vote_leaves_only_when_it_is_durable(raft: RaftClass) -> None:
    core = _core(raft)
    core.step(VoteRequest("n2", "n1", 1, 0, 0))
    ready = core.ready()
    assert ready.hard_state == HardState(1, "n2", 0)
    assert ready.messages == ()
    core.advance(_ack(ready))
    assert core.ready().messages == (VoteReply("n1", "n2", 1, granted=True),)


def test_a_candidate_asks_for_votes_only_when_its_own_is_durable(raft: RaftClass) -> None:
    core = _core(raft)
    core.start_election()
    ready = core.ready()
    assert ready.messages == ()
    core.advance(_ack(ready))
    assert {type(message) for message in core.ready().messages} == {VoteRequest}
    assert core.votes == {"n1": True}


def test_a_term_is_not_spoken_before_it_is_durable(raft: RaftClass) -> None:
    core = _core(raft)
    core.step(Heartbeat("n2", "n1", 4, 0, 1))
    ready = core.ready()
    assert ready.messages == ()
    core.advance(_ack(ready))
    assert core.ready().messages == (HeartbeatReply("n1", "n2", 4, 1),)


def test_a_leader_sends_entries_while_its_own_write_is_under_way(raft: RaftClass) -> None:
    """Thesis §10.2.1."""
    world = World(3, raft)
    world.elect("n1")
    world.hosts["n1"].disk_held = True
    world.propose(b"a", deliver=False)
    assert [m.to for m in world.queue if isinstance(m, AppendRequest) and m.entries] == ["n2", "n3"]


def test_a_leader_does_not_count_itself_before_its_own_write_is_durable(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.hosts["n1"].disk_held = True
    world.isolate("n3")
    place = world.propose(b"a")
    assert world.core("n1").peers["n2"].match == place.index
    assert world.core("n1").log.commit < place.index
    world.hosts["n1"].write_all()
    assert world.core("n1").log.commit == place.index


def test_two_followers_commit_without_the_leaders_disk(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.hosts["n1"].disk_held = True
    place = world.propose(b"a")
    assert world.core("n1").log.commit == place.index
    assert world.hosts["n1"].machine == [], "nothing is applied that a restart would not find in the log"
    world.hosts["n1"].write_all()
    world.work("n1")
    assert world.hosts["n1"].machine == [b"a"]


def test_a_late_storage_ack_of_an_old_term_does_not_make_a_returned_entry_durable(raft: RaftClass) -> None:
    """etcd's async-storage ABA: an entry is written, replaced in term 2, and comes back in term 3."""
    core = _core(raft)
    original, other = Entry(1, 1, b"a"), Entry(2, 1, b"b")
    core.step(AppendRequest("n2", "n1", 1, 0, 0, (original,), 0))
    first = core.ready()
    core.step(AppendRequest("n3", "n1", 2, 0, 0, (other,), 0))
    second = core.ready()
    assert second.entries == (other,)
    core.step(AppendRequest("n2", "n1", 3, 0, 0, (original,), 0))
    third = core.ready()
    assert third.entries == (original,)
    core.advance(_ack(first))
    assert core.log.durable == 0, "the disk may hold term 2's entry by now"
    assert core.ready().messages == ()
    core.advance(_ack(second))
    assert core.log.durable == 0
    core.advance(_ack(third))
    assert core.log.durable == 1
    assert core.ready().messages == (AppendReply("n1", "n2", 3, 1),)


def test_a_storage_ack_for_replaced_entries_of_the_same_index_counts_for_nothing(raft: RaftClass) -> None:
    core = _core(raft, Stored(HardState(1, None, 0), None, (Entry(1, 1),)))
    core.step(AppendRequest("n2", "n1", 2, 1, 1, (Entry(2, 2), Entry(2, 3)), 0))
    first = core.ready()
    core.step(AppendRequest("n3", "n1", 3, 1, 1, (Entry(3, 2),), 0))
    core.ready()
    core.advance(_ack(first))
    assert core.log.durable == 1


def test_a_repeated_ack_and_the_ack_of_an_earlier_life_are_ignored(raft: RaftClass) -> None:
    old = _core(raft)
    old.step(AppendRequest("n2", "n1", 1, 0, 0, (Entry(1, 1, b"a"),), 0))
    stale = _ack(old.ready())
    core = _core(raft)
    core.step(AppendRequest("n2", "n1", 1, 0, 0, (Entry(1, 1, b"a"),), 0))
    ready = core.ready()
    core.advance(stale)
    assert core.log.durable == 0
    assert core.ready().messages == ()
    core.advance(_ack(ready))
    assert len(core.ready().messages) == 1
    core.advance(_ack(ready))
    assert core.ready().messages == ()


def test_the_ack_of_a_later_write_covers_the_earlier_ones(raft: RaftClass) -> None:
    core = _core(raft)
    core.step(AppendRequest("n2", "n1", 1, 0, 0, (Entry(1, 1),), 0))
    core.ready()
    core.step(AppendRequest("n2", "n1", 1, 1, 1, (Entry(1, 2),), 0))
    second = core.ready()
    core.advance(_ack(second))
    assert [message.match for message in core.ready().messages if isinstance(message, AppendReply)] == [1, 2]


def test_an_ack_releases_only_what_its_own_write_made_true(raft: RaftClass) -> None:
    core = _core(raft)
    core.step(AppendRequest("n2", "n1", 1, 0, 0, (Entry(1, 1),), 0))
    first = core.ready()
    core.step(AppendRequest("n2", "n1", 1, 1, 1, (Entry(1, 2),), 0))
    core.ready()
    core.advance(_ack(first))
    assert core.ready().messages == (AppendReply("n1", "n2", 1, 1),)


def test_the_stored_commit_index_never_exceeds_the_stored_log(raft: RaftClass) -> None:
    core = _core(raft)
    core.step(AppendRequest("n2", "n1", 1, 0, 0, (Entry(1, 1), Entry(1, 2)), 2))
    ready = core.ready()
    assert core.log.commit == 2
    assert ready.hard_state == HardState(1, None, 0)


def test_a_snapshot_is_acknowledged_when_it_is_durable_and_stops_applying_until_then(
    raft: RaftClass,
) -> None:
    core = _core(raft)
    core.step(InstallSnapshot("n2", "n1", 3, Snapshot(9, 2, MEMBERS, b"x")))
    ready = core.ready()
    assert ready.snapshot is not None
    core.step(AppendRequest("n2", "n1", 3, 9, 2, (Entry(3, 10),), 10))
    more = core.ready()
    assert ready.messages == more.messages == ()
    assert more.committed == ()
    core.advance(_ack(ready))
    assert core.log.applied == 9
    core.advance(_ack(more))
    done = core.ready()
    assert [message.match for message in done.messages if isinstance(message, AppendReply)] == [9, 10]
    assert [entry.index for entry in done.committed] == [10]


def test_a_leader_whose_own_disk_is_silent_steps_down(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.hosts["n1"].disk_held = True
    world.propose(b"a")
    world.run(ELECTION + 2)
    assert world.core("n1").role is not Role.LEADER
    stepped = [event for event in world.hosts["n1"].events if isinstance(event, SteppedDown)]
    assert stepped[-1].why is Why.DISK_SILENT
    leader = world.elect_somebody()
    assert leader != "n1"
    world.run(3 * ELECTION)
    assert world.leaders() == [leader], "a member with a hung disk must not campaign"


def test_a_slow_disk_is_not_a_hung_one(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.hosts["n1"].disk_held = True
    for number in range(6):
        world.propose(b"%d" % number)
        world.run(ELECTION - HEARTBEAT)
        world.hosts["n1"].write_all()
        world.work("n1")
    assert world.leaders() == ["n1"]


def test_a_commit_alone_causes_no_write(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    writes = world.core("n2").write_number
    world.run(4 * HEARTBEAT)
    assert world.core("n2").log.commit == world.core("n1").log.commit
    assert world.core("n2").write_number == writes


def test_late_answers_to_earlier_writes_do_not_hide_a_hung_disk(raft: RaftClass) -> None:
    """Found by the simulator: the acks trickle in long after their writes, while the newest write hangs."""
    world = World(3, raft)
    world.elect("n1")
    host = world.hosts["n1"]
    host.disk_held = True
    for number in range(6):
        world.propose(b"%d" % number)
    acks = [host.finish_write(acknowledge=False) for _ in range(5)]
    for ack in acks:
        world.run(3)
        if world.core("n1").role is not Role.LEADER:
            break
        world.core("n1").advance(ack)
    assert world.core("n1").role is not Role.LEADER


def test_a_write_torn_after_its_first_record_leaves_a_disk_that_starts(disk: type[Disk]) -> None:
    """The term is written before the entries that need it; the other order would look like corruption."""
    core = Raft(config("n1", 3), Random(1))
    core.step(AppendRequest("n2", "n1", 3, 0, 0, (Entry(3, 1), Entry(3, 2)), 0))
    torn = disk(Scheduler(), Random(1))
    torn.put(torn.records_of(core.ready())[0])
    assert Raft(config("n1", 3), Random(1), torn.load()).term == 3


def test_a_snapshot_under_way_stores_no_commit_index_of_the_log_it_replaces(raft: RaftClass) -> None:
    """Found by the simulator: the write is torn after its first record; entries 2 and 3 are uncommitted."""
    core = _core(raft, Stored(HardState(1, None, 1), None, (Entry(1, 1), Entry(1, 2), Entry(1, 3))))
    core.step(InstallSnapshot("n2", "n1", 2, Snapshot(9, 2, MEMBERS, b"x")))
    assert core.ready().hard_state == HardState(2, None, 1)


def test_the_ack_of_a_new_terms_first_write_does_not_cover_what_its_leader_then_replaced(
    raft: RaftClass,
) -> None:
    """The ack is not stale: only the index and term it attests show that the log has changed."""
    core = _core(raft, Stored(HardState(1, None, 0), None, log_of(1, 1, 1, 1, 1)))
    core.step(Heartbeat("n2", "n1", 2, 0, 0))
    adopted = core.ready()
    core.step(AppendRequest("n2", "n1", 2, 2, 1, (Entry(2, 3),), 3))
    replaced = core.ready()
    assert replaced.entries == (Entry(2, 3),)
    core.advance(_ack(adopted))
    assert core.log.durable == 2
    assert [entry.index for entry in (*replaced.committed, *core.ready().committed)] == [1, 2]
    core.advance(_ack(replaced))
    assert [entry.index for entry in core.ready().committed] == [3]
