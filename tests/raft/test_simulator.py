"""The simulator's own claims, and a bounded number of its seeds. `make sim` runs thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.raft.bugs.commitment import MinorityCommits
from tests.raft.bugs.storage import AckBeforeFsync
from tests.raft.simulator.cli import main, members_of
from tests.raft.simulator.cluster import Cluster, Outcome, Spec, simulate
from tests.raft.simulator.disk import Disk, DiskDamaged
from tests.raft.simulator.liveness import omission_graph, settle
from tests.raft.simulator.scheduler import MS, Scheduler
from tests.raft.simulator.shrink import shrink

SEEDS = 240
BATCHES = 8


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_invariant_holds_under_every_seed(batch: int) -> None:
    for seed in range(batch, SEEDS, BATCHES):
        outcome = simulate(Spec(seed, members_of(seed)))
        assert outcome.violation is None, f"{outcome.violation}\nreplay: {outcome.spec.command()}"


def test_the_seeds_do_real_work() -> None:
    """A run that commits nothing would hold every invariant."""
    outcomes = [simulate(Spec(seed, 3)) for seed in range(20)]
    assert min(outcome.committed for outcome in outcomes) > 5
    assert sum(outcome.committed for outcome in outcomes) > 1000
    assert sum(outcome.reads for outcome in outcomes) > 200
    assert max(outcome.terms for outcome in outcomes) > 4


def test_one_seed_gives_one_trace_and_another_seed_another() -> None:
    first, again, other = (simulate(Spec(seed, 5)) for seed in (7, 7, 8))
    assert first.digest == again.digest
    assert first.steps == again.steps
    assert other.digest != first.digest


def test_a_trace_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = (
        "from tests.raft.simulator.cluster import Spec, simulate\n"
        "print([simulate(Spec(seed, 5)).digest for seed in (3, 4)])"
    )
    root = Path(__file__).parents[2]
    outputs = []
    for hash_seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0].strip() == str([simulate(Spec(seed, 5)).digest for seed in (3, 4)])


def test_a_crash_after_any_single_step_breaks_nothing() -> None:
    """From the first election through the first hundred commands, then in a heap of stragglers."""
    for step in range(1, 700, 5):
        outcome = simulate(Spec(1, 3, keep=(), chaos_us=1200 * MS, crash_step=step))
        assert outcome.violation is None, f"{outcome.violation}\nreplay: {outcome.spec.command()}"


@pytest.mark.parametrize("fault", ["heal", "deaf leader", "mute leader", "lost link", "full omission"])
def test_a_cluster_serves_and_stays_calm_under_a_permanent_fault(fault: str) -> None:
    for seed in range(6):
        cluster = Cluster(Spec(seed, 5, keep=()))
        cluster.ending = fault
        cluster.run()
        assert cluster.workload.acknowledged


@pytest.mark.parametrize("leader", [0, 1, 2, 3, 4])
def test_full_omission_is_survived_whoever_led_before(leader: int) -> None:
    """Howard and Abraham (2020): the leader before the fault may be the one left with a single link."""
    cluster = Cluster(Spec(40 + leader, 5, keep=(), chaos_us=3000 * MS))
    for member in cluster.members:
        member.start()
        cluster.scheduler.after(0, member.run_clock)
    cluster.scheduler.run_until(2000 * MS)
    old = cluster.workload.leader()
    assert old is not None
    assert old.core is not None
    target = cluster.members[leader]
    old.core.transfer_leadership(target.id)
    old.pump()
    cluster.scheduler.run_until(2500 * MS)
    assert cluster.workload.leader() is target
    settle(cluster, "full omission")


def test_the_omission_graph_is_the_published_one() -> None:
    blocked = omission_graph(["1", "2", "3", "4", "5"])
    linked = {("1", "2"), ("1", "3"), ("2", "3"), ("2", "4"), ("3", "5")}
    assert len(blocked) == 20 - 2 * len(linked)
    assert not any((a, b) in blocked or (b, a) in blocked for a, b in linked)


def test_a_failing_schedule_is_shrunk_to_fewer_faults_that_break_the_same_rule() -> None:
    def run(spec: Spec) -> Outcome:
        return simulate(spec, raft=AckBeforeFsync)

    failing = run(Spec(0, 3))
    assert failing.violation is not None
    small = shrink(failing, run)
    assert small.violation is not None
    assert small.violation.name == failing.violation.name
    assert small.spec.keep == (), "this bug needs no fault at all"
    assert run(small.spec).digest == small.digest, "the printed command replays the shrunk run"


def test_the_command_line_reports_success_and_replays_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3", "--members", "3"]) == 0
    assert "all invariants hold" in capsys.readouterr().out
    assert main(["--seed", "2", "--members", "3", "--keep", "none"]) == 0
    assert simulate(Spec(2, 3, keep=())).digest in capsys.readouterr().out


def test_the_command_line_names_the_command_that_replays_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(spec: Spec) -> Outcome:
        return simulate(spec, raft=MinorityCommits)

    monkeypatch.setattr("tests.raft.simulator.cli.simulate", broken)
    monkeypatch.setattr("tests.raft.simulator.cli.shrink", lambda failing: shrink(failing, broken))
    assert main(["--seeds", "50", "--members", "3"]) == 1
    output = capsys.readouterr().out
    assert "BROKEN durable quorum" in output
    assert "replay: python -m tests.raft.simulator --seed " in output


def test_a_damaged_acknowledged_entry_stops_the_start_and_an_unacknowledged_tail_does_not() -> None:
    cluster = Cluster(Spec(1, 3, keep=()))
    for member in cluster.members:
        member.start()
        cluster.scheduler.after(0, member.run_clock)
    cluster.workload.run()
    cluster.scheduler.run_until(3000 * MS)
    disk: Disk = cluster.members[0].disk
    assert isinstance(cluster.scheduler, Scheduler)
    cluster.members[0].crash("test")
    last = disk.last
    disk.synced_last = last - 1
    disk.damaged = last
    disk.load()
    assert disk.last == last - 1
    disk.damaged = disk.last
    with pytest.raises(DiskDamaged):
        disk.load()
