"""Until when leases run that this node granted in its life before: noted when it stops as asked, not when it crashes.

A node that crashed must count with the longest lease it may have granted. One that was stopped and started again would
then hold back every lock for that long, should Redis have been restarted meanwhile, so it leaves itself a note. The
note counts in time since the machine was started, which no clock setting moves, and is void after a reboot.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from service.clock import COUNTS_FROM_BOOT

log = logging.getLogger("simpul.decisions")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def take(path: Path) -> float | None:
    """The note, as a time of service.clock, and remove it for good; None when there is none to trust.

    Removed before it is used: a crash later in this life must not find the note of the one before.
    """
    try:
        text = path.read_text(encoding="utf-8")
        path.unlink()
        _flush_folder(path.parent)
        note = json.loads(text)
        is_readable = COUNTS_FROM_BOOT and note["boot"] == _boot() != ""
        return float(note["ends_at"]) if is_readable else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): locks are held back as after a crash", path, error)
        return None


def leave(path: Path, ends_at: float) -> None:
    """Note that no lease runs after `ends_at`; only once nothing can be granted any more."""
    note = {"boot": _boot(), "ends_at": ends_at}
    scratch = path.with_suffix(".new")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            json.dump(note, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        log.warning("%s cannot be written (%s): the next start counts as one after a crash", path, error)


def _boot() -> str:
    """Which run of the machine this is; empty where that cannot be told."""
    return _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
