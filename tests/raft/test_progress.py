"""What a leader knows of one follower, rule by rule: each event leaves exactly these variables."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest

from service.raft.progress import Mode, Progress

REPLICATING = Progress(next=8, match=4, mode=Mode.REPLICATE, inflight=deque([5, 6, 7]), owed=False)
PROBING = Progress(next=8, match=4, mode=Mode.PROBE, probing=True, owed=False)
INSTALLING = Progress(next=8, match=4, mode=Mode.SNAPSHOT, snapshot_index=20, snapshot_ticks=3, owed=False)


def copy_of(progress: Progress) -> Progress:
    return replace(progress, inflight=deque(progress.inflight))


@pytest.mark.parametrize(
    ("progress", "window", "may"),
    [
        (REPLICATING, 4, True),
        (REPLICATING, 3, False),
        (PROBING, 4, False),
        (replace(PROBING, probing=False), 4, True),
        (INSTALLING, 4, False),
    ],
)
def test_flow_control_by_mode(progress: Progress, window: int, may: bool) -> None:
    assert progress.may_send(window) is may


def test_an_optimistic_request_moves_next_and_an_empty_one_only_settles_what_was_owed() -> None:
    progress = replace(copy_of(REPLICATING), owed=True)
    progress.sent(7, 0)
    assert progress == REPLICATING
    progress.sent(9, 2)
    assert progress == replace(REPLICATING, next=10, inflight=deque([5, 6, 7, 9]))


def test_a_probe_is_waited_for_and_does_not_move_next() -> None:
    progress = replace(PROBING, probing=False, owed=True)
    progress.sent(8, 1)
    assert progress == PROBING


@pytest.mark.parametrize(
    ("before", "match", "is_news", "after"),
    [
        (REPLICATING, 6, True, replace(REPLICATING, match=6, inflight=deque([7]))),
        (REPLICATING, 4, False, REPLICATING),
        (REPLICATING, 3, False, REPLICATING),
        (REPLICATING, 9, True, replace(REPLICATING, match=9, next=10, inflight=deque())),
        (PROBING, 3, False, PROBING),
        (PROBING, 4, False, replace(PROBING, mode=Mode.REPLICATE, next=5, probing=False)),
        (PROBING, 7, True, replace(PROBING, mode=Mode.REPLICATE, match=7, next=8, probing=False)),
        (INSTALLING, 19, True, replace(INSTALLING, match=19, next=20)),
        (INSTALLING, 20, True, replace(INSTALLING, mode=Mode.REPLICATE, match=20, next=21)),
    ],
)
def test_an_acknowledgement(before: Progress, match: int, is_news: bool, after: Progress) -> None:
    progress = copy_of(before)
    assert progress.acknowledged(match) is is_news
    assert progress == after


@pytest.mark.parametrize(
    ("before", "rejected", "retry", "is_news", "after"),
    [
        (REPLICATING, 7, 3, True, replace(PROBING, next=5, probing=False, owed=True)),
        (REPLICATING, 6, 3, True, replace(PROBING, next=5, probing=False, owed=True)),
        (REPLICATING, 4, 3, False, REPLICATING),
        (PROBING, 6, 5, False, PROBING),
        (PROBING, 7, 6, True, replace(PROBING, next=6, probing=False, owed=True)),
        (PROBING, 7, 2, True, replace(PROBING, next=5, probing=False, owed=True)),
        (PROBING, 7, 99, True, replace(PROBING, next=7, probing=False, owed=True)),
        (INSTALLING, 7, 6, False, INSTALLING),
    ],
)
def test_a_refusal(before: Progress, rejected: int, retry: int, is_news: bool, after: Progress) -> None:
    progress = copy_of(before)
    assert progress.refused(rejected, retry) is is_news
    assert progress == after


def test_a_snapshot_silences_everything_else() -> None:
    progress = replace(copy_of(REPLICATING), snapshot_ticks=9, owed=True)
    progress.await_snapshot(20)
    assert progress == replace(INSTALLING, snapshot_ticks=0)


def test_a_follower_that_answers_heartbeats_frees_one_place_in_the_window() -> None:
    progress = copy_of(REPLICATING)
    progress.heard_heartbeat()
    assert progress == replace(REPLICATING, inflight=deque([6, 7]))
    probing = replace(PROBING)
    probing.heard_heartbeat()
    assert probing == replace(PROBING, probing=False)
