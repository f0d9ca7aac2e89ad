"""What the core refuses, and what it cannot survive."""

from __future__ import annotations

from service.raft.messages import NodeId


class RaftError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigError(RaftError):
    """The configuration breaks a rule; the message names it."""


class CorruptState(RaftError):
    """Stored state contradicts itself or what this member once acknowledged.

    Going on could unmake a committed entry. The process must end and an operator must look.
    """


class InvariantBroken(RaftError):
    """A rule of Raft was seen broken: two leaders of a term, an acknowledgement of what was never sent.

    Going on could unmake a committed entry. The process must end.
    """


class Refused(RaftError):
    """A request was not accepted and certainly has no effect; it is safe to send it again."""


class NotLeader(Refused):
    """Only the leader accepts this. `leader` is the one this member knows of, or None."""

    def __init__(self, leader: NodeId | None) -> None:
        super().__init__(f"not the leader; leader is {leader or 'unknown'}")
        self.leader = leader


class Transferring(Refused):
    """Leadership is being handed to `to` (thesis §3.10); ask again within an election timeout."""

    def __init__(self, to: NodeId) -> None:
        super().__init__(f"leadership is being transferred to {to}")
        self.to = to


class TooLarge(Refused):
    """One proposal's data exceeds the configured entry limit; it will never be accepted."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"proposal of {size_bytes} bytes exceeds the limit of {limit_bytes} bytes")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class BacklogFull(Refused):
    """Too much waits for a majority already; slow down and ask again."""

    def __init__(self, waiting: int, limit: int, unit: str) -> None:
        super().__init__(f"{waiting} {unit} wait for a majority; the limit is {limit} {unit}")
        self.waiting = waiting
        self.limit = limit
        self.unit = unit


class UnknownMember(Refused):
    """A request names a node that is not one of the configured members."""

    def __init__(self, node: NodeId) -> None:
        super().__init__(f"{node} is not a member")
        self.node = node
