"""What the cluster has decided about itself, and how to change it."""

from typing import Annotated, Literal

import msgspec

from service.decisions.commands import CLUSTER_SETTINGS, ChangeSetting, ReplaceDisk
from service.error_registry import DecisionUnknown, DiskNotRegistered, NotCommitted
from service.http.context import Context
from service.http.operation import Operation
from service.limits import INTEGER_MAX, NAME_BYTES_MAX

RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_BYTES_MAX, pattern="^[!-~]+$")]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_SettingName = Literal["snapshot_entries", "outcomes_kept"]
_DECISION_ERRORS = (NotCommitted, DecisionUnknown)


class SettingRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`name` is one of the settings that GET /cluster shows."""

    name: _SettingName
    value: Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
    request_id: RequestId | None = None


class SettingChanged(msgspec.Struct):
    ok: Literal[True]
    name: str
    value: int


class ReplaceDiskRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`url` is the node's SELF_URL, `lost` the disk id that GET /cluster shows for it."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    lost: Short
    request_id: RequestId | None = None


class DiskReplaced(msgspec.Struct):
    ok: Literal[True]
    url: str


class ClusterNode(msgspec.Struct):
    name: str
    disk: str


class ClusterState(msgspec.Struct):
    """As this node has it applied; `settings` shows every cluster setting, decided or default."""

    cluster_id: str
    nodes: dict[str, ClusterNode]
    settings: dict[str, int]
    applied_index: int


async def _change(context: Context, request: SettingRequest) -> SettingChanged:
    command = ChangeSetting(request.name, request.value)
    result = await context.member.decisions.propose(command, request.request_id)
    return SettingChanged(True, result["name"], result["value"])


async def _replace_disk(context: Context, request: ReplaceDiskRequest) -> DiskReplaced:
    result = await context.member.decisions.propose(ReplaceDisk(request.url, request.lost), request.request_id)
    return DiskReplaced(True, result["url"])


def state_of(context: Context) -> ClusterState:
    machine = context.member.machine
    nodes = {url: ClusterNode(node.name, node.disk) for url, node in machine.state.nodes.items()}
    settings = {name: machine.setting(name) for name in CLUSTER_SETTINGS}
    return ClusterState(machine.state.cluster_id, nodes, settings, context.member.runner.applied)


OPERATIONS = (
    Operation(
        path="/cluster/settings",
        summary="Change a setting of the whole cluster, on all nodes at once, without a restart.",
        request=SettingRequest,
        replies=(SettingChanged,),
        errors=_DECISION_ERRORS,
        bind=lambda context: lambda request, _: _change(context, request),
        examples=({"name": "snapshot_entries", "value": 4096},),
    ),
    Operation(
        path="/cluster/replace-disk",
        summary="Declare a node's disk lost for good, so that the node may come back with an empty one.",
        request=ReplaceDiskRequest,
        replies=(DiskReplaced,),
        errors=(*_DECISION_ERRORS, DiskNotRegistered),
        bind=lambda context: lambda request, _: _replace_disk(context, request),
        examples=({"url": "http://127.0.0.1:8003", "lost": "6f1c2a9b0d4e4a52b7f3c1d2e3f40516"},),
    ),
)
