"""Whose disk is believed: the first one heard under a name, until the cluster declares it lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.error_registry import RaftDiskReplaced
from service.raft.admission import Admission
from service.raft.storage import Job, Register


class Saved:
    """Jobs given to storage, finished when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._done: list[Callable[[], None]] = []

    def __call__(self, job: Job, done: Callable[[], None]) -> None:
        self.jobs.append(job)
        self._done.append(done)

    def finish(self) -> None:
        for done in self._done:
            done()
        self._done.clear()


def test_a_member_is_heard_only_once_its_disk_is_durably_known() -> None:
    saved = Saved()
    admission = Admission({}, saved)
    assert not admission.admits("b", "disk1")
    assert not admission.admits("b", "disk1"), "asked again while it is being written"
    assert saved.jobs == [Register("b", "disk1")], "written once"
    assert admission.disk_of("b") == ""
    saved.finish()
    assert admission.admits("b", "disk1")
    assert admission.disk_of("b") == "disk1"


def test_another_disk_under_a_known_name_is_refused() -> None:
    admission = Admission({"b": "disk1"}, Saved())
    with pytest.raises(RaftDiskReplaced):
        admission.admits("b", "disk2")
    assert admission.admits("b", "disk1")


def test_a_second_disk_is_refused_even_when_it_speaks_before_the_first_is_durable() -> None:
    saved = Saved()
    admission = Admission({}, saved)
    assert not admission.admits("b", "disk1")
    assert not admission.admits("b", "disk2")
    saved.finish()
    assert saved.jobs == [Register("b", "disk1")]
    with pytest.raises(RaftDiskReplaced):
        admission.admits("b", "disk2")


def test_a_lost_disk_is_refused_for_ever_and_the_next_one_is_taken_up() -> None:
    saved = Saved()
    admission = Admission({"b": "disk1", "c": "disk9"}, saved)
    assert admission.forget(["disk1"]) == ["b"]
    assert admission.forget(["disk1"]) == [], "said once"
    assert saved.jobs == [Register("b", "")]
    with pytest.raises(RaftDiskReplaced):
        admission.admits("b", "disk1")
    assert not admission.admits("b", "disk2")
    saved.finish()
    assert admission.admits("b", "disk2")
    assert admission.admits("c", "disk9")
