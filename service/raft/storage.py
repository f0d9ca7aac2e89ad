"""What a member must not forget, in one SQLite file: identity, term and vote, log, snapshot, its peers' disks.

A rollback journal rather than a write-ahead log, because of what each makes of damage. SQLite takes a flipped bit in a
write-ahead log for the torn end of a transaction that never happened, and silently forgets every acknowledged entry
after it. With a rollback journal that is still valid at start-up the last transaction was not finished, hence never
acknowledged, and is undone; without one everything in the file was acknowledged, and whatever does not match its CRC
is damage. So the two can be told apart. The price is a second flush a transaction, which batching spreads.

Rows carry a CRC each. A row that vanished has none, so `ledger` says which rows there must be.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from service.raft.errors import RaftError
from service.raft.messages import Entry, EntryKind, HardState, NodeId, Snapshot
from service.raft.state import Stored

FORMAT = 1
"""Layout of the file. A file of another layout is refused, never converted in silence."""
PAGE_BYTES = 4096

_KINDS = (EntryKind.NORMAL, EntryKind.NOOP)
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_HEAD = struct.Struct("<QQB")
_SCHEMA = """
CREATE TABLE identity(id INTEGER PRIMARY KEY CHECK (id = 1), format, cluster, node, name, members, disk, crc);
CREATE TABLE hard_state(id INTEGER PRIMARY KEY CHECK (id = 1), term, vote, commit_index, crc);
CREATE TABLE ledger(id INTEGER PRIMARY KEY CHECK (id = 1), snapshot, first, last, peers, crc);
CREATE TABLE entries(idx INTEGER PRIMARY KEY, term, kind, data, crc);
CREATE TABLE snapshot(id INTEGER PRIMARY KEY CHECK (id = 1), idx, term, members, data, crc);
CREATE TABLE peers(node TEXT PRIMARY KEY, disk, crc);
"""


class StorageFailed(RaftError):
    """A write did not reach the disk, or may not have. Nothing after it may be acknowledged: the process must end."""


class StorageRefused(RaftError):
    """The file cannot be used as it is; the message says which row or setting, and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose file this is. `disk` is drawn at random when the file is made, so a wiped disk shows."""

    cluster: str
    node: NodeId
    name: str
    members: tuple[NodeId, ...]
    disk: str


@dataclass(frozen=True, slots=True)
class Save:
    """The storage part of one Ready."""

    hard_state: HardState | None
    snapshot: Snapshot | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Compact:
    """This member's own snapshot: stored, and the entries it covers dropped."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Register:
    """The disk that stands behind a member's name from now on; empty: it is not known any more."""

    node: NodeId
    disk: str


Job = Save | Compact | Register


@dataclass(slots=True)
class Loaded:
    """Everything the file said at start-up."""

    identity: Identity
    stored: Stored
    peers: dict[NodeId, str]


class Storage:
    """The open file. `load` once, then `save` from one thread only."""

    def __init__(self, path: Path, connection: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        """Opens or makes the file, and holds it against other processes until `close`. Raises StorageRefused.

        `connection` lets tests put a failing disk under it.
        """
        self.path = path
        self._snapshot = self._first = self._last = 0
        self._peers: set[NodeId] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        # check_same_thread: opened and read before the writer thread exists, then used by that thread alone.
        self._db = sqlite3.connect(path, isolation_level=None, factory=connection, check_same_thread=False, timeout=0)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise self._refusal_of(error) from error

    def _prepare(self) -> None:
        execute = self._db.execute
        # Held for the life of the process: two nodes on one folder would vote twice.
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute(f"PRAGMA page_size = {PAGE_BYTES}")
        execute("PRAGMA journal_mode = PERSIST")
        execute("PRAGMA synchronous = EXTRA")
        execute("PRAGMA cell_size_check = ON")
        # A journal once grown by a snapshot would keep its size.
        execute(f"PRAGMA journal_size_limit = {256 * PAGE_BYTES}")
        execute("BEGIN EXCLUSIVE")
        execute("COMMIT")

    def _refusal_of(self, error: sqlite3.DatabaseError) -> StorageRefused:
        if "locked" in str(error):
            return StorageRefused(
                f"{self.path} is in use by another process: two nodes cannot share one SIMPUL_DATA folder and NODE_ID"
            )
        return self._damage(f"SQLite says: {error}")

    def _damage(self, what: str) -> StorageRefused:
        return StorageRefused(
            f"{self.path} is damaged: {what}. What it holds was acknowledged to the other nodes, so this node does "
            f"not start. Restore the file only from a copy made since the node last ran; otherwise keep it for "
            f"examination and replace the disk as docs/explanation/raft-operation.md says"
        )

    # Reading

    def load(self, expected: Identity) -> Loaded:
        """Read and check everything; on a first start, become `expected`.

        Raises StorageRefused for damage, or when the stored identity differs in anything but the disk.
        """
        try:
            if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._make(expected)
            (verdict,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise self._damage(f"SQLite says: {verdict}")
            identity = self._read_identity(expected)
            snapshot_index, first, last, peer_count = self._one("ledger", 4)
            hard_state = self._read_hard_state()
            snapshot = self._read_snapshot(snapshot_index)
            entries = self._read_entries(first, last)
            peers = self._read_peers(peer_count)
        except sqlite3.DatabaseError as error:
            raise self._refusal_of(error) from error
        self._snapshot, self._first, self._last = snapshot_index, first, last
        self._peers = set(peers)
        return Loaded(identity, Stored(hard_state, snapshot, entries), peers)

    def _make(self, identity: Identity) -> None:
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            execute(statement)
        members = "\n".join(identity.members)
        self._put(
            "identity", FORMAT, identity.cluster, identity.node, identity.name, members, identity.disk, replace=False
        )
        self._put("hard_state", 0, None, 0, replace=False)
        self._put("ledger", 0, 0, 0, 0, replace=False)
        execute("COMMIT")

    def _read_identity(self, expected: Identity) -> Identity:
        made_as, cluster, node, name, members, disk = self._one("identity", 6)
        if made_as != FORMAT:
            raise StorageRefused(
                f"{self.path} has layout {made_as}; this version reads {FORMAT}: run the version of it"
            )
        found = Identity(cluster, node, name, tuple(members.split("\n")), disk)
        for setting, stored, now in (
            ("CLUSTER_NAME", found.cluster, expected.cluster),
            ("NODE_ID", found.name, expected.name),
            ("SELF_URL", found.node, expected.node),
            ("PEERS (with SELF_URL)", ",".join(found.members), ",".join(expected.members)),
        ):
            if stored != now:
                raise StorageRefused(
                    f"{self.path} was made with {setting} {stored}, but now it is {now}: votes and entries of one "
                    f"member must not be used as another's. Set it back, or give the node an empty SIMPUL_DATA folder "
                    f"together with all other nodes (that founds a new cluster)"
                )
        return found

    def _read_hard_state(self) -> HardState:
        term, vote, commit = self._one("hard_state", 3)
        return HardState(term, vote, commit)

    def _read_snapshot(self, index: int) -> Snapshot | None:
        if not index:
            return None
        stored_index, term, members, data = self._one("snapshot", 4)
        if stored_index != index:
            raise self._damage(f"the snapshot is of entry {stored_index}, but the ledger says {index}")
        return Snapshot(index, term, tuple(members.split("\n")), data)

    def _read_entries(self, first: int, last: int) -> tuple[Entry, ...]:
        entries = []
        expected = first
        for index, term, kind, data, crc in self._db.execute("SELECT * FROM entries ORDER BY idx"):
            if index != expected:
                raise self._damage(f"row {expected} of table entries is missing (found row {index})")
            if not _is_sound(index, term, kind, data, crc):
                raise self._damage(f"row {index} of table entries does not match its CRC")
            entries.append(Entry(term, index, data, _KINDS[kind]))
            expected += 1
        if expected != (last + 1 if first else 0):
            raise self._damage(f"rows {expected} to {last} of table entries are missing")
        return tuple(entries)

    def _read_peers(self, count: int) -> dict[NodeId, str]:
        peers = {}
        for node, disk, crc in self._db.execute("SELECT node, disk, crc FROM peers"):
            if crc != _crc("peers", (node, disk)):
                raise self._damage(f"row {node} of table peers does not match its CRC")
            peers[node] = disk
        if len(peers) != count:
            raise self._damage(f"table peers has {len(peers)} rows, but the ledger says {count}")
        return peers

    def _one(self, table: str, columns: int) -> list[Any]:
        """The fields of a table's only row."""
        row = self._db.execute(f"SELECT * FROM {table} WHERE id = 1").fetchone()  # noqa: S608 - our own names
        if row is None:
            raise self._damage(f"the row of table {table} is missing")
        fields = row[1 : columns + 1]
        if row[-1] != _crc(table, fields):
            raise self._damage(f"the row of table {table} does not match its CRC")
        return list(fields)

    # Writing

    def save(self, jobs: Iterable[Job]) -> None:
        """Make all jobs durable, in order, in one transaction. Raises StorageFailed: then none may be trusted."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                match job:
                    case Save():
                        self._save(job)
                    case Compact(snapshot):
                        self._compact(snapshot)
                    case Register(node, disk):
                        self._register(node, disk)
            self._put("ledger", self._snapshot, self._first, self._last, len(self._peers))
            self._db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            # Never a retry: after a failed flush the kernel may have dropped the pages and report the next one as
            # good ("fsyncgate"), so nothing this process believes of its disk holds any more.
            raise StorageFailed(f"{self.path} cannot be written: {error}") from error

    def _save(self, job: Save) -> None:
        if job.hard_state is not None:
            state = job.hard_state
            self._put("hard_state", state.term, state.vote, state.commit)
        if job.snapshot is not None:
            self._put_snapshot(job.snapshot)
            self._db.execute("DELETE FROM entries")
            self._first, self._last = 0, job.snapshot.index
        if job.entries:
            self._put_entries(job.entries)

    def _put_entries(self, entries: tuple[Entry, ...]) -> None:
        start = entries[0].index
        if start <= self._last:
            self._db.execute("DELETE FROM entries WHERE idx >= ?", (start,))
        if not self._first or start < self._first:
            self._first = start
        self._last = entries[-1].index
        self._db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", map(_row, entries))

    def _compact(self, snapshot: Snapshot) -> None:
        if snapshot.index <= self._snapshot:
            return  # a newer one came from the leader meanwhile
        self._put_snapshot(snapshot)
        self._db.execute("DELETE FROM entries WHERE idx <= ?", (snapshot.index,))
        self._first = snapshot.index + 1 if self._last > snapshot.index else 0
        self._last = max(self._last, snapshot.index)

    def _put_snapshot(self, snapshot: Snapshot) -> None:
        self._put("snapshot", snapshot.index, snapshot.term, "\n".join(snapshot.members), snapshot.data)
        self._snapshot = snapshot.index

    def _register(self, node: NodeId, disk: str) -> None:
        self._peers.discard(node)
        if not disk:
            self._db.execute("DELETE FROM peers WHERE node = ?", (node,))
            return
        self._peers.add(node)
        self._db.execute("INSERT OR REPLACE INTO peers VALUES (?, ?, ?)", (node, disk, _crc("peers", (node, disk))))

    def _put(self, table: str, *fields: Any, replace: bool = True) -> None:
        marks = ", ".join("?" * (len(fields) + 2))
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        self._db.execute(f"{verb} INTO {table} VALUES ({marks})", (1, *fields, _crc(table, fields)))

    def close(self) -> None:
        """Let go of the file. Everything saved is durable already."""
        self._db.close()


def _crc(table: str, fields: Iterable[Any]) -> int:
    # The table's name is part of it: a row that damage moved to another table is not believed there.
    return crc32(msgspec.msgpack.encode((table, *fields)))


def _row(entry: Entry) -> tuple[int, int, int, bytes, int]:
    kind = _KIND_NUMBERS[entry.kind]
    return (
        entry.index,
        entry.term,
        kind,
        entry.data,
        crc32(entry.data, crc32(_HEAD.pack(entry.index, entry.term, kind))),
    )


def _is_sound(index: Any, term: Any, kind: Any, data: Any, crc: Any) -> bool:
    # Damage can change a value's type as well.
    if not (isinstance(term, int) and isinstance(data, bytes) and kind in (0, 1) and index >= 0 and term >= 0):
        return False
    return bool(crc == crc32(data, crc32(_HEAD.pack(index, term, kind))))
