"""The stored state on real files: what was acknowledged is there after a crash, and damage is named, never used."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from service.raft.messages import Entry, EntryKind, HardState, Snapshot
from service.raft.storage import (
    Compact,
    Identity,
    Job,
    Loaded,
    Register,
    Save,
    Storage,
    StorageFailed,
    StorageRefused,
)
from service.raft.writer import Writer
from tests.support import ROOT, eventually

MEMBERS = ("http://a", "http://b", "http://c")
IDENTITY = Identity("simpul", MEMBERS[0], "n1", MEMBERS, "disk-a")
TABLES = ("identity", "hard_state", "ledger", "entries", "snapshot", "peers")


def entries(first: int, last: int, term: int = 1, data: bytes = b"entry %d") -> tuple[Entry, ...]:
    return tuple(Entry(term, index, data.replace(b"%d", b"%d" % index)) for index in range(first, last + 1))


def snapshot(index: int, term: int = 1) -> Snapshot:
    return Snapshot(index, term, MEMBERS, b"state after %d" % index)


def written(path: Path, *jobs: Job) -> Path:
    storage = Storage(path)
    storage.load(IDENTITY)
    for job in jobs:
        storage.save([job])
    storage.close()
    return path


def loaded(path: Path, identity: Identity = IDENTITY) -> Loaded:
    storage = Storage(path)
    try:
        return storage.load(identity)
    finally:
        storage.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raft.sqlite3"


@pytest.fixture
def full(path: Path) -> Path:
    """A file with something in every table."""
    return written(
        path,
        Save(HardState(2, "voted-for", 4), None, entries(1, 9, term=2)),
        Compact(snapshot(4, term=2)),
        Register(MEMBERS[1], "disk-b"),
        Register(MEMBERS[2], "disk-c"),
    )


def test_a_first_start_is_empty_and_keeps_the_disk_it_drew(path: Path) -> None:
    first = loaded(path)
    assert (first.stored.hard_state, first.stored.snapshot, first.stored.entries) == (HardState(), None, ())
    assert loaded(path, replace(IDENTITY, disk="another draw")).identity.disk == "disk-a"


def test_everything_saved_is_read_back(full: Path) -> None:
    found = loaded(full)
    assert found.stored.hard_state == HardState(2, "voted-for", 4)
    assert found.stored.snapshot == snapshot(4, term=2)
    assert found.stored.entries == entries(5, 9, term=2)
    assert found.peers == {MEMBERS[1]: "disk-b", MEMBERS[2]: "disk-c"}


def test_new_entries_replace_everything_from_their_first_index_on(path: Path) -> None:
    written(path, Save(HardState(1), None, entries(1, 9)), Save(HardState(2), None, entries(4, 5, term=2)))
    assert loaded(path).stored.entries == (*entries(1, 3), *entries(4, 5, term=2))


def test_an_installed_snapshot_replaces_the_whole_log(path: Path) -> None:
    written(path, Save(HardState(1), None, entries(1, 9)), Save(HardState(3), snapshot(20, 2), entries(21, 22, 3)))
    found = loaded(path).stored
    assert (found.snapshot, found.entries) == (snapshot(20, 2), entries(21, 22, 3))


def test_a_compaction_that_a_leaders_snapshot_overtook_changes_nothing(path: Path) -> None:
    written(path, Save(HardState(1), snapshot(20), ()), Compact(snapshot(9)))
    assert loaded(path).stored.snapshot == snapshot(20)


def test_a_noop_is_told_from_an_empty_command(path: Path) -> None:
    both = (Entry(1, 1, b"", EntryKind.NOOP), Entry(1, 2, b""))
    written(path, Save(HardState(1), None, both))
    assert loaded(path).stored.entries == both


def test_a_forgotten_peer_may_be_registered_anew(full: Path) -> None:
    written(full, Register(MEMBERS[1], ""), Register(MEMBERS[1], "disk-b2"))
    assert loaded(full).peers == {MEMBERS[1]: "disk-b2", MEMBERS[2]: "disk-c"}


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("CLUSTER_NAME", replace(IDENTITY, cluster="other")),
        ("NODE_ID", replace(IDENTITY, name="n2")),
        ("SELF_URL", replace(IDENTITY, node=MEMBERS[1])),
        ("PEERS", replace(IDENTITY, members=MEMBERS[:1])),
    ],
)
def test_another_nodes_file_is_refused_naming_the_setting(full: Path, setting: str, changed: Identity) -> None:
    with pytest.raises(StorageRefused, match=setting):
        loaded(full, changed)


def test_a_file_in_use_is_refused(full: Path) -> None:
    holder = Storage(full)
    with pytest.raises(StorageRefused, match="in use by another process"):
        Storage(full)
    holder.close()


# Crashes

_WRITES_FOR_EVER = """
import sys
from pathlib import Path
from service.raft.messages import HardState
from service.raft.storage import Save, Storage
from tests.raft.test_sqlite_storage import IDENTITY, entries
storage = Storage(Path(sys.argv[1]))
start = len(storage.load(IDENTITY).stored.entries) + 1
while True:
    storage.save([Save(HardState(1, None, start - 1), None, entries(start, start + 6))])
    start += 7
    print(start - 1, flush=True)
"""

_STOPS_IN_A_TRANSACTION = """
import os, sys
from pathlib import Path
from service.raft.messages import HardState
from service.raft.storage import Save, Storage
from tests.raft.test_sqlite_storage import IDENTITY, entries
storage = Storage(Path(sys.argv[1]))
storage.load(IDENTITY)
storage._db.execute("PRAGMA cache_size = 2")
storage._db.execute("BEGIN IMMEDIATE")
storage._save(Save(HardState(9, None, 5), None, entries(3, 400, term=9, data=b"overwritten" * 100)))
os._exit(0)
"""


def _child(script: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_what_was_acknowledged_survives_kill_9_of_the_writer(path: Path) -> None:
    random = Random(7)
    acknowledged = 0
    for _ in range(3):
        child = _child(_WRITES_FOR_EVER, path)
        assert child.stdout is not None
        for _ in range(random.randrange(1, 30)):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, child.stdout.read().split())])
        child.wait()
        child.stdout.close()
        found = loaded(path).stored.entries
        assert found == entries(1, len(found))
        assert acknowledged <= len(found) <= acknowledged + 7


def test_a_torn_transaction_is_undone_because_it_was_never_acknowledged(path: Path) -> None:
    written(path, Save(HardState(1, None, 5), None, entries(1, 9)))
    child = _child(_STOPS_IN_A_TRANSACTION, path)
    assert child.wait() == 0
    assert child.stdout is not None
    child.stdout.close()
    journal = path.with_name(path.name + "-journal").read_bytes()
    assert journal.startswith(b"\xd9\xd5\x05\xf9"), "the transaction reached the file"
    assert b"overwritten" in path.read_bytes()
    found = loaded(path).stored
    assert (found.hard_state, found.entries) == (HardState(1, None, 5), entries(1, 9))


# Damage

_MARKS = {
    "identity": b"disk-a",
    "hard_state": b"voted-for",
    "entries": b"entry 7",
    "snapshot": b"state after 4",
    "peers": b"disk-c",
}


@pytest.mark.parametrize("table", _MARKS)
def test_a_flipped_bit_in_a_row_is_refused_naming_its_table(full: Path, table: str) -> None:
    content = bytearray(full.read_bytes())
    # A page may hold an older copy of a row in free space: only the copies that are read matter.
    at = content.find(_MARKS[table])
    assert at > 0
    while at > 0:
        content[at + 3] ^= 0x04
        at = content.find(_MARKS[table])
    full.write_bytes(content)
    with pytest.raises(StorageRefused, match=rf"row .*table {table}") as refused:
        loaded(full)
    assert "does not match its CRC" in str(refused.value)
    assert "replace the disk" in str(refused.value)


@pytest.mark.parametrize("table", TABLES)
def test_a_vanished_row_is_refused_naming_its_table(full: Path, table: str) -> None:
    with sqlite3.connect(full) as direct:
        row = direct.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]  # noqa: S608
        direct.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
    direct.close()
    with pytest.raises(StorageRefused, match=table):
        loaded(full)


def test_a_changed_number_is_refused_in_every_table(full: Path) -> None:
    columns = {"hard_state": "term", "ledger": "last", "entries": "term", "snapshot": "idx", "identity": "format"}
    original = full.read_bytes()
    for table, column in columns.items():
        full.write_bytes(original)
        with sqlite3.connect(full) as direct:
            direct.execute(f"UPDATE {table} SET {column} = {column} + 1")  # noqa: S608
        direct.close()
        with pytest.raises(StorageRefused, match=f"{table} does not match its CRC"):
            loaded(full)


def test_no_flipped_bit_anywhere_in_the_file_changes_what_is_read(full: Path) -> None:
    """Refused, or in a place that is not used: never a different state."""
    random = Random(3)
    original = full.read_bytes()
    expected = loaded(full)
    refused = 0
    for _ in range(150):
        content = bytearray(original)
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        full.write_bytes(content)
        try:
            assert loaded(full) == expected
        except StorageRefused:
            refused += 1
    full.write_bytes(original)
    assert refused > 5


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"something else" * 500)
    with pytest.raises(StorageRefused, match="not a database"):
        Storage(path)


# Failing disks


class FailingDisk(sqlite3.Connection):
    """Fails the next statement that begins with `at`, or stops in it until `released`."""

    at: ClassVar[str] = ""
    error: ClassVar[str] = ""
    released: ClassVar[threading.Event | None] = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if FailingDisk.at and sql.startswith(FailingDisk.at):
            if FailingDisk.released is not None:
                FailingDisk.released.wait()
            else:
                raise sqlite3.OperationalError(FailingDisk.error)
        return super().execute(sql, *parameters)


@pytest.fixture
def failing() -> Any:
    yield FailingDisk
    FailingDisk.at, FailingDisk.error, FailingDisk.released = "", "", None


@pytest.mark.parametrize("at", ["BEGIN", "INSERT OR REPLACE INTO hard_state", "COMMIT"])
@pytest.mark.parametrize("error", ["disk I/O error", "database or disk is full"])
def test_a_failed_write_is_reported_and_leaves_the_state_before_it(
    full: Path, failing: type[FailingDisk], at: str, error: str
) -> None:
    before = loaded(full)
    storage = Storage(full, failing)
    storage.load(IDENTITY)
    failing.at, failing.error = at, error
    with pytest.raises(StorageFailed, match=error):
        storage.save([Save(HardState(7), None, entries(10, 12, term=7))])
    failing.at = ""
    storage.close()
    assert loaded(full) == before


def test_a_full_disk_is_reported_by_the_real_error(path: Path) -> None:
    storage = Storage(path)
    storage.load(IDENTITY)
    storage._db.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StorageFailed, match="full"):
        storage.save([Save(HardState(1), None, entries(1, 100, data=b"x" * 4000))])
    storage.close()
    assert loaded(path).stored.entries == ()


def _with_writer(path: Path, scenario: Callable[[Writer, list[str], list[int]], Any], **kwargs: Any) -> None:
    async def run() -> None:
        failures: list[str] = []
        storage = Storage(path, **kwargs)
        storage.load(IDENTITY)
        writer = Writer(storage, failures.append)
        writer.start()
        await scenario(writer, failures, [])

    asyncio.run(asyncio.wait_for(run(), 20))


def _submit(writer: Writer, done: list[int], index: int) -> None:
    writer.submit(Save(HardState(1), None, entries(index, index)), lambda: done.append(index))


async def _until(condition: Callable[[], Any], what: str) -> None:
    async def holds() -> bool:
        return bool(condition())

    await eventually(holds, what)


def test_the_writer_reports_in_order_and_shares_transactions(path: Path) -> None:
    async def scenario(writer: Writer, failures: list[str], done: list[int]) -> None:
        for index in range(1, 201):
            _submit(writer, done, index)
        await _until(lambda: len(done) == 200, "all writes")
        assert done == list(range(1, 201))
        assert not writer.pending
        assert writer.flushes < 100
        assert writer.stop(5)
        assert not failures

    _with_writer(path, scenario)
    assert loaded(path).stored.entries == entries(1, 200)


def test_after_a_failed_write_nothing_is_written_or_reported_any_more(path: Path, failing: type[FailingDisk]) -> None:
    async def scenario(writer: Writer, failures: list[str], done: list[int]) -> None:
        _submit(writer, done, 1)
        await _until(lambda: done, "the first write")
        failing.at, failing.error = "COMMIT", "disk I/O error"
        _submit(writer, done, 2)
        await _until(lambda: failures, "the failure")
        failing.at = ""
        _submit(writer, done, 3)
        assert writer.stop(5)
        assert done == [1]
        assert len(failures) == 1

    _with_writer(path, scenario, connection=failing)


def test_a_hung_disk_stops_neither_the_event_loop_nor_the_end_of_the_process(
    path: Path, failing: type[FailingDisk]
) -> None:
    async def scenario(writer: Writer, failures: list[str], done: list[int]) -> None:
        failing.at, failing.released = "COMMIT", threading.Event()
        _submit(writer, done, 1)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.sleep(0.05)
        assert loop.time() - started < 1
        assert not writer.stop(0.05)
        assert not done
        failing.released.set()

    _with_writer(path, scenario, connection=failing)


def test_compaction_bounds_the_file(path: Path) -> None:
    storage = Storage(path)
    storage.load(IDENTITY)
    sizes = []
    for round_number in range(12):
        first = round_number * 500 + 1
        storage.save([Save(HardState(1), None, entries(first, first + 499, data=b"x" * 200))])
        storage.save([Compact(snapshot(first + 489))])
        sizes.append(path.stat().st_size + path.with_name(path.name + "-journal").stat().st_size)
    storage.close()
    assert max(sizes[4:]) <= 1.2 * sizes[3]
    assert loaded(path).stored.entries == entries(5991, 6000, data=b"x" * 200)
