"""The replicated state is a pure fold: the same commands give the same state everywhere, each request counts once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.decisions.replicated import commands
from service.decisions.replicated.commands import (
    CLUSTER_SETTINGS,
    ChangeSetting,
    Command,
    FoundCluster,
    Outcome,
    RegisterNode,
    ReplaceDisk,
    Request,
)
from service.decisions.replicated.machine import DecisionMachine, UnknownCommand
from service.error_registry import DiskNotRegistered, RaftDiskReplaced

URL = "http://127.0.0.1:8001"


def tell(machine: DecisionMachine, command: Command, request_id: str = "") -> Outcome:
    number = len(machine.state.outcomes)
    return machine.apply(number, commands.encode(Request(request_id or f"id-{number}", command)))


_few = st.sampled_from(["a", "b", "c"])
_commands = st.one_of(
    st.builds(FoundCluster, _few),
    st.builds(RegisterNode, _few, _few, _few),
    st.builds(ReplaceDisk, _few, _few),
    st.builds(ChangeSetting, st.sampled_from([*CLUSTER_SETTINGS, "unknown"]), st.integers(0, 30)),
)
_requests = st.lists(st.builds(Request, st.sampled_from([f"r{n}" for n in range(40)]), _commands), max_size=60)


@given(_requests, st.integers(0, 60))
def test_a_node_restored_from_a_snapshot_ends_where_the_others_do(requests: list[Request], taken_at: int) -> None:
    one, other = DecisionMachine(), DecisionMachine()
    outcomes = []
    for index, request in enumerate(requests):
        if index == taken_at:
            other.restore(one.save())
        outcome = one.apply(index, commands.encode(request))
        if index >= taken_at:
            assert other.apply(index, commands.encode(request)) == outcome
            assert other.save() == one.save()
        outcomes.append(outcome)


@given(_requests)
def test_a_repeated_request_changes_nothing_and_gets_its_first_outcome(requests: list[Request]) -> None:
    machine = DecisionMachine()
    for index, request in enumerate(requests):
        first = machine.apply(index, commands.encode(request))
        before = machine.save()
        if first.code != "request_id_reused":
            assert machine.apply(index, commands.encode(request)) == first
        assert machine.save() == before


def test_a_request_id_with_another_command_is_refused() -> None:
    machine = DecisionMachine()
    tell(machine, ChangeSetting("outcomes_kept", 100), "same")
    assert tell(machine, ChangeSetting("outcomes_kept", 200), "same").code == "request_id_reused"
    assert machine.setting("outcomes_kept") == 100


def test_outcomes_are_forgotten_oldest_first_beyond_their_bound() -> None:
    machine = DecisionMachine()
    tell(machine, ChangeSetting("outcomes_kept", 20), "bound")
    for number in range(50):
        tell(machine, ChangeSetting("snapshot_entries", 100 + number), f"n{number}")
    assert list(machine.state.outcomes) == [f"n{number}" for number in range(30, 50)]


def test_the_first_foundation_counts() -> None:
    machine = DecisionMachine()
    assert tell(machine, FoundCluster("first")).fields == {"cluster_id": "first"}
    assert tell(machine, FoundCluster("second")).fields == {"cluster_id": "first"}


def test_a_known_node_keeps_its_disk_until_that_is_declared_lost() -> None:
    machine = DecisionMachine()
    assert tell(machine, RegisterNode(URL, "n1", "old")).code == "ok"
    with pytest.raises(RaftDiskReplaced):
        tell(machine, RegisterNode(URL, "n1", "new")).result()
    with pytest.raises(DiskNotRegistered):
        tell(machine, ReplaceDisk(URL, "new")).result()
    assert tell(machine, ReplaceDisk(URL, "old")).code == "ok"
    assert machine.state.lost_disks == ["old"]
    assert tell(machine, RegisterNode(URL, "n1", "new")).code == "ok"
    assert machine.state.nodes[URL].disk == "new"


def test_a_node_may_change_its_name_but_not_its_disk() -> None:
    machine = DecisionMachine()
    tell(machine, RegisterNode(URL, "n1", "disk"))
    assert tell(machine, RegisterNode(URL, "renamed", "disk")).code == "ok"
    assert machine.state.nodes[URL].name == "renamed"


@pytest.mark.parametrize(("name", "value"), [("snapshot_entries", 15), ("outcomes_kept", 100_001), ("unknown", 50)])
def test_a_setting_out_of_its_range_is_refused(name: str, value: int) -> None:
    machine = DecisionMachine()
    before = dict(machine.state.settings)
    assert tell(machine, ChangeSetting(name, value)).code == "field_invalid"
    assert machine.state.settings == before


def test_a_command_of_a_newer_version_is_not_skipped() -> None:
    with pytest.raises(UnknownCommand, match=r"entry 7 .*upgrade this node"):
        DecisionMachine().apply(7, b"\x92\xa1r\x91\xaaunheard_of")
