"""A real node on a disk that hangs when told to: `python -m tests.raft.slow_disk_node`, for tests only.

The fault is put in at the seam of the file, a connection to SQLite whose flush waits while the file named by
TEST_HANGS_WHILE exists; everything above it is the node as it is.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from service import cli
from service.decisions import member
from service.raft.storage import Storage

HANGS_WHILE = "TEST_HANGS_WHILE"
LOOK_AGAIN_S = 0.01


class HangingConnection(sqlite3.Connection):
    """Waits in COMMIT, as a process does in fsync."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            while Path(os.environ[HANGS_WHILE]).exists():
                time.sleep(LOOK_AGAIN_S)
        return super().execute(sql, *parameters)


class HangingStorage(Storage):
    """The same file, through such a connection."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, HangingConnection)


if __name__ == "__main__":
    vars(member)["Storage"] = HangingStorage
    sys.argv = ["simpul", "node"]
    cli.main()
