"""Which Redis answers: the identity of a running primary, read on every new connection before anything else."""

from typing import NamedTuple

_NONE = "0" * 40


class Incarnation(NamedTuple):
    """`run_id` changes with every start of the process, `replication_id` when its data may have become another's
    (design: incarnation)."""

    run_id: str
    replication_id: str
    earlier_replication_id: str
    """Of the data that it had before it became a primary; empty for one that never was a replica."""
    role: str
    version: str
    loading: bool

    @property
    def is_writable_primary(self) -> bool:
        return self.role == "master" and not self.loading

    def is_same(self, run_id: str, replication_id: str) -> bool:
        """Whether this process has the data that it had when it was seen with these ids.

        A primary draws a new replication id when its first replica comes, and when its last one has been gone for an
        hour, and then forgets the earlier id. One that followed another server meanwhile remembers that one's.
        """
        return self.run_id == run_id and (self.replication_id == replication_id or not self.earlier_replication_id)

    def __str__(self) -> str:
        return f"{self.version} {self.role} {self.run_id[:8]}/{self.replication_id[:8]}"


def is_still(known: Incarnation, info: bytes) -> bool:
    """Whether the replication section of INFO, of the same process, shows the same incarnation."""
    found = _fields(info)
    now = known._replace(
        role=found.get("role", ""),
        replication_id=found.get("master_replid", ""),
        earlier_replication_id=_earlier(found),
    )
    return now.role == known.role and now.is_same(known.run_id, known.replication_id)


def parse(info: bytes) -> Incarnation:
    """From the reply of INFO (all sections, or at least server, persistence and replication).

    Raises ValueError when a field is absent: a server that hides its identity cannot be trusted with the fence.
    """
    found = _fields(info)
    absent = [name for name in ("run_id", "master_replid", "role", "redis_version", "loading") if name not in found]
    if absent:
        raise ValueError(f"INFO lacks {', '.join(absent)}")
    version = f"valkey {found['valkey_version']}" if "valkey_version" in found else f"redis {found['redis_version']}"
    return Incarnation(
        found["run_id"], found["master_replid"], _earlier(found), found["role"], version, found["loading"] == "1"
    )


def _earlier(found: dict[str, str]) -> str:
    earlier = found.get("master_replid2", "unknown")
    return "" if earlier == _NONE else earlier


def _fields(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}
