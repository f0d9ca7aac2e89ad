"""No value is served that was overwritten for longer than the bound, whatever happens to messages and answers."""

import pytest

from tests.near.mutants import MUTANTS, Mutant, mutated
from tests.near.simulator import Parts, StaleRead, live

LIVES = 60
SEARCHED = 1500
"""Lives that are tried when the one named for a mutant does not notice it any more, because something else changed."""


def test_no_life_serves_a_value_overwritten_longer_ago_than_the_bound() -> None:
    hits = sum(live(seed) for seed in range(LIVES))
    assert hits > 10 * LIVES, "a near cache that serves nothing is never wrong"


FATAL = [one for one in MUTANTS if one.seed >= 0]
"""The others cost freshness or hits, and not the bound."""


@pytest.mark.parametrize("mutant", FATAL, ids=[one.rule for one in FATAL])
def test_a_near_cache_without_this_guard_is_caught(mutant: Mutant) -> None:
    parts = mutated(mutant)
    assert any(_is_caught(seed, parts) for seed in (mutant.seed, *range(SEARCHED)))


def _is_caught(seed: int, parts: Parts) -> bool:
    try:
        live(seed, parts)
    except StaleRead:
        return True
    return False
