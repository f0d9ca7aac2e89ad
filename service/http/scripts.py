"""Script sets: which there are, and the steps of a roll-out."""

import binascii
from base64 import b64decode, b64encode
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request

from service.decisions.replicated.commands import StageScripts
from service.decisions.replicated.state import State
from service.error_registry import (
    DecisionUnknown,
    FieldInvalid,
    NotCommitted,
    ScriptSetFirst,
    ScriptSetInvalid,
    ScriptSetMoved,
    ScriptSetNotLoaded,
    ScriptSetStrandsData,
    ScriptSetUnknown,
)
from service.http.cluster import RequestId, Short
from service.http.context import Context
from service.http.operation import Operation
from service.store import bundle
from service.store.bundle import Argument, BundleError, ScriptSet

PACKED_TEXT_MAX = 320 * 1024
"""A packed set in base64; what fits into one decision."""

Stage = Literal["active", "staged", "former"]
_DECISION_ERRORS = (NotCommitted, DecisionUnknown)
_ACTIVATION_ERRORS = (
    *_DECISION_ERRORS,
    ScriptSetUnknown,
    ScriptSetNotLoaded,
    ScriptSetStrandsData,
    ScriptSetMoved,
)


class StageRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`packed` is a script set as `simpul scripts stage` sends it: packed, then base64."""

    packed: Annotated[str, msgspec.Meta(min_length=1, max_length=PACKED_TEXT_MAX, pattern="^[A-Za-z0-9+/]+=*$")]
    request_id: RequestId | None = None


class ActivateRequest(msgspec.Struct, forbid_unknown_fields=True):
    version: Short
    request_id: RequestId | None = None


class RollbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    request_id: RequestId | None = None


class ScriptSetNamed(msgspec.Struct):
    ok: Literal[True]
    version: str


class ScriptLine(msgspec.Struct):
    sha: str
    summary: str


class SetLine(msgspec.Struct):
    """`loaded` says for this node: empty once all its Redis primaries have the scripts, else why not."""

    state: Stage
    staged_at_ms: int
    layout: int
    reads: tuple[int, ...]
    loaded: str


class ScriptsPage(msgspec.Struct):
    """`version` and `scripts` are the active set's, `shipped` is what this node was installed with."""

    version: str
    fence: str
    shipped: str
    layout: int
    sets: dict[str, SetLine]
    scripts: dict[str, ScriptLine]


class ScriptArgument(msgspec.Struct):
    """One of KEYS or ARGV as the header declares it; `repeats`: once per item of a batch."""

    name: str
    about: str
    repeats: bool


class ScriptSource(msgspec.Struct):
    """`keys` and `args` say, in order, what EVALSHA sends."""

    sha: str
    source: str
    keys: list[ScriptArgument]
    args: list[ScriptArgument]


class ScriptSetPage(msgspec.Struct):
    version: str
    layout: int
    reads: tuple[int, ...]
    scripts: dict[str, ScriptSource]


async def show_all(context: Context, _: Request) -> ScriptsPage:
    fence, state = context.authority.fence, context.member.machine.state
    active = fence.known_sets().get(fence.script_set)
    loaded = fence.loaded()
    return ScriptsPage(
        version=fence.script_set,
        fence=fence.text,
        shipped=context.authority.shipped.version,
        layout=state.layout,
        sets={
            version: SetLine(
                _stage_of(version, state), stored.staged_at_ms, stored.layout, stored.reads, loaded.get(version, "")
            )
            for version, stored in state.script_sets.items()
        },
        scripts={name: ScriptLine(one.sha, one.summary) for name, one in (active.scripts if active else {}).items()},
    )


async def show_one(context: Context, request: Request) -> ScriptSetPage:
    found = _known(context, request.path_params["version"])
    sources = {
        name: ScriptSource(script.sha, script.source, _shown(script.keys), _shown(script.args))
        for name, script in found.scripts.items()
    }
    return ScriptSetPage(found.version, found.layout, found.reads, sources)


def _shown(arguments: tuple[Argument, ...]) -> list[ScriptArgument]:
    return [ScriptArgument(*argument) for argument in arguments]


def _stage_of(version: str, state: State) -> Stage:
    if version == state.script_set:
        return "active"
    return "former" if version in state.activations else "staged"


def _known(context: Context, version: str) -> ScriptSet:
    sets = context.authority.fence.known_sets()
    if version not in sets:
        raise ScriptSetUnknown(version=version, known=", ".join(sets) or "none")
    return sets[version]


async def _stage(context: Context, request: StageRequest) -> ScriptSetNamed:
    try:
        packed = b64decode(request.packed, validate=True)
        script_set = bundle.unpack(packed)
    except binascii.Error as error:
        raise FieldInvalid(field="packed", reason=f"is not base64 ({error})") from None
    except BundleError as error:
        raise ScriptSetInvalid(reason=str(error)) from None
    command = StageScripts(script_set.version, packed)
    result = await context.member.decisions.propose(command, request.request_id)
    return ScriptSetNamed(True, result["version"])


async def _activate(context: Context, request: ActivateRequest) -> ScriptSetNamed:
    await context.authority.asking.activate(request.version, request.request_id)
    return ScriptSetNamed(True, request.version)


async def _rollback(context: Context, request: RollbackRequest) -> ScriptSetNamed:
    return ScriptSetNamed(True, await context.authority.asking.go_back(request.request_id))


OPERATIONS = (
    Operation(
        path="/scripts/stage",
        summary="Make a script set known to the cluster; every node loads it into Redis, and nothing runs it yet.",
        request=StageRequest,
        replies=(ScriptSetNamed,),
        errors=(*_DECISION_ERRORS, ScriptSetInvalid),
        bind=lambda context: lambda request, _: _stage(context, request),
        examples=({"packed": b64encode(bundle.pack(bundle.shipped())).decode()},),
    ),
    Operation(
        path="/scripts/activate",
        summary="Let every node call the scripts of a staged set from now on.",
        request=ActivateRequest,
        replies=(ScriptSetNamed,),
        errors=_ACTIVATION_ERRORS,
        bind=lambda context: lambda request, _: _activate(context, request),
        examples=({"version": "3f0c9a1b2d4e"},),
    ),
    Operation(
        path="/scripts/rollback",
        summary="Go back to the set that was active before.",
        request=RollbackRequest,
        replies=(ScriptSetNamed,),
        errors=(*_ACTIVATION_ERRORS, ScriptSetFirst),
        bind=lambda context: lambda request, _: _rollback(context, request),
        examples=({},),
    ),
)
