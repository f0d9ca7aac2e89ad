"""Each race of the near cache is lost by nobody: green as it is, red without the guard that wins it."""

import pytest

from tests.near.mutants import MUTANTS, RACES, mutated
from tests.near.races import SCENARIOS, play
from tests.near.simulator import SHIPPED
from tests.support import DEFAULT_FLAVOUR, RedisServer


@pytest.fixture
def emptied(servers: dict[str, RedisServer]) -> RedisServer:
    server = servers[DEFAULT_FLAVOUR]
    with server.client() as client:
        client.flushall()
    return server


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_race_is_won(name: str, emptied: RedisServer) -> None:
    play(name, emptied, SHIPPED)


@pytest.mark.parametrize(("name", "rule"), RACES.items())
def test_the_race_is_lost_without_its_guard(name: str, rule: str, emptied: RedisServer) -> None:
    (mutant,) = [one for one in MUTANTS if one.rule == rule]
    with pytest.raises(AssertionError):
        play(name, emptied, mutated(mutant))


def test_every_race_has_its_guard() -> None:
    assert set(RACES) == set(SCENARIOS)
