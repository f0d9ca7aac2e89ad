"""Generations, adopted data and announced leases, as the log folds them."""

from service.decisions.replicated.commands import AdoptData, Blessed, ChangeSetting, CoverLeases, Place, RaiseGeneration
from service.decisions.replicated.rules import generations, settings
from service.decisions.replicated.state import LEASE_COVER_MS_DEFAULT, Node, State
from service.keys import GENERATION_MAX

ME = "http://one"
PRIMARY = Blessed("run", "replication")


def raise_to(state: State, number: int, expected: int | None = None) -> str:
    known = state.generation if expected is None else expected
    command = RaiseGeneration(known, number, (PRIMARY,), f"why {number}")
    return generations.raise_generation(state, command, Place(number, 0)).code


def test_two_who_see_one_loss_raise_the_generation_once() -> None:
    state = State()
    assert raise_to(state, 1) == "ok"
    assert raise_to(state, 2, expected=1) == "ok"
    assert raise_to(state, 2, expected=1) == "generation_moved"
    assert raise_to(state, 3, expected=1) == "generation_moved"
    assert state.generation == 2


def test_a_generation_only_rises() -> None:
    state = State()
    raise_to(state, 5)
    assert raise_to(state, 5) == "generation_moved"
    assert raise_to(state, 4) == "generation_moved"
    assert raise_to(state, 9) == "ok"
    assert (state.generation, state.primaries) == (9, (PRIMARY,))


def test_beyond_the_last_generation_tokens_would_not_be_exact() -> None:
    state = State()
    assert raise_to(state, GENERATION_MAX) == "ok"
    assert raise_to(state, GENERATION_MAX + 1) == "generation_exhausted"


def test_the_latest_generations_are_kept_with_their_reasons() -> None:
    state = State()
    for number in range(1, 100):
        raise_to(state, number)
    assert len(state.generations) == generations.GENERATIONS_KEPT
    assert state.generations[-1].why == "why 99"


def test_a_cluster_cannot_adopt_itself() -> None:
    state = State(cluster_id="me")
    assert generations.adopt(state, AdoptData("me", 0), Place(1, 0)).code == "field_invalid"
    assert generations.adopt(state, AdoptData("other", 5_000), Place(2, 0)).code == "ok"
    assert state.adopted == {"other": 5_000}


def cover(state: State, expected: int, lease_ms: int, index: int) -> int:
    generations.cover_leases(state, CoverLeases(ME, expected, lease_ms), Place(index, 0))
    return state.cover(ME).lease_ms


def test_a_delayed_announcement_does_not_undo_a_newer_one() -> None:
    """Or a node would go on granting long leases that nobody reckons with."""
    state = State(nodes={ME: Node("one", "disk")})
    assert cover(state, 0, 600_000, 10) == 600_000
    assert cover(state, 10, LEASE_COVER_MS_DEFAULT, 11) == LEASE_COVER_MS_DEFAULT
    assert cover(state, 11, 3_600_000, 12) == 3_600_000
    assert cover(state, 10, LEASE_COVER_MS_DEFAULT, 13) == 3_600_000
    assert cover(state, 0, LEASE_COVER_MS_DEFAULT, 14) == 3_600_000


def test_a_stranger_announces_nothing() -> None:
    state = State()
    assert generations.cover_leases(state, CoverLeases(ME, 0, 600_000), Place(1, 0)).code == "field_invalid"


def test_the_longest_delegation_ever_decided_is_remembered() -> None:
    state = State()
    for value in (30_000, 2_000):
        settings.change(state, ChangeSetting("delegation_ms", value), Place(1, 0))
    assert state.setting("delegation_ms") == 2_000
    assert state.delegation_most_ms() == 30_000
