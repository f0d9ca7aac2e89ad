"""How long the leader reckons with leases it cannot see: exactly for nodes that said so, at the worst for others."""

from service.decisions.leader.desk import Desk
from service.decisions.node.reports import Report
from service.decisions.replicated.commands import CLUSTER_SETTINGS, Blessed
from service.decisions.replicated.state import LEASE_COVER_MS_DEFAULT, Cover, Generation, Node, State

ONE, TWO = "http://one", "http://two"
DELEGATION_MS = CLUSTER_SETTINGS["delegation_ms"].default
WORST_MS = DELEGATION_MS + LEASE_COVER_MS_DEFAULT


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def state_of(generation: int = 2, hold_ms: int = 0) -> State:
    return State(
        nodes={ONE: Node("one", "d1"), TWO: Node("two", "d2")},
        generations=[Generation(generation, "why", 0, (Blessed("r", "i"),), hold_ms)],
    )


def report(node: str, generation: int = 2, old_leases_ms: int = 0, shipped: str = "set") -> Report:
    return Report(node, generation, old_leases_ms, False, shipped, {}, {})


def test_nodes_that_have_said_count_with_what_they_said() -> None:
    clock, state = Clock(), state_of()
    desk = Desk(clock)
    desk.hear(report(ONE, old_leases_ms=3_000), state)
    desk.hear(report(TWO, old_leases_ms=0), state)
    assert desk.old_leases_left_ms(state) == 3_000
    clock.now += 2
    assert desk.old_leases_left_ms(state) == 1_000
    clock.now += 2
    assert desk.old_leases_left_ms(state) == 0


def test_a_node_never_heard_counts_with_delegation_and_cover_from_when_the_office_was_taken() -> None:
    clock, state = Clock(), state_of()
    desk = Desk(clock)
    desk.hear(report(ONE), state)
    assert desk.old_leases_left_ms(state) == WORST_MS
    clock.now += 5
    assert desk.old_leases_left_ms(state) == WORST_MS - 5_000


def test_a_node_that_fell_silent_counts_from_when_it_was_heard_last() -> None:
    clock, state = Clock(), state_of(generation=1)
    desk = Desk(clock)
    for node in (ONE, TWO):
        desk.hear(report(node, generation=1), state)
    clock.now += 60
    desk.hear(report(TWO, generation=1), state)
    later = state_of(generation=2)
    desk.hear(report(ONE), later)
    assert desk.old_leases_left_ms(later) == WORST_MS


def test_reports_under_an_older_generation_extend_nothing() -> None:
    """Or a node that cannot catch up would hold locks back for as long as it tries."""
    clock, state = Clock(), state_of(generation=1)
    desk = Desk(clock)
    desk.hear(report(ONE, generation=1), state)
    later = state_of(generation=2)
    desk.hear(report(TWO), later)
    clock.now += 30
    desk.hear(report(ONE, generation=1), later)
    assert desk.old_leases_left_ms(later) == WORST_MS - 30_000


def test_a_longer_announced_lease_is_reckoned_with() -> None:
    state = state_of()
    state.covers[TWO] = Cover(600_000, 7)
    desk = Desk(Clock())
    desk.hear(report(ONE), state)
    assert desk.old_leases_left_ms(state) == DELEGATION_MS + 600_000


def test_a_silent_node_may_go_by_a_delegation_that_was_shortened_since() -> None:
    state = state_of()
    state.settings["delegation_ms"] = 1_000
    state.delegation_longest_ms = DELEGATION_MS
    assert Desk(Clock()).old_leases_left_ms(state) == WORST_MS


def test_a_new_office_forgets_what_an_earlier_one_heard() -> None:
    clock, state = Clock(), state_of()
    desk = Desk(clock)
    for node in (ONE, TWO):
        desk.hear(report(node), state)
    assert desk.old_leases_left_ms(state) == 0
    clock.now += 100
    desk.take_over()
    assert desk.old_leases_left_ms(state) == WORST_MS


def test_leases_of_a_cluster_whose_data_was_taken_over_hold_back_for_their_time() -> None:
    clock, state = Clock(), state_of(hold_ms=20_000)
    desk = Desk(clock)
    for node in (ONE, TWO):
        desk.hear(report(node), state)
    assert desk.old_leases_left_ms(state) == 20_000
    clock.now += 15
    assert desk.old_leases_left_ms(state) == 5_000


def test_nodes_heard_lately_are_live() -> None:
    clock, state = Clock(), state_of()
    desk = Desk(clock)
    desk.hear(report(ONE), state)
    clock.now += CLUSTER_SETTINGS["owner_silent_ms"].default / 1000
    desk.hear(report(TWO), state)
    assert desk.live(state) == (ONE, TWO)
    clock.now += 0.001
    assert desk.live(state) == (TWO,)


def test_a_stranger_is_not_live() -> None:
    desk, state = Desk(Clock()), state_of()
    desk.hear(report("http://stranger"), state)
    assert desk.live(state) == ()


def test_a_live_node_that_is_connected_to_redis_is_found() -> None:
    clock, state = Clock(), state_of()
    desk = Desk(clock)
    desk.hear(report(ONE), state)
    assert desk.reaches_redis(state, blessed=False) is None
    desk.hear(connected(TWO, "other"), state)
    assert desk.reaches_redis(state, blessed=False) == TWO
    assert desk.reaches_redis(state, blessed=True) is None
    desk.hear(connected(TWO, "r"), state)
    assert desk.reaches_redis(state, blessed=True) == TWO
    clock.now += 60
    assert desk.reaches_redis(state, blessed=True) is None


def connected(node: str, *run_ids: str) -> Report:
    return Report(node, 2, 0, False, "set", {}, {}, run_ids)


def test_a_new_redis_is_taken_up_once_more_nodes_reach_it_than_the_old_one() -> None:
    state = state_of()
    state.nodes["http://three"] = Node("three", "d3")
    desk = Desk(Clock())
    desk.hear(connected(ONE, "new"), state)
    assert desk.outvotes("new", ["new"], state) == (), "nobody speaks for the old one"
    desk.hear(connected(TWO, "r"), state)
    assert desk.outvotes("new", ["new"], state) == (TWO,), "one against one"
    desk.hear(connected("http://three", "r"), state)
    assert desk.outvotes("new", ["new"], state) == (TWO, "http://three")
    desk.hear(connected("http://three", "new"), state)
    assert desk.outvotes("new", ["new"], state) == ()


def test_a_primary_of_several_that_the_leader_reaches_itself_speaks_for_nothing() -> None:
    state = state_of()
    desk = Desk(Clock())
    desk.hear(connected(ONE, "r", "new"), state)
    desk.hear(connected(TWO, "r"), state)
    assert desk.outvotes("new", ["r", "new"], state) == ()


def test_nothing_is_concluded_before_every_node_had_the_time_to_report() -> None:
    clock, state = Clock(), state_of()
    desk = Desk(clock)
    desk.hear(report(ONE), state)
    assert not desk.is_settled(state)
    desk.hear(report(TWO), state)
    assert desk.is_settled(state)
    desk.take_over()
    assert not desk.is_settled(state)
    clock.now += CLUSTER_SETTINGS["owner_silent_ms"].default / 1000 + 0.001
    assert desk.is_settled(state)


def test_only_a_report_that_differs_is_news() -> None:
    desk, state = Desk(Clock()), state_of()
    assert desk.hear(report(ONE), state)
    assert not desk.hear(report(ONE, old_leases_ms=5), state)
    assert desk.hear(report(ONE, shipped="other"), state)
