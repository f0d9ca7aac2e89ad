"""Which scripts run: staged, then activated, never over data they cannot read."""

from service.decisions.replicated.commands import ActivateScripts, Outcome, Place, StageScripts, refused
from service.decisions.replicated.state import State, StoredSet
from service.error_registry import (
    ScriptSetInvalid,
    ScriptSetMoved,
    ScriptSetStrandsData,
    ScriptSetUnknown,
)
from service.store import bundle
from service.store.bundle import BundleError

SETS_KEPT = 8
"""Staged and formerly active ones, the active one included; the oldest of the others goes first."""
ACTIVATIONS_KEPT = 16


def stage(state: State, command: StageScripts, place: Place) -> Outcome:
    if command.version in state.script_sets:
        return Outcome("ok", {"version": command.version})
    try:
        script_set = bundle.unpack(command.packed)
    except BundleError as error:
        return refused(ScriptSetInvalid(reason=str(error)))
    if script_set.version != command.version:
        return refused(ScriptSetInvalid(reason=f"it is {script_set.version} and not {command.version}"))
    state.script_sets[command.version] = StoredSet(command.packed, script_set.layout, script_set.reads, place.at_ms)
    _prune(state)
    return Outcome("ok", {"version": command.version})


def activate(state: State, command: ActivateScripts, _: Place) -> Outcome:
    stored = state.script_sets.get(command.version)
    if stored is None:
        known = ", ".join(state.script_sets) or "none"
        return refused(ScriptSetUnknown(version=command.version, known=known))
    if command.expected != state.script_set:
        return refused(ScriptSetMoved(active=state.script_set, expected=command.expected))
    if state.layout and state.layout not in stored.reads:
        reads = ", ".join(map(str, stored.reads))
        return refused(ScriptSetStrandsData(version=command.version, reads=reads, layout=state.layout))
    state.layout = max(state.layout, stored.layout)
    if command.version != state.script_set:
        state.activations.append(command.version)
        del state.activations[:-ACTIVATIONS_KEPT]
    return Outcome("ok", {"version": command.version})


def _prune(state: State) -> None:
    """Keep the active set, what rollback goes to, and the newest of the others."""
    wanted = {*state.activations[-2:]}
    for version in list(state.script_sets):
        if len(state.script_sets) <= SETS_KEPT:
            return
        if version not in wanted:
            del state.script_sets[version]
