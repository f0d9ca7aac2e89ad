"""Which Redis counts, since when, and how long what it forgot may still be held."""

from service.decisions.replicated.commands import AdoptData, CoverLeases, Outcome, Place, RaiseGeneration, refused
from service.decisions.replicated.state import Cover, Generation, State
from service.error_registry import FieldInvalid, GenerationExhausted, GenerationMoved
from service.keys import GENERATION_MAX
from service.limits import LEASE_MS_MAX, LEASE_MS_MIN

GENERATIONS_KEPT = 64
ADOPTED_MAX = 64


def raise_generation(state: State, command: RaiseGeneration, place: Place) -> Outcome:
    """Only from the generation that its proposer knew: two who see one loss raise it once."""
    if command.expected != state.generation or command.number <= state.generation:
        return refused(GenerationMoved(generation=state.generation, expected=command.expected))
    if command.number > GENERATION_MAX:
        return refused(GenerationExhausted(number=command.number))
    state.generations.append(Generation(command.number, command.why, place.at_ms, command.primaries, command.hold_ms))
    del state.generations[:-GENERATIONS_KEPT]
    return Outcome("ok", {"generation": command.number})


def adopt(state: State, command: AdoptData, _: Place) -> Outcome:
    if command.cluster_id == state.cluster_id:
        return refused(FieldInvalid(field="cluster_id", reason="is the id of this very cluster"))
    if not 0 <= command.quarantine_ms <= LEASE_MS_MAX:
        return refused(FieldInvalid(field="quarantine_ms", reason=f"must be 0 to {LEASE_MS_MAX}"))
    if len(state.adopted) >= ADOPTED_MAX and command.cluster_id not in state.adopted:
        return refused(FieldInvalid(field="cluster_id", reason=f"{ADOPTED_MAX} clusters were adopted already"))
    state.adopted[command.cluster_id] = command.quarantine_ms
    return Outcome("ok", {"cluster_id": command.cluster_id})


def cover_leases(state: State, command: CoverLeases, place: Place) -> Outcome:
    """Replaces the announcement that the node knew; a delayed one that comes after a newer changes nothing."""
    if command.url not in state.nodes:
        return refused(FieldInvalid(field="url", reason="is not a registered node"))
    if not LEASE_MS_MIN <= command.lease_ms <= LEASE_MS_MAX:
        return refused(FieldInvalid(field="lease_ms", reason=f"must be {LEASE_MS_MIN} to {LEASE_MS_MAX}"))
    if command.expected == state.cover(command.url).index:
        state.covers[command.url] = Cover(command.lease_ms, place.index)
    return Outcome("ok", {"lease_ms": state.cover(command.url).lease_ms})
