"""One run: a new cluster, its clients, one nemesis, and what the checkers say of the history."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.chaos.checkers import violations
from tests.chaos.checkers.cache import reads
from tests.chaos.history import Event, Violation, select
from tests.chaos.nemeses import NEMESES, Nemesis
from tests.chaos.recorder import Recorder
from tests.chaos.stage import Stage
from tests.chaos.workload import play
from tests.chaos.world import World, world

WARM_S = (0.8, 1.2)
"""How long the clients run before the fault."""
TAIL_S = 1.5
"""And after it."""


@dataclass(frozen=True)
class Trial:
    """What came of one run."""

    nemesis: str
    seed: int
    history: list[Event]
    violations: list[Violation]
    grant_gap_ms: float
    publish_gap_ms: float
    """The longest time after the fault began in which one node granted no lock, accepted no message."""
    codes: Counter[str] = field(default_factory=Counter)
    stale_ms: list[float] = field(default_factory=list)
    """Of each read that may come from a near cache: how long what it returned had been out of date, 0 if it was not."""

    @property
    def grants(self) -> int:
        return len(select(self.history, "acquire", outcome="ok"))

    @property
    def command(self) -> str:
        """What runs it again."""
        return f"python -m tests.chaos --nemesis {self.nemesis} --seed {self.seed}"


def run_trial(name: str, seed: int, folder: Path) -> Trial:
    """Run one nemesis with one seed in an empty folder."""
    nemesis = NEMESES[name]
    with world(folder, aof=nemesis.aof, replica=nemesis.replica, fake_clocks=nemesis.fake_clocks) as made:
        return asyncio.run(_record(nemesis, seed, made))


async def _record(nemesis: Nemesis, seed: int, made: World) -> Trial:
    recorder = Recorder()
    stage = Stage(recorder, [node.port for node in made.nodes], seed, not nemesis.loses)
    chance = random.Random(f"{seed}-{nemesis.name}")
    fault = asyncio.create_task(_strike(nemesis, made, recorder, chance))
    await play(stage, fault)
    began_ms, ended_ms = await fault
    history = recorder.history
    return Trial(
        nemesis.name,
        seed,
        history,
        violations(history),
        longest_gap_ms(history, "acquire", began_ms, ended_ms),
        longest_gap_ms(history, "publish", began_ms, ended_ms),
        Counter(event.code for event in history if event.code),
        [read.stale_ms for read in reads(history)],
    )


async def _strike(nemesis: Nemesis, made: World, recorder: Recorder, chance: random.Random) -> tuple[float, float]:
    """When the fault began, and when the time to recover from it was over."""
    await asyncio.sleep(chance.uniform(*WARM_S))
    began_ms = recorder.now_ms()
    await asyncio.to_thread(nemesis.fault, made, chance)
    recorder.fault(nemesis.name, began_ms, loses=nemesis.loses)
    await asyncio.sleep(TAIL_S)
    return began_ms, recorder.now_ms()


def longest_gap_ms(history: list[Event], operation: str, began_ms: float, ended_ms: float) -> float:
    """The longest time between `began` and `ended` in which the worst node did not succeed with this operation."""
    successes = select(history, operation, outcome="ok")
    worst = 0.0
    for node in ("n1", "n2", "n3"):
        times = sorted(e.completed_ms for e in successes if e.node == node and began_ms < e.completed_ms < ended_ms)
        moments = [began_ms, *times, ended_ms]
        worst = max([worst, *(later - earlier for earlier, later in pairwise(moments))])
    return worst
