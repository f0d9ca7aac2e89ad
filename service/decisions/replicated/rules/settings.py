"""Numbers that all nodes share."""

from service.decisions.replicated.commands import CLUSTER_SETTINGS, ChangeSetting, Outcome, Place, refused
from service.decisions.replicated.state import State
from service.error_registry import FieldInvalid


def change(state: State, command: ChangeSetting, _: Place) -> Outcome:
    setting = CLUSTER_SETTINGS.get(command.name)
    if setting is None:
        return refused(FieldInvalid(field="name", reason=f"is not one of {', '.join(CLUSTER_SETTINGS)}"))
    if not setting.least <= command.value <= setting.most:
        return refused(FieldInvalid(field="value", reason=f"must be {setting.least} to {setting.most}"))
    if command.name == "delegation_ms":
        state.delegation_longest_ms = max(state.delegation_most_ms(), command.value)
    state.settings[command.name] = command.value
    return Outcome("ok", {"name": command.name, "value": command.value})
