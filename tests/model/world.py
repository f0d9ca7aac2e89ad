"""What the models share: an emptied server, time that both sides pass together, and repeatable examples."""

from typing import Any, NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from service.store.bundle import ScriptSet
from tests.lua.runner import Runner
from tests.support import RedisServer

MOMENT_MS = 100_000
"""Times in the models are multiples of this; the real milliseconds of a run never add up to one."""


class Copy(NamedTuple):
    """Everything a replica had, and how far the models' time was then."""

    keys: dict[bytes, tuple[bytes, int]]
    travelled_ms: int


class World(RuleBasedStateMachine):
    """A model beside a real server. What the model says, the scripts must do."""

    server: RedisServer
    script_set: ScriptSet | None = None
    runner: type[Runner] = Runner
    run: Runner

    def open(self) -> None:
        client = self.server.client()
        client.flushall()
        client.close()
        self.run = self.runner(self.server, self.script_set)
        self.run.keep_ms = MOMENT_MS * 1_000_000
        self.now = 0
        self.travelled_ms = 0

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.run.close()

    def pass_moments(self, moments: int, *, linger: bool) -> None:
        # One millisecond more: batches end within the millisecond after their time.
        self.run.pass_time(moments * MOMENT_MS + 1, linger=linger)
        self.travelled_ms += moments * MOMENT_MS + 1
        self.now += moments

    def copy(self) -> Copy:
        redis = self.run.redis
        keys = {key: (redis.dump(key), redis.pttl(key)) for key in redis.keys("*")}
        return Copy(keys, self.travelled_ms)

    def bring_back(self, copy: Copy) -> None:
        """The copy as it is now: what ended since has ended in it, too."""
        redis = self.run.redis
        redis.flushall()
        for key, (value, left_ms) in copy.keys.items():
            redis.restore(key, max(left_ms, 0), value)
        # Also the real time that has gone by, which is much less than this and than a moment.
        self.run.pass_time(self.travelled_ms - copy.travelled_ms + MOMENT_MS // 50)


STEPS_A_LIFE = 40


def explore(
    machine: type[World],
    server: RedisServer,
    *,
    examples_max: int,
    script_set: ScriptSet | None = None,
    seed: int | None = None,
) -> None:
    """Live that many lives, always the same ones, or those of a seed; on a mutant stop at the first failure, which
    nobody will read."""
    bounded = settings(
        max_examples=examples_max,
        stateful_step_count=STEPS_A_LIFE,
        derandomize=seed is None,
        database=None,
        deadline=None,
        phases=[Phase.generate] if script_set else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    lives = type("Machine", (machine,), {"server": server, "script_set": script_set})
    if seed is not None:
        lives = hypothesis.seed(seed)(lives)
    run_state_machine_as_test(lives, settings=bounded)


def mark(request_id: str, contents: tuple[Any, ...]) -> str:
    """The fingerprint of a request."""
    return repr(contents).replace(" ", "") if request_id else ""
