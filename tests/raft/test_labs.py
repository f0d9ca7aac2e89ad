"""The behaviours that MIT 6.5840's Raft labs test, each as one claim.

Every scenario takes the core's class: the fixture gives the real one, `mutants` gives broken ones.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from service.raft.errors import NotLeader
from service.raft.messages import AppendRequest, Entry, HardState, Message
from service.raft.ready import Role
from service.raft.state import Stored
from tests.raft.world import ELECTION, HEARTBEAT, RaftClass, World


def test_initial_election_gives_one_leader_and_a_stable_term(raft: RaftClass) -> None:
    world = World(3, raft)
    leader = world.elect_somebody()
    term = world.core(leader).term
    world.run(10 * ELECTION)
    assert world.leaders() == [leader]
    assert [world.core(node).term for node in world.hosts] == [term] * 3


def test_re_election_happens_after_a_leader_is_lost_and_not_without_a_majority(
    raft: RaftClass,
) -> None:
    world = World(3, raft)
    first = world.elect_somebody()
    world.isolate(first)
    second = world.elect_somebody()
    assert second != first
    world.heal()
    world.run(3 * ELECTION)
    assert world.leaders() == [second], "the old leader came back and disturbed the new one"
    others = [node for node in world.hosts if node != second]
    world.isolate(second)
    world.isolate(others[0])
    world.run(6 * ELECTION)
    assert world.leaders() == []
    world.heal()
    world.elect_somebody()


def test_many_elections_each_leave_one_leader_per_term(raft: RaftClass) -> None:
    world = World(5, raft)
    random = Random(5)
    world.elect_somebody()
    for _ in range(15):
        down = random.sample(sorted(world.hosts), 2)
        world.isolate(*down)
        leader = world.elect_somebody()
        assert leader not in down
        world.heal()
    world.run(2 * ELECTION)
    assert len({world.core(node).term for node in world.hosts}) == 1


def test_basic_agreement_applies_each_command_everywhere_in_order(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    for number in range(3):
        world.propose(b"%d" % number)
    world.agree(b"0", b"1", b"2")


def test_each_command_is_sent_to_each_follower_once(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    before = world.entry_bytes_sent
    for _ in range(10):
        world.propose(b"x" * 5000)
    assert world.entry_bytes_sent - before == 2 * 10 * 5000


def test_progressive_failure_of_followers_stops_commitment_at_a_minority(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    world.isolate("n3")
    world.propose(b"b")
    assert world.hosts["n1"].machine == [b"a", b"b"]
    world.isolate("n2")
    world.propose(b"c")
    world.run(ELECTION // 2)
    assert world.hosts["n1"].machine == [b"a", b"b"]


def test_failure_of_leaders_loses_nothing_and_the_last_one_commits_nothing(raft: RaftClass) -> None:
    world = World(3, raft)
    first = world.elect_somebody()
    world.propose(b"a")
    world.isolate(first)
    second = world.elect_somebody()
    world.propose(b"b", second)
    world.isolate(second)
    world.propose(b"c", second)
    world.run(6 * ELECTION)
    assert all(b"c" not in machine for machine in world.machines())
    assert world.leaders() == []


def test_a_follower_that_was_cut_off_agrees_after_it_returns(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    world.isolate("n3")
    for command in (b"b", b"c", b"d"):
        world.propose(command)
    world.run(3 * ELECTION)
    world.heal()
    world.run(ELECTION)
    world.agree(b"a", b"b", b"c", b"d")
    assert world.leaders() == ["n1"]


def test_no_agreement_without_a_majority_and_the_entry_may_be_replaced_later(raft: RaftClass) -> None:
    world = World(5, raft)
    world.elect("n1")
    world.propose(b"a")
    world.isolate("n3")
    world.isolate("n4")
    world.isolate("n5")
    lost = world.propose(b"lost", "n1")
    world.run(4 * ELECTION)
    assert all(b"lost" not in machine for machine in world.machines())
    world.isolate("n1", "n2")
    world.cut_links = {(a, b) for a, b in world.cut_links if {a, b} & {"n1", "n2"}}
    leader = world.elect_somebody()
    kept = world.propose(b"kept", leader)
    assert kept.term > lost.term
    world.heal()
    world.run(3 * ELECTION)
    world.agree(b"a", b"kept")


def test_concurrent_proposals_all_commit_at_distinct_indexes(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n1")
    places = [core.propose(b"%d" % number) for number in range(50)]
    world.deliver()
    assert len({place.index for place in places}) == 50
    world.agree(*(b"%d" % number for number in range(50)))


def test_a_rejoining_leader_drops_what_it_alone_had(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    world.isolate("n1")
    for command in (b"x", b"y", b"z"):
        world.propose(command, "n1")
    world.elect("n2")
    world.propose(b"b", "n2")
    world.isolate("n2")
    world.heal()
    world.isolate("n2")
    second = world.elect_somebody()
    world.propose(b"c", second)
    world.heal()
    world.run(3 * ELECTION)
    world.agree(b"a", b"b", b"c")


def test_back_track_over_long_wrong_logs_costs_a_round_per_term_not_per_entry(raft: RaftClass) -> None:
    """Figure 7's followers, long: refusals must skip whole terms (§5.3)."""
    world = World(5, raft)
    world.elect("n1")
    world.isolate("n1", "n2")
    for number in range(50):
        world.propose(b"wrong %d" % number, "n1")
    world.elect("n3")
    for number in range(50):
        world.propose(b"right %d" % number, "n3")
    # A leader starts probing at the end of its own log, so the long way back begins with a new leader.
    world.core("n3").transfer_leadership("n4")
    world.deliver()
    assert "n4" in world.leaders()
    world.heal()
    before = len(world.of_type(AppendRequest))
    world.run(ELECTION)
    world.agree(*(b"right %d" % number for number in range(50)))
    refused = [reply for reply in world.log_of_messages if getattr(reply, "rejected", False)]
    assert len(refused) <= 6, f"{len(refused)} refusals for two wrong followers"
    assert len(world.of_type(AppendRequest)) - before < 40


def test_idle_and_busy_message_counts_are_bounded(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect_somebody()
    assert sum(world.sent.values()) <= 40, f"an election took {dict(world.sent)}"
    world.run(ELECTION)
    world.sent.clear()
    world.run(20)
    assert sum(world.sent.values()) <= 40, f"20 idle ticks took {dict(world.sent)}"
    world.sent.clear()
    core = world.core(world.leader())
    for number in range(10):
        core.propose(b"%d" % number)
    world.deliver()
    assert sum(world.sent.values()) <= 12, f"10 batched commands took {dict(world.sent)}"


def test_a_restarted_cluster_still_has_what_it_acknowledged(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect_somebody()
    world.propose(b"a")
    world.restart("n1", "n2", "n3")
    world.elect_somebody()
    world.propose(b"b")
    leader = world.leader()
    world.restart(leader)
    world.elect_somebody()
    world.propose(b"c")
    world.run(ELECTION)
    world.agree(b"a", b"b", b"c")


def test_restarts_of_changing_majorities_lose_nothing(raft: RaftClass) -> None:
    world = World(5, raft)
    expected = []
    nodes = list(world.hosts)
    world.elect_somebody()
    for number in range(5):
        world.propose(b"%da" % number)
        down = [nodes[(number + 1) % 5], nodes[(number + 2) % 5]]
        world.crash(*down)
        world.elect_somebody()
        world.propose(b"%db" % number)
        expected += [b"%da" % number, b"%db" % number]
        world.crash(*(node for node in nodes if node not in down))
        for node in nodes:
            world.restart(node)
        world.elect_somebody()
    world.run(ELECTION)
    world.agree(*expected)


def test_a_partitioned_leader_that_restarts_takes_the_others_log(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    world.propose(b"a")
    world.isolate("n3")
    world.propose(b"b")
    world.crash("n1", "n2")
    world.heal()
    world.restart("n2")
    world.elect("n2")
    world.propose(b"c")
    world.restart("n1")
    world.run(3 * ELECTION)
    world.agree(b"a", b"b", b"c")


def _without_entries_of_newer_terms_than_three(message: Message) -> Message:
    """What a leader that batches less would have sent first."""
    if not isinstance(message, AppendRequest):
        return message
    return replace(message, entries=tuple(entry for entry in message.entries if entry.term <= 3))


def test_figure_8_an_old_term_entry_on_a_majority_is_not_committed_by_count(raft: RaftClass) -> None:
    """§5.4.2, figure 8: from the logs of (b), through (c), to (d)."""
    world = World(5, raft)
    first, two, three = Entry(1, 1, b"1"), Entry(2, 2, b"2"), Entry(3, 2, b"3")
    for node, term, log in (
        ("n1", 2, (first, two)),
        ("n2", 2, (first, two)),
        ("n3", 3, (first,)),
        ("n4", 3, (first,)),
        ("n5", 3, (first, three)),
    ):
        world.hosts[node].stored = Stored(HardState(term, None, 0), None, log)
        world.restart(node)
    world.crash("n5")
    world.alter = _without_entries_of_newer_terms_than_three
    world.elect("n1")
    world.run(2 * HEARTBEAT)
    core = world.core("n1")
    assert core.peers["n2"].match == core.peers["n3"].match == 2, "(c): entry 2 is on a majority"
    assert core.log.commit < 2, "an entry of an older term was committed by counting"
    world.crash("n1")
    world.restart("n5")
    world.alter = lambda message: message
    world.elect("n5")
    world.run(ELECTION)
    assert all(world.hosts[node].machine == [b"1", b"3"] for node in ("n2", "n3", "n4", "n5")), "(d)"


def lossy(world: World, seed: int, loss: float) -> None:
    """Lose each message with probability `loss`, the same ones for the same seed."""
    random = Random(seed)
    world.lose = lambda _message: random.random() < loss


def test_figure_8_unreliable_many_leaders_with_uncommitted_tails_converge(raft: RaftClass) -> None:
    world = World(5, raft)
    random = Random(8)
    lossy(world, 8, 0.2)
    accepted = 0
    for number in range(300):
        leaders = world.leaders()
        for node in leaders:
            try:
                world.propose(b"%d" % number, node, deliver=False)
                accepted += 1
            except NotLeader as refusal:
                raise AssertionError(node) from refusal
        world.run(random.randrange(1, 4))
        if leaders and random.random() < 0.3:
            world.isolate(leaders[0])
        if random.random() < 0.2:
            world.heal()
    assert accepted > 50
    world.heal()
    world.lose = lambda _message: False
    world.elect_somebody()
    world.propose(b"end")
    world.run(2 * ELECTION)
    machines = world.machines()
    assert machines.count(machines[0]) == 5
    assert machines[0][-1] == b"end"


def test_agreement_over_an_unreliable_network(raft: RaftClass) -> None:
    world = World(5, raft)
    lossy(world, 3, 0.1)
    world.elect_somebody()
    sent = 0
    for number in range(60):
        if world.leaders():
            world.propose(b"%d" % number)
            sent += 1
        world.run(1)
    world.lose = lambda _message: False
    world.elect_somebody()
    world.run(2 * ELECTION)
    machines = world.machines()
    assert machines.count(machines[0]) == 5
    assert len(machines[0]) >= sent * 0.8


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_churn_of_crashes_and_restarts_loses_no_acknowledged_command(loss: float, raft: RaftClass) -> None:
    world = World(5, raft)
    random = Random(13)
    acknowledged: list[bytes] = []
    for number in range(120):
        lossy(world, number, loss)
        down = [node for node, host in world.hosts.items() if host.core is None]
        if down and random.random() < 0.4:
            world.restart(random.choice(down))
        elif len(down) < 2 and random.random() < 0.4:
            world.crash(random.choice([node for node in world.hosts if node not in down]))
        world.run(random.randrange(1, 6))
        if world.leaders():
            leader = world.leader()
            command = b"%d" % number
            world.propose(command, leader)
            if command in world.hosts[leader].machine:
                acknowledged.append(command)
    world.lose = lambda _message: False
    world.restart(*(node for node, host in world.hosts.items() if host.core is None))
    world.elect_somebody()
    world.run(2 * ELECTION)
    machines = world.machines()
    assert machines.count(machines[0]) == 5
    assert len(acknowledged) > 20
    assert [command for command in machines[0] if command in set(acknowledged)] == acknowledged


def test_a_single_member_leads_and_commits_alone(raft: RaftClass) -> None:
    world = World(1, raft)
    world.elect_somebody()
    world.propose(b"a")
    world.core("n1").read_index(b"r")
    world.deliver()
    assert [read.context for read in world.hosts["n1"].reads] == [b"r"]
    world.agree(b"a")
    assert world.core("n1").role is Role.LEADER


def test_a_member_ignores_what_is_not_for_it_or_not_from_a_member(raft: RaftClass) -> None:
    world = World(3, raft)
    world.elect("n1")
    core = world.core("n2")
    strangers: list[Message] = [
        AppendRequest("n9", "n2", core.term + 5, 0, 0, (), 0),
        AppendRequest("n1", "n3", core.term + 5, 0, 0, (), 0),
    ]
    before = (core.term, core.leader)
    for message in strangers:
        core.step(message)
    assert (core.term, core.leader) == before
