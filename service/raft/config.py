"""The settings of one member. Time is counted in ticks: the runner decides how long a tick is."""

from __future__ import annotations

from dataclasses import dataclass

from service.raft.errors import ConfigError
from service.raft.messages import NodeId


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a core is told at construction. `validate()` raises ConfigError naming the broken rule."""

    node: NodeId
    """This member's name; one of `members`. It must never be given to another disk: a member that forgot
    its vote or its log can elect a second leader for a term."""

    members: tuple[NodeId, ...]
    """All voting members, this one included: 1, 3 or 5 distinct names, the same on every member and for the
    life of the cluster. Two members with different lists can count different majorities and commit
    different entries at one index. Four members survive no more failures than three."""

    heartbeat_ticks: int = 3
    """Ticks between a leader's heartbeats, >= 1. Default 3 of 50 ms = 150 ms. Halving it doubles the idle
    RPC rate, (members - 1) * 1000 / 150 a second on the leader; raising it slows the detection of lost
    messages."""

    election_ticks: int = 20
    """The shortest silence, in ticks, after which a follower campaigns; the actual one is random in
    [election_ticks + 1, 2 * election_ticks]. Default 20 of 50 ms = 1 s, so 1-2 s. Also how long a heard
    leader is defended against other candidates, how long a leader may go without a majority, how long
    its own disk may be silent, and how long a transfer may take. At least 4 heartbeats, or two lost
    packets depose a healthy leader; longer than the worst stall of event loop plus fsync."""

    max_entry_bytes: int = 1 << 20
    """Largest `data` of one proposal, bytes, 1..max_message_bytes. A larger one is refused with TooLarge.
    One entry must fit one message, and occupies memory on every member until compacted away."""

    max_message_bytes: int = 1 << 20
    """Entry bytes put into one AppendRequest. At least one entry is always sent. Large values delay
    heartbeats behind a slow link; small ones cost round trips while a follower catches up."""

    max_inflight_messages: int = 64
    """AppendRequests sent to one follower and not yet acknowledged, >= 1. Times max_message_bytes it bounds
    what the transport may hold for one peer."""

    max_uncommitted_bytes: int = 16 << 20
    """Entry bytes accepted by the leader but not yet committed; beyond it proposals are refused with
    BacklogFull. >= max_entry_bytes. Bounds the memory of a leader that has lost its majority."""

    max_uncommitted_entries: int = 10_000
    """The same bound by count, >= 1: entries of a few bytes cost far more in objects than in data."""

    max_apply_bytes: int = 4 << 20
    """Entry bytes handed to the state machine in one Ready (at least one entry). Large values stall the
    loop while a restarted member applies its log."""

    max_pending_reads: int = 10_000
    """Reads waiting for a confirmation, >= 1; beyond it read_index is refused with BacklogFull."""

    trailing_entries: int = 1_000
    """Applied entries kept in memory behind a snapshot, >= 0, so that a follower a little behind gets
    entries instead of the whole snapshot. 0 sends a snapshot to every straggler."""

    snapshot_retry_ticks: int = 40
    """Ticks after which an unanswered InstallSnapshot is sent again, >= election_ticks. Shorter than the
    transfer itself would send it for ever; the transport reports failures sooner (`report_snapshot`)."""

    history_events: int = 64
    """Role-changing events kept for the operator, >= 1."""

    def validate(self) -> None:
        """Raise ConfigError with the first broken rule; return None if all hold."""
        rules = (
            (len(self.members) in (1, 3, 5), "members must be 1, 3 or 5 names"),
            (len(set(self.members)) == len(self.members), "members must be distinct"),
            (all(self.members), "a member's name must not be empty"),
            (self.node in self.members, "node must be one of members"),
            (self.heartbeat_ticks >= 1, "heartbeat_ticks must be >= 1"),
            (
                self.election_ticks >= 4 * self.heartbeat_ticks,
                "election_ticks must be >= 4 * heartbeat_ticks",
            ),
            (self.max_entry_bytes >= 1, "max_entry_bytes must be >= 1"),
            (self.max_message_bytes >= self.max_entry_bytes, "max_message_bytes must be >= max_entry_bytes"),
            (self.max_inflight_messages >= 1, "max_inflight_messages must be >= 1"),
            (
                self.max_uncommitted_bytes >= self.max_entry_bytes,
                "max_uncommitted_bytes must be >= max_entry_bytes",
            ),
            (self.max_uncommitted_entries >= 1, "max_uncommitted_entries must be >= 1"),
            (self.max_apply_bytes >= 1, "max_apply_bytes must be >= 1"),
            (self.max_pending_reads >= 1, "max_pending_reads must be >= 1"),
            (self.trailing_entries >= 0, "trailing_entries must be >= 0"),
            (
                self.snapshot_retry_ticks >= self.election_ticks,
                "snapshot_retry_ticks must be >= election_ticks",
            ),
            (self.history_events >= 1, "history_events must be >= 1"),
        )
        for holds, rule in rules:
            if not holds:
                raise ConfigError(rule)
