"""`python -m tests.raft.accept`: take what the core does now as what it should do, in every transcript.

Run it after an intended change, and read the difference before committing it.
"""

from __future__ import annotations

from tests.raft.transcript import FOLDER, replay


def main() -> None:
    """Rewrite the transcripts that differ, and name them."""
    for path in sorted(FOLDER.glob("*.txt")):
        before = path.read_text()
        after = replay(before)
        if after != before:
            path.write_text(after)
            print(f"rewrote {path.name}")


if __name__ == "__main__":
    main()
