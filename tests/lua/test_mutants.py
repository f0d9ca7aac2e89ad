"""Each rule of the scripts, taken out: the test that states it must go red, or it proves nothing.

The claims are the tests of this folder, called on a mutated script set; that they are green on the shipped one is what
running this folder shows. A mutant that no longer fits its source fails: a rule that moves takes its mutant along.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lua import (
    mutants_atomic,
    mutants_deadlock,
    mutants_fence,
    mutants_lock,
    mutants_modes,
    mutants_names,
    mutants_quarantine,
    mutants_queue,
    mutants_rest,
    mutants_schedule,
    mutants_several,
    mutants_topic,
    mutants_waiting,
)
from tests.lua.mutant import Mutant, mutated
from tests.lua.runner import Runner
from tests.support import DEFAULT_FLAVOUR, RedisServer

MUTANTS = (
    *mutants_atomic.MUTANTS,
    *mutants_deadlock.MUTANTS,
    *mutants_fence.MUTANTS,
    *mutants_lock.MUTANTS,
    *mutants_modes.MUTANTS,
    *mutants_names.MUTANTS,
    *mutants_quarantine.MUTANTS,
    *mutants_queue.MUTANTS,
    *mutants_rest.MUTANTS,
    *mutants_schedule.MUTANTS,
    *mutants_several.MUTANTS,
    *mutants_topic.MUTANTS,
    *mutants_waiting.MUTANTS,
)


@pytest.fixture
def mutant_server(servers: dict[str, RedisServer]) -> RedisServer:
    server = servers[DEFAULT_FLAVOUR]
    client = server.client()
    client.flushall()
    client.close()
    return server


@pytest.fixture
def run(request: pytest.FixtureRequest, mutant_server: RedisServer, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(mutant_server, mutated(request.param, tmp_path))
    yield runner
    runner.close()


@pytest.mark.parametrize(
    ("run", "mutant"), [(one, one) for one in MUTANTS], ids=[one.rule for one in MUTANTS], indirect=["run"]
)
def test_the_claim_goes_red_without_its_rule(run: Runner, mutant: Mutant) -> None:
    names = list(inspect.signature(mutant.claim).parameters)[1:]
    # An unpacking that does not fit is as red as an assert.
    with pytest.raises((AssertionError, ValueError)):
        mutant.claim(run, **dict(zip(names, mutant.args, strict=True)))
