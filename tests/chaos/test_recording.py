"""What a run writes down is what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import cli
from tests.chaos.checkers import violations
from tests.chaos.histories import acquire, event, loss
from tests.chaos.history import Outcome, save
from tests.chaos.http_client import Reply
from tests.chaos.nemeses import NEMESES
from tests.chaos.recorder import Recorder, classify
from tests.chaos.registers import Register
from tests.chaos.trial import longest_gap_ms


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (200, {"granted": True}, "ok", ""),
        (409, {"code": "lock_held", "retry": "later"}, "refused", "lock_held"),
        (422, {"code": "field_invalid", "retry": "no"}, "refused", "field_invalid"),
        (504, {"code": "outcome_unknown", "retry": "same-id"}, "unknown", "outcome_unknown"),
        (503, {"code": "made_tomorrow", "retry": "later"}, "refused", "made_tomorrow"),
        (502, {}, "unknown", "502"),
    ],
)
def test_an_answer_says_whether_anything_was_changed(
    status: int, body: dict[str, object], outcome: Outcome, code: str
) -> None:
    assert classify(Reply(status, body)) == (outcome, code)


def test_a_guarded_register_refuses_who_was_overtaken_by_a_read() -> None:
    recorder = Recorder()
    register = Register("r", recorder)
    assert register.read("guarded", "a", 1, "a") == 0
    assert register.read("guarded", "b", 2, "b") == 0
    assert not register.write("guarded", "a", 1, "a", 0)
    assert register.write("guarded", "b", 2, "b", 0)
    assert register.read("guarded", "b", 2, "b") == 1
    assert violations(recorder.history) == []


def test_a_guarded_register_cannot_help_against_a_token_given_twice() -> None:
    recorder = Recorder()
    register = Register("r", recorder)
    for owner in ("a", "b"):
        register.read("guarded", owner, 1, owner)
    for owner in ("a", "b"):
        register.write("guarded", owner, 1, owner, 0)
    assert {found.rule for found in violations(recorder.history)} == {"guarded update lost", "stale writer accepted"}


def test_a_plain_register_takes_anybody_and_loses_an_update() -> None:
    recorder = Recorder()
    register = Register("r", recorder)
    for owner in ("a", "b"):
        assert register.write("plain", owner, 1, owner, 0)
    assert [found.rule for found in violations(recorder.history)] == ["plain update lost"]


def test_a_gap_is_that_of_the_worst_node_and_counts_to_the_end() -> None:
    history = [
        event("c", "publish", "t", (at, at), node=node)
        for node, times in {"n1": (50, 150, 250), "n2": (60, 110, 290), "n3": (10, 120, 230)}.items()
        for at in times
    ]
    assert longest_gap_ms(history, "publish", 100, 300) == 180
    assert longest_gap_ms(history, "publish", 100, 400) == 180
    assert longest_gap_ms(history, "publish", 200, 500) == 270


def test_a_stored_history_is_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = tmp_path / "h.jsonl"
    save([acquire("a", (0, 5), 1), loss((6, 7)), acquire("b", (10, 15), 2)], stored)
    assert cli.main(["--check", str(stored)]) == 1
    assert "a holds r until 999.00 ms, b from 15.00 ms" in capsys.readouterr().out


def test_seeds_take_turns_among_the_chosen_nemeses() -> None:
    options = cli.parse(["--nemesis", "calm,flushall", "--seeds", "3", "--first", "5"])
    assert list(cli.plan(options, options.names)) == [("flushall", 5), ("calm", 6), ("flushall", 7)]
    options = cli.parse(["--seed", "9"])
    assert list(cli.plan(options, options.names)) == [(name, 9) for name in NEMESES]
