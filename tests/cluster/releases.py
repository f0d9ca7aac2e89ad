"""Other releases of the program: copies of this source tree with a few lines changed."""

import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.store import bundle
from service.store.bundle import ScriptSet
from tests.support import DEADLINE_S, ROOT, Answer, NodeProcess

Edits = Mapping[str, tuple[tuple[str, str], ...]]
"""By path in the tree: what stands there, and what stands there in the other release."""

STEP_OF_TWO: Edits = {
    "lua/cache/put.lua": (
        (
            "without its name\n-- Replies",
            "without its name\n--   9 stride: between two versions, empty = 2\n-- Replies",
        ),
        ('redis.call("INCR", KEYS[3])', 'redis.call("INCRBY", KEYS[3], ARGV[9] == "" and 2 or ARGV[9])'),
    ),
    "service/cache/writing.py": (
        ('{_PUT} knows_names"', '{_PUT} knows_names stride"'),
        ("int(self._names.is_known))", 'int(self._names.is_known), b"")'),
    ),
}
"""Its cache.put takes one argument more, which its callers send, and counts in twos."""


def release(folder: Path, edits: Edits, *, without: tuple[str, ...] = ()) -> Path:
    """A source tree to start nodes and commands from."""
    for part in ("service", "lua"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for path in without:
        (folder / path).unlink()
    for path, changes in edits.items():
        text = (folder / path).read_text()
        for before, after in changes:
            assert before in text, f"{path} has no {before!r}"
            text = text.replace(before, after)
        (folder / path).write_text(text)
    return folder


def scripts_of(sources: Path) -> ScriptSet:
    return bundle.build(sources / "lua")


def stage(node: NodeProcess, script_set: ScriptSet) -> Answer:
    return node.post("/scripts/stage", {"packed": b64encode(bundle.pack(script_set)).decode()})


def activate(node: NodeProcess, script_set: ScriptSet) -> Answer:
    return node.post("/scripts/activate", {"version": script_set.version})


def active(node: NodeProcess) -> str:
    return str(node.get("/scripts").json["version"])


def sets(node: NodeProcess) -> dict[str, dict[str, Any]]:
    return dict(node.get("/scripts").json["sets"])


def simpul(sources: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line of a release."""
    command = [sys.executable, "-P", "-W", "error", "-m", "service.cli", *words]
    env = {**os.environ, "PYTHONPATH": str(sources)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=2 * DEADLINE_S, check=False)
