"""The score of the tests: known Raft bugs put back into the core from outside, and what catches each.

`python -m tests.raft.mutants` runs the table and prints it. A bug that nothing catches is a finding about the
tests. Evidence is the simulator or a scenario test; a scenario takes the core's class as its
parameter, so it can be run against a broken one and must then fail.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import pytest

from service.raft.core import Raft
from service.raft.errors import RaftError
from tests.raft.bugs import commitment, elections, flow, log, reads, storage
from tests.raft.simulator.cluster import Spec, simulate
from tests.raft.simulator.disk import Disk

Bug = type[Raft] | type[Disk]

SIMULATOR = "simulator"
"""Evidence: one of the first seeds, whichever; which one changes with every change of the core."""

SEEDS = 40
"""How many seeds, each with 3 and 5 members, a bug may survive before it counts as unseen."""

TABLE: dict[Bug, tuple[str, ...]] = {
    storage.VoteNotPersisted: (
        "simulator",
        "test_elections:test_a_vote_survives_a_restart",
    ),
    storage.TermNotPersisted: (
        "simulator",
        "test_elections:test_a_vote_survives_a_restart",
    ),
    storage.VoteBeforeFsync: (
        "simulator",
        "test_storage:test_a_vote_leaves_only_when_it_is_durable",
    ),
    storage.AckBeforeFsync: (
        "simulator",
        "test_storage:test_an_append_is_acknowledged_only_when_its_entries_are_durable",
    ),
    storage.CampaignBeforeFsync: (
        "simulator",
        "test_storage:test_a_candidate_asks_for_votes_only_when_its_own_is_durable",
    ),
    storage.TermSpokenBeforeFsync: (
        "simulator",
        "test_storage:test_a_term_is_not_spoken_before_it_is_durable",
    ),
    storage.LeaderCountsItselfEarly: (
        "simulator",
        "test_storage:test_a_leader_does_not_count_itself_before_its_own_write_is_durable",
    ),
    storage.StaleStorageAck: (
        "test_storage:test_a_late_storage_ack_of_an_old_term_does_not_make_a_returned_entry_durable",
    ),
    storage.AnyAckReleasesAll: (
        "simulator",
        "test_storage:test_an_ack_releases_only_what_its_own_write_made_true",
    ),
    storage.CommitStoredAhead: (
        "simulator",
        "test_storage:test_the_stored_commit_index_never_exceeds_the_stored_log",
    ),
    storage.ForeignAckBelieved: (
        "simulator",
        "test_storage:test_a_repeated_ack_and_the_ack_of_an_earlier_life_are_ignored",
    ),
    storage.EntriesBeforeTerm: (
        "simulator",
        "test_storage:test_a_write_torn_after_its_first_record_leaves_a_disk_that_starts",
    ),
    log.TruncatesOnDuplicate: (
        "simulator",
        "test_replication:test_a_delayed_duplicate_append_does_not_cut_off_what_came_after_it",
    ),
    log.ConflictsKept: (
        "simulator",
        "test_replication:test_a_conflicting_suffix_is_replaced",
    ),
    log.PreviousTermUnchecked: (
        "simulator",
        "test_replication:test_an_append_whose_previous_entry_has_another_term_is_refused_with_a_hint",
    ),
    log.AppliesBeforeDurable: (
        "simulator",
        "test_storage:test_two_followers_commit_without_the_leaders_disk",
    ),
    log.CommitFalls: (
        "simulator",
        "test_replication:test_a_commit_index_never_falls_on_an_old_message",
    ),
    log.LongestLogWins: (
        "simulator",
        "test_labs:test_a_rejoining_leader_drops_what_it_alone_had",
    ),
    log.SnapshotGoesBack: (
        "simulator",
        "test_replication:test_a_delayed_snapshot_does_not_take_a_member_back",
    ),
    log.ReplacedLogTakenForCommitted: (
        "test_storage:test_a_snapshot_under_way_stores_no_commit_index_of_the_log_it_replaces",
    ),
    log.ReplacedEntriesTakenForDurable: (
        "test_storage:test_the_ack_of_a_new_terms_first_write_does_not_cover_what_its_leader_then_replaced",
    ),
    commitment.CommitsOldTermByCount: (
        "simulator",
        "test_labs:test_figure_8_an_old_term_entry_on_a_majority_is_not_committed_by_count",
    ),
    commitment.FollowerCommitsPastAgreement: (
        "test_replication:test_a_follower_commits_no_further_than_the_request_proves",
    ),
    commitment.HeartbeatCommitsUnmatched: (
        "simulator",
        "test_replication:test_a_heartbeat_names_no_commit_beyond_what_the_follower_is_known_to_hold",
    ),
    commitment.MinorityCommits: (
        "simulator",
        "test_labs:test_progressive_failure_of_followers_stops_commitment_at_a_minority",
    ),
    commitment.NoNoop: (
        "simulator",
        "test_labs_snapshots:test_a_cluster_restarted_from_snapshots_alone_goes_on",
    ),
    commitment.AckOfOldTermCounts: ("test_replication:test_an_ack_of_an_old_term_does_not_count",),
    elections.VotesTwice: (
        "simulator",
        "test_elections:test_a_vote_is_given_once_a_term_and_repeated_on_request",
    ),
    elections.VotesForIncompleteLog: (
        "simulator",
        "test_labs:test_restarts_of_changing_majorities_lose_nothing",
    ),
    elections.VoteKeptAcrossTerms: (
        "simulator",
        "test_labs:test_many_elections_each_leave_one_leader_per_term",
    ),
    elections.MinorityElects: (
        "simulator",
        "test_elections:test_a_repeated_vote_counts_once",
    ),
    elections.OldVoteCounts: (
        "simulator",
        "test_elections:test_a_vote_of_an_old_term_does_not_count",
    ),
    elections.PreVoteChangesTerm: (
        "simulator",
        "test_elections:test_a_pre_vote_request_changes_neither_term_nor_vote_nor_timer",
    ),
    elections.HeardLeaderDeposed: (
        "simulator",
        "test_elections:test_a_vote_request_of_a_higher_term_does_not_depose_a_heard_leader",
    ),
    elections.PreVoteIgnoresLeader: (
        "simulator",
        "test_elections:test_a_pre_vote_request_is_ignored_while_a_leader_is_heard",
    ),
    elections.NoPreVote: (
        "simulator",
        "test_elections:test_a_member_that_was_cut_off_returns_without_raising_the_term",
    ),
    elections.OldPreVoteUnanswered: (
        "test_elections:test_a_pre_vote_of_an_old_term_is_answered_so_that_the_longer_log_can_win",
    ),
    elections.OldLeaderUnanswered: ("test_elections:test_an_old_leader_is_told_by_a_member_of_a_newer_term",),
    elections.SameTimeout: ("test_elections:test_members_that_tick_in_step_still_elect_a_leader",),
    elections.NoCheckQuorum: (
        "simulator",
        "test_elections:test_a_leader_that_hears_no_majority_steps_down_within_an_election_timeout",
    ),
    elections.LeadsWithHungDisk: (
        "simulator",
        "test_storage:test_a_leader_whose_own_disk_is_silent_steps_down",
    ),
    reads.ReadsBeforeOwnCommit: (
        "simulator",
        "test_reads_and_transfer:test_a_new_leader_serves_no_read_before_its_own_terms_first_commit",
    ),
    reads.ReadsUnconfirmed: (
        "simulator",
        "test_reads_and_transfer:test_a_deposed_leader_serves_no_read",
    ),
    reads.ReadsOnEarlierRound: (
        "simulator",
        "test_reads_and_transfer:test_a_read_is_not_confirmed_by_a_round_that_began_before_it",
    ),
    reads.OldHeartbeatReplyConfirms: (
        "simulator",
        "test_reads_and_transfer:test_a_heartbeat_reply_of_an_old_term_confirms_nothing",
    ),
    flow.LostAppendsForgotten: (
        "simulator",
        "test_replication:test_a_lost_append_is_found_by_the_next_heartbeat",
    ),
    flow.WindowJams: (
        "simulator",
        "test_replication:test_a_window_full_of_lost_requests_moves_again",
    ),
    flow.OldRefusalObeyed: (
        "simulator",
        "test_replication:test_an_old_refusal_leaves_match_and_next_in_order",
    ),
    flow.SnapshotSentOnce: (
        "simulator",
        "test_replication:test_a_lost_snapshot_is_sent_again",
    ),
    flow.OldDiskBelieved: (
        "simulator",
        "test_replaced_disk:test_a_replaced_disk_is_filled_anew_and_told_of_no_commit_only_the_old_one_had",
        "test_replaced_disk:test_what_the_old_disk_acknowledged_does_not_count_for_commitment",
    ),
    flow.SlowBackTrack: ("test_labs:test_back_track_over_long_wrong_logs_costs_a_round_per_term_not_per_entry",),
    flow.TransferTakesProposals: (
        "simulator",
        "test_reads_and_transfer:test_proposals_are_refused_during_a_transfer_and_accepted_after_its_abort",
    ),
    flow.TransferNeverAborts: (
        "simulator",
        "test_reads_and_transfer:test_proposals_are_refused_during_a_transfer_and_accepted_after_its_abort",
    ),
    flow.TransferBeforeCaughtUp: (
        "simulator",
        "test_reads_and_transfer:test_a_transfer_target_catches_up_before_it_is_told_to_campaign",
    ),
    flow.TransferIsOrdinaryCampaign: (
        "simulator",
        "test_reads_and_transfer:test_a_transferred_campaign_is_not_stopped_by_the_leaders_own_defence",
    ),
    flow.BacklogUnbounded: (
        "simulator",
        "test_bounds_and_guards:test_an_isolated_leaders_backlog_is_bounded_by_bytes",
    ),
    flow.BacklogLeaks: (
        "simulator",
        "test_bounds_and_guards:test_committed_bytes_leave_the_backlog",
    ),
    flow.MessagesUnbounded: (
        "simulator",
        "test_bounds_and_guards:test_no_request_carries_more_than_the_message_bound",
    ),
    flow.WindowUnbounded: (
        "simulator",
        "test_bounds_and_guards:test_unanswered_requests_never_exceed_the_window",
    ),
    flow.ForeignSenderBelieved: (
        "simulator",
        "test_labs:test_a_member_ignores_what_is_not_for_it_or_not_from_a_member",
    ),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one piece of evidence showed for one bug; `caught` is empty if it showed nothing."""

    bug: str
    evidence: str
    caught: str


def judge(bug: Bug, evidence: str) -> Verdict:
    """Run one bug against `simulator` or a scenario, `module:test_name`."""
    caught = run_seeds(bug) if evidence == SIMULATOR else run_scenario(bug, evidence)
    return Verdict(bug.__name__, evidence, caught)


def run_seeds(bug: Bug) -> str:
    """The first seed and the invariant that a bug breaks under it, or nothing if all seeds hold."""
    for seed in range(SEEDS):
        for members in (3, 5):
            broken = run_seed(bug, members, seed)
            if broken:
                return f"{broken} (seed {seed}, {members} members)"
    return ""


def run_seed(bug: Bug, members: int, seed: int) -> str:
    """The invariant that a bug breaks under this seed, or nothing."""
    spec = Spec(seed, members)
    outcome = simulate(spec, disk=bug) if issubclass(bug, Disk) else simulate(spec, raft=bug)
    return outcome.violation.name if outcome.violation else ""


def run_scenario(bug: Bug, name: str) -> str:
    """How a scenario fails with a bug, or nothing. Only failures that a test run would show count."""
    module, function = name.split(":")
    scenario: Callable[[Bug], None] = getattr(import_module(f"tests.raft.{module}"), function)
    try:
        scenario(bug)
    except (AssertionError, RaftError, pytest.fail.Exception) as failure:
        return type(failure).__name__
    return ""


def main() -> int:
    """Print the score table; exit status 1 if any piece of evidence misses its bug."""
    started = time.perf_counter()
    missed = by_simulator = 0
    for bug, evidences in TABLE.items():
        claim = (bug.__doc__ or "").strip().splitlines()[0]
        print(f"{bug.__name__}: {claim}")
        by_simulator += SIMULATOR in evidences
        for evidence in evidences:
            verdict = judge(bug, evidence)
            missed += not verdict.caught
            print(f"    {evidence}: {verdict.caught or 'SURVIVED'}")
    elapsed = time.perf_counter() - started
    print(f"{len(TABLE)} bugs, {missed} missed, {by_simulator} seen by the simulator, {elapsed:.1f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
