"""Which Redis answers: the identity of a running primary, read on every new connection before anything else."""

from typing import NamedTuple


class Incarnation(NamedTuple):
    """`run_id` changes with every start of the process, `replication_id` with every failover (design: incarnation)."""

    run_id: str
    replication_id: str
    role: str
    version: str
    loading: bool

    @property
    def is_writable_primary(self) -> bool:
        return self.role == "master" and not self.loading

    def __str__(self) -> str:
        return f"{self.version} {self.role} {self.run_id[:8]}/{self.replication_id[:8]}"


def is_still(incarnation: Incarnation, info: bytes) -> bool:
    """Whether the replication section of INFO, of the same process, shows the same incarnation."""
    found = _fields(info)
    return (found.get("role"), found.get("master_replid")) == (incarnation.role, incarnation.replication_id)


def parse(info: bytes) -> Incarnation:
    """From the reply of INFO (all sections, or at least server, persistence and replication).

    Raises ValueError when a field is absent: a server that hides its identity cannot be trusted with the fence.
    """
    found = _fields(info)
    absent = [name for name in ("run_id", "master_replid", "role", "redis_version", "loading") if name not in found]
    if absent:
        raise ValueError(f"INFO lacks {', '.join(absent)}")
    version = f"valkey {found['valkey_version']}" if "valkey_version" in found else f"redis {found['redis_version']}"
    return Incarnation(found["run_id"], found["master_replid"], found["role"], version, found["loading"] == "1")


def _fields(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}
