"""Every transcript in tests/testdata/raft says exactly what the core does."""

from __future__ import annotations

import pytest

from tests.raft.transcript import FOLDER, replay

TRANSCRIPTS = sorted(path.name for path in FOLDER.glob("*.txt"))


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_is_what_the_core_does(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert replay(text) == text, "run python -m tests.raft.accept and read the difference"


def test_the_transcripts_are_found() -> None:
    assert len(TRANSCRIPTS) >= 7


def test_a_transcript_with_another_output_is_noticed() -> None:
    text = (FOLDER / TRANSCRIPTS[0]).read_text()
    spoiled = text.replace("durable=", "durable=9", 1)
    assert spoiled != text
    assert replay(spoiled) == text
