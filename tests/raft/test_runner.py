"""The loop around the core: one thing at a time, ticks that survive stalls, and an end that is certain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from service.raft.chronicle import Chronicle
from service.raft.config import Config
from service.raft.core import Raft
from service.raft.errors import NotLeader
from service.raft.events import StartedPreVote
from service.raft.messages import HardState, Heartbeat, Message, Snapshot
from service.raft.ready import Role
from service.raft.runner import Runner, Timing
from service.raft.state import Stored
from service.raft.storage import Compact, Job, Save
from service.raft.waiting import Superseded, Unknown
from tests.support import eventually

TICK_S = 0.002


class Tape:
    """A state machine that remembers every command in order."""

    def __init__(self) -> None:
        self.played: list[bytes] = []

    def apply(self, index: int, data: bytes) -> Any:
        if data == b"poison":
            raise ValueError("a command that this version does not know")
        self.played.append(data)
        return len(self.played)

    def save(self) -> bytes:
        return b"\n".join(self.played)

    def restore(self, data: bytes) -> None:
        self.played = data.split(b"\n") if data else []


class PromptDisk:
    """Durable in the next turn of the loop, unless it hangs."""

    def __init__(self) -> None:
        self.pending = 0
        self.hangs = False
        self.jobs: list[Job] = []

    def submit(self, job: Job, done: Callable[[], None]) -> None:
        self.pending += 1
        self.jobs.append(job)
        if not self.hangs:
            asyncio.get_running_loop().call_soon(self._done, done)

    def _done(self, done: Callable[[], None]) -> None:
        self.pending -= 1
        done()


class One:
    """A runner with its parts; messages go to `wire`."""

    def __init__(
        self, node: str, members: tuple[str, ...], wire: Callable[[list[Message]], None], stored: Stored | None = None
    ) -> None:
        self.tape = Tape()
        self.disk = PromptDisk()
        self.deaths: list[str] = []
        self.snapshot_entries = 1_000_000
        config = Config(node, members, trailing_entries=4)
        self.runner = Runner(
            Raft(config, Random(node), stored),
            self.tape,
            self.disk,
            Timing(TICK_S, disk_hung_ticks=60),
            Chronicle(node, 2, lambda url: url),
            send=wire,
            fatal=self.deaths.append,
            snapshot_entries=lambda: self.snapshot_entries,
        )


class Three:
    """Three runners whose messages arrive unless their sender or addressee is cut off."""

    def __init__(self) -> None:
        self.cut: set[str] = set()
        self.deaf: set[str] = set()
        names = ("a", "b", "c")
        self.ones = {name: One(name, names, self.carry) for name in names}

    def carry(self, messages: list[Message]) -> None:
        for message in messages:
            if message.to not in self.deaf and not self.cut & {message.sender, message.to}:
                asyncio.get_running_loop().call_soon(self.ones[message.to].runner.step, message)

    async def leader(self, among: str = "abc") -> str:
        async def found() -> str | None:
            return next((name for name in among if self.ones[name].runner.soft_state.role is Role.LEADER), None)

        return str(await eventually(found, "a leader"))

    def start(self) -> None:
        for one in self.ones.values():
            one.runner.start()

    def stop(self) -> None:
        for one in self.ones.values():
            one.runner.stop()


def on_a_loop(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


async def until(condition: Callable[[], Any], what: str) -> None:
    async def holds() -> bool:
        return bool(condition())

    await eventually(holds, what)


def alone(stored: Stored | None = None) -> One:
    return One("a", ("a",), lambda _: None, stored)


async def leading(one: One) -> One:
    one.runner.start()
    await until(one.runner.leads, "it to lead")
    return one


def test_a_single_node_leads_without_waiting_for_an_election_timeout() -> None:
    async def scenario() -> None:
        started = time.perf_counter()
        one = await leading(alone())
        assert await one.runner.propose(b"x") == 1
        assert time.perf_counter() - started < 20 * TICK_S
        one.runner.stop()

    on_a_loop(scenario())


def test_a_start_neither_waits_a_whole_election_timeout_nor_tells_of_silence_it_did_not_hear() -> None:
    async def scenario() -> None:
        sent: list[Message] = []
        one = One("a", ("a", "b", "c"), sent.extend)
        one.runner.start()
        await until(lambda: sent, "a pre-vote")
        ticks, asked = one.runner.core.history[0]
        assert isinstance(asked, StartedPreVote)
        assert asked.silent_ticks == ticks <= one.runner.config.election_ticks + one.runner.config.heartbeat_ticks
        assert ticks < one.runner.core.timeout_ticks
        one.runner.stop()

    on_a_loop(scenario())


def test_a_restarted_member_does_not_disturb_its_leader() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        leader = await three.leader()
        await three.ones[leader].runner.propose(b"x")
        term = three.ones[leader].runner.soft_state.term
        back = "abc".replace(leader, "")[0]
        three.ones[back].runner.stop()
        core = three.ones[back].runner.core
        stored = Stored(HardState(core.term, core.vote), None, tuple(core.log.entries))
        three.ones[back] = again = One(back, ("a", "b", "c"), three.carry, stored)
        # Deaf until it has asked: the early question must reach a cluster that has a leader.
        three.deaf.add(back)
        again.runner.start()
        await until(lambda: again.runner.soft_state.role is Role.PRE_CANDIDATE, "its question")
        three.deaf.clear()
        await until(lambda: again.runner.soft_state.leader == leader, "it to follow")
        assert await three.ones[leader].runner.propose(b"y") == 2
        assert {one.runner.soft_state.term for one in three.ones.values()} == {term}
        assert three.ones[leader].runner.leads()
        three.stop()

    on_a_loop(scenario())


def test_proposals_of_one_turn_share_one_write() -> None:
    async def scenario() -> None:
        one = await leading(alone())
        await one.runner.propose(b"first")
        before = len(one.disk.jobs)
        assert await asyncio.gather(*(one.runner.propose(b"x") for _ in range(50))) == list(range(2, 52))
        assert len(one.disk.jobs) - before == 1
        one.runner.stop()

    on_a_loop(scenario())


def test_outcomes_reach_the_proposer_and_every_tape_is_the_same() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        leader = three.ones[await three.leader()]
        outcomes = await asyncio.gather(*(leader.runner.propose(b"%d" % number) for number in range(20)))
        assert outcomes == list(range(1, 21))
        tapes = [one.tape for one in three.ones.values()]
        await until(lambda: all(tape.played == tapes[0].played and len(tape.played) == 20 for tape in tapes), "all")
        three.stop()

    on_a_loop(scenario())


def test_a_follower_refuses_a_proposal_and_names_the_leader() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        leader = await three.leader()
        follower = next(one for name, one in three.ones.items() if name != leader)
        await until(lambda: follower.runner.soft_state.leader == leader, "the follower to know")
        with pytest.raises(NotLeader) as refused:
            await follower.runner.propose(b"x")
        assert refused.value.leader == leader
        three.stop()

    on_a_loop(scenario())


def test_a_proposal_that_another_leader_overwrote_is_certainly_not_committed() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        old = await three.leader()
        three.cut.add(old)
        lost = three.ones[old].runner.propose(b"lost")
        new = await three.leader("abc".replace(old, ""))
        await three.ones[new].runner.propose(b"kept")
        three.cut.clear()
        with pytest.raises(Superseded):
            await lost
        assert three.ones[old].tape.played == [b"kept"]
        three.stop()

    on_a_loop(scenario())


def test_a_stopping_node_does_not_claim_to_know_what_became_of_a_proposal() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        old = await three.leader()
        three.cut.add(old)
        waiting = three.ones[old].runner.propose(b"x")
        await until(lambda: three.ones[old].runner.core.log.commit < three.ones[old].runner.core.log.last, "the entry")
        three.stop()
        with pytest.raises(Unknown):
            await waiting

    on_a_loop(scenario())


def test_leadership_is_handed_over_without_an_election_timeout() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        old = await three.leader()
        await three.ones[old].runner.propose(b"x")
        assert await three.ones[old].runner.hand_over(within_s=0.3)
        assert await three.leader() != old
        three.stop()

    on_a_loop(scenario())


def test_a_read_shows_what_was_committed_before_it() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        leader = await three.leader()
        follower = next(one for name, one in three.ones.items() if name != leader)
        await until(lambda: follower.runner.soft_state.leader == leader, "the follower to know")
        await three.ones[leader].runner.propose(b"x")
        await follower.runner.confirm_read()
        assert follower.tape.played == [b"x"]
        three.stop()

    on_a_loop(scenario())


def test_time_is_counted_whole_although_no_timer_wakes_a_follower_that_hears_its_leader() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        leader = await three.leader()
        await three.ones[leader].runner.propose(b"x")
        runner = next(one.runner for name, one in three.ones.items() if name != leader)
        await until(lambda: runner.soft_state.leader == leader, "the follower to know")
        woken: list[float] = []
        on_timer = runner._on_timer
        runner._on_timer = lambda: (woken.append(0), on_timer())[1]  # type: ignore[method-assign, func-returns-value]
        loop = asyncio.get_running_loop()
        ticks, began, stalls = runner.core.ticks, loop.time(), runner.stalls
        await until(lambda: runner.core.ticks - ticks >= 200, "200 ticks")
        took_ticks = (loop.time() - began) / TICK_S
        # A stall of this machine is not counted whole, which is another test's claim.
        assert runner.stalls > stalls or 190 <= runner.core.ticks - ticks <= took_ticks + 10
        assert len(woken) < 100, "half as often as it ticks, on the busiest machine"
        three.stop()

    on_a_loop(scenario())


@pytest.mark.parametrize(("passed_ticks", "counted"), [(4, 4), (9, 0)], ids=["asleep", "stalled"])
def test_a_message_finds_the_time_counted_before_it_unless_that_was_a_stall(passed_ticks: int, counted: int) -> None:
    async def undisturbed() -> bool:
        one = One("a", ("a", "b", "c"), lambda _: None)
        one.runner.start()
        await until(lambda: one.runner.core.ticks, "the first tick")
        assert one.runner._timer
        one.runner._timer.cancel()
        before = one.runner.core.ticks
        passed = iter([passed_ticks])
        one.runner._ticks_due = lambda: next(passed, 0)  # type: ignore[method-assign]
        one.runner.step(Heartbeat("b", "a", 1, 0, 0))
        await until(lambda: one.runner.soft_state.leader == "b", "it to follow")
        one.runner.stop()
        if one.runner.stalls:
            return False
        assert one.runner.core.ticks - before == counted
        assert one.runner.core.election_elapsed == 0, "what passed before the leader spoke is no silence of it"
        return True

    async def scenario() -> None:
        # A stall of this machine counts ticks of its own, a moment later.
        while not await undisturbed():
            continue

    on_a_loop(scenario())


def test_a_read_that_is_not_urgent_is_confirmed_without_a_round_of_its_own() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        leader = three.ones[await three.leader()]
        await leader.runner.propose(b"x")
        round_before = leader.runner.core.read_round
        confirmed = [leader.runner.confirm_read(is_urgent=False) for _ in range(20)]
        await asyncio.gather(*confirmed)
        assert leader.runner.core.read_round == round_before + 1
        three.stop()

    on_a_loop(scenario())


def test_a_stall_of_the_loop_does_not_count_as_the_leaders_silence() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        leader = await three.leader()
        await three.ones[leader].runner.propose(b"x")
        term = three.ones[leader].runner.soft_state.term
        for _ in range(3):
            time.sleep(100 * TICK_S)  # noqa: ASYNC251 - the stall itself: five election timeouts
            await three.ones[leader].runner.propose(b"x")
        assert three.ones[leader].runner.stalls >= 3
        assert {one.runner.soft_state.term for one in three.ones.values()} == {term}
        three.stop()

    on_a_loop(scenario())


def test_a_hung_disk_ends_the_leader_and_another_takes_over() -> None:
    async def scenario() -> None:
        three = Three()
        three.start()
        old = await three.leader()
        three.ones[old].disk.hangs = True
        waiting = three.ones[old].runner.propose(b"x")
        new = await three.leader("abc".replace(old, ""))
        await until(lambda: three.ones[old].deaths, "its end")
        assert "the disk has not answered" in three.ones[old].deaths[0]
        assert not three.ones[old].runner.leads()
        assert await three.ones[new].runner.propose(b"y") == len(three.ones[new].tape.played)
        await asyncio.wait([waiting])
        assert waiting.exception() is None or isinstance(waiting.exception(), Superseded | Unknown)
        three.stop()

    on_a_loop(scenario())


def test_nothing_is_said_or_done_after_the_end() -> None:
    async def scenario() -> None:
        sent: list[Message] = []
        one = One("a", ("a", "b", "c"), sent.extend)
        one.runner.start()
        await until(lambda: sent, "a campaign")
        one.runner.die("test")
        sent.clear()
        await asyncio.sleep(50 * TICK_S)
        assert not sent
        with pytest.raises(NotLeader):
            await one.runner.propose(b"x")
        assert one.deaths == ["test"]

    on_a_loop(scenario())


def test_a_command_that_cannot_be_applied_ends_the_member() -> None:
    async def scenario() -> None:
        one = await leading(alone())
        with pytest.raises(Unknown):
            await one.runner.propose(b"poison")
        assert "does not know" in one.deaths[0]

    on_a_loop(scenario())


def test_snapshots_bound_the_log_and_restore_the_machine() -> None:
    async def scenario() -> None:
        one = alone()
        one.snapshot_entries = 10
        await leading(one)
        for number in range(35):
            await one.runner.propose(b"%d" % number)
        snapshots = [job.snapshot for job in one.disk.jobs if isinstance(job, Compact)]
        assert len(snapshots) >= 3
        assert len(one.runner.core.log.entries) < 20
        one.runner.stop()
        again = alone(_stored_by(one.disk))
        again.tape.restore(snapshots[-1].data)
        await leading(again)
        assert await again.runner.propose(b"last") == 36
        assert again.tape.played == [*(b"%d" % number for number in range(35)), b"last"]
        again.runner.stop()

    on_a_loop(scenario())


def _stored_by(disk: PromptDisk) -> Stored:
    """What a restart would find."""
    snapshot: Snapshot | None = None
    entries = {}
    hard_state = Stored().hard_state
    for job in disk.jobs:
        if isinstance(job, Compact):
            snapshot = job.snapshot
        elif isinstance(job, Save):
            hard_state = job.hard_state or hard_state
            entries.update({entry.index: entry for entry in job.entries})
    assert snapshot is not None
    kept = tuple(entry for index, entry in sorted(entries.items()) if index > snapshot.index)
    return Stored(hard_state, snapshot, kept)
