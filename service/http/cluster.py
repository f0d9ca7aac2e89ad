"""What the cluster has decided about itself, and how to change it."""

from typing import Annotated, Literal

import msgspec

from service.decisions import inspection
from service.decisions.inspection import PartitionsView, RedisView
from service.decisions.replicated.commands import CLUSTER_SETTINGS, AdoptData, ChangeSetting, ReplaceDisk
from service.error_registry import DecisionUnknown, DiskNotRegistered, NotCommitted
from service.http.context import Context
from service.http.operation import Operation
from service.limits import INTEGER_MAX, LEASE_MS_MAX, NAME_BYTES_MAX
from service.lock import Ended

RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_BYTES_MAX, pattern="^[!-~]+$")]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_SettingName = Literal[
    "snapshot_entries", "outcomes_kept", "quarantine", "delegation_ms", "owner_silent_ms", "lock_history"
]
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


class AdoptRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`quarantine_ms`: how long a lease that the other cluster granted may still run; 0 if its Redis lost nothing."""

    cluster_id: Short
    quarantine_ms: Annotated[int, msgspec.Meta(ge=0, le=LEASE_MS_MAX)]
    request_id: RequestId | None = None


class Adopted(msgspec.Struct):
    ok: Literal[True]
    cluster_id: str


class ClusterNode(msgspec.Struct):
    """One node; what only the leader hears is null while there is none."""

    name: str
    disk: str
    heard_ms: int | None
    """Since the leader had its last report."""
    generation: int | None
    """The one it works with."""
    shipped: str | None
    """Script set of its installation."""
    lease_cover_ms: int
    """The longest lease it may grant without announcing it."""
    partitions: list[int]
    """Whose duties it does."""


class GenerationLine(msgspec.Struct):
    number: int
    why: str
    at_ms: int


class ForcedLine(msgspec.Struct):
    """A force-release that was decided; `at_ms` is the wall clock of the node that was asked."""

    at_ms: int
    resource: str
    reason: str
    holds: list[Ended]


class ClusterState(msgspec.Struct):
    """As this node has it applied; `settings` shows every cluster setting, decided or default."""

    cluster_id: str
    leader: str | None
    term: int
    generation: int
    generations: list[GenerationLine]
    """The latest ones and why they began, newest first."""
    script_set: str
    nodes: dict[str, ClusterNode]
    assignment: int
    """Number of the decision that gave the partitions their owners."""
    redis: dict[str, RedisView | None]
    """By address; null for one that is not connected."""
    partitions: PartitionsView
    settings: dict[str, int]
    forced_releases: list[ForcedLine]
    """The latest ones, newest first."""
    applied_index: int
    warnings: list[str]


async def _change(context: Context, request: SettingRequest) -> SettingChanged:
    command = ChangeSetting(request.name, request.value)
    result = await context.member.decisions.propose(command, request.request_id)
    return SettingChanged(True, result["name"], result["value"])


async def _replace_disk(context: Context, request: ReplaceDiskRequest) -> DiskReplaced:
    result = await context.member.decisions.propose(ReplaceDisk(request.url, request.lost), request.request_id)
    return DiskReplaced(True, result["url"])


async def _adopt(context: Context, request: AdoptRequest) -> Adopted:
    command = AdoptData(request.cluster_id, request.quarantine_ms)
    result = await context.member.decisions.propose(command, request.request_id)
    return Adopted(True, result["cluster_id"])


async def state_of(context: Context) -> ClusterState:
    authority, machine, runner = context.authority, context.member.machine, context.member.runner
    shown = await inspection.partitions(context.primaries, authority.fence)
    servers = await inspection.redis(context.primaries, machine)
    state = machine.state
    return ClusterState(
        cluster_id=state.cluster_id,
        leader=runner.soft_state.leader,
        term=runner.soft_state.term,
        generation=state.generation,
        generations=[GenerationLine(one.number, one.why, one.at_ms) for one in reversed(state.generations)],
        script_set=state.script_set,
        nodes=await _nodes(context),
        assignment=state.assignment,
        redis=servers,
        partitions=shown,
        settings={name: machine.setting(name) for name in CLUSTER_SETTINGS},
        forced_releases=[
            ForcedLine(one.at_ms, one.resource, one.reason, [Ended(*hold) for hold in one.holds])
            for one in reversed(state.forced)
        ],
        applied_index=runner.applied,
        warnings=inspection.warnings(servers, machine, shown),
    )


async def _nodes(context: Context) -> dict[str, ClusterNode]:
    state = context.member.machine.state
    try:
        heard = await context.authority.asking.nodes()
    except NotCommitted:
        heard = {}  # no leader: shown as not heard
    nodes = {}
    for url, node in state.nodes.items():
        view = heard.get(url)
        nodes[url] = ClusterNode(
            name=node.name,
            disk=node.disk,
            heard_ms=view.heard_ms if view else None,
            generation=view.generation if view else None,
            shipped=view.shipped if view else None,
            lease_cover_ms=state.cover(url).lease_ms,
            partitions=[number for number, owner in enumerate(state.owners) if owner == url],
        )
    return nodes


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
        path="/cluster/adopt",
        summary="Take over what Redis holds of another cluster, which is gone for good.",
        request=AdoptRequest,
        replies=(Adopted,),
        errors=_DECISION_ERRORS,
        bind=lambda context: lambda request, _: _adopt(context, request),
        examples=({"cluster_id": "6f1c2a9b0d4e4a52b7f3c1d2e3f40516", "quarantine_ms": 60000},),
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
