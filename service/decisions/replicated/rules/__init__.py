"""What each command does to the state: pure functions `(state, command, place) -> Outcome`, one noun a file.

The same commands in the same order give the same state on every node, so nothing here may read a clock, a random
source, a setting of this node or anything else that differs between nodes. `place` is the command's own in the log.
"""

from collections.abc import Callable
from typing import Any

from service.decisions.replicated.commands import (
    ActivateScripts,
    AdoptData,
    AssignPartitions,
    ChangeSetting,
    CoverLeases,
    ForceRelease,
    FoundCluster,
    Outcome,
    Place,
    RaiseGeneration,
    RegisterNode,
    ReplaceDisk,
    StageScripts,
)
from service.decisions.replicated.rules import forced, generations, membership, owners, script_sets, settings
from service.decisions.replicated.state import State

Rule = Callable[[State, Any, Place], Outcome]

RULES: dict[type[Any], Rule] = {
    FoundCluster: membership.found,
    RegisterNode: membership.register,
    ReplaceDisk: membership.replace_disk,
    ChangeSetting: settings.change,
    RaiseGeneration: generations.raise_generation,
    AdoptData: generations.adopt,
    CoverLeases: generations.cover_leases,
    StageScripts: script_sets.stage,
    ActivateScripts: script_sets.activate,
    AssignPartitions: owners.assign,
    ForceRelease: forced.force_release,
}
