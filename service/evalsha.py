"""The redis-cli line that runs one script by hand, with the keys and the fence a node would send.

What a script needs is read from its header; this module knows only how a header's words become keys and values.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from service.atomic.groups import APPLY
from service.atomic.plan import Plan
from service.atomic.wire import AtomicRequest, PublishMessage
from service.config import Config
from service.error_registry import FieldInvalid
from service.errors import SimpulError
from service.keys import PARTITIONS, Keys, Partition
from service.limits import LEASE_MS_DEFAULT, LOCK_WAIT_S_DEFAULT, NAME_BYTES_MAX, VISIBILITY_MS_DEFAULT
from service.lock.waiting import SESSION_MS
from service.queue import receipts
from service.queue.receipts import ReceiptParts
from service.queue.topics import Topic
from service.store.bundle import Argument, LuaScript, ScriptSet


class EvalshaError(Exception):
    """The line cannot be made; the message says what this script accepts."""


class Place(NamedTuple):
    """What a key is made from."""

    partition: Partition
    name: bytes
    request_id: bytes


class Standing(NamedTuple):
    """What Redis says of a partition; `cluster_id` and `duty` ("assignment node") are empty where there is none."""

    fence: str
    cluster_id: str
    duty: str


KEY_BUILDERS: Mapping[str, Callable[[Place], bytes]] = {
    "fence": lambda place: place.partition.fence,
    "installed": lambda place: place.partition.fence,
    "cluster": lambda place: place.partition.cluster,
    "duty": lambda place: place.partition.duty,
    "quarantine": lambda place: place.partition.quarantine,
    "tokens": lambda place: place.partition.tokens,
    "versions": lambda place: place.partition.versions,
    "sessions": lambda place: place.partition.sessions,
    "granted": lambda place: place.partition.granted,
    "lock_events": lambda place: place.partition.lock_events,
    "outcome": lambda place: place.partition.outcome + place.request_id,
    "lock": lambda place: place.partition.lock + place.name,
    "readers": lambda place: place.partition.readers + place.name,
    "reader_holds": lambda place: place.partition.reader_holds + place.name,
    "waiters": lambda place: place.partition.waiters + place.name,
    "waiter_info": lambda place: place.partition.waiter_info + place.name,
    "messages": lambda place: place.partition.messages + place.name,
    "ready": lambda place: place.partition.ready + place.name,
    "delayed": lambda place: place.partition.delayed + place.name,
    "inflight": lambda place: place.partition.inflight + place.name,
    "settings": lambda place: place.partition.settings + place.name,
    "due": lambda place: place.partition.due,
    "timetable": lambda place: place.partition.timetable,
    "schedules": lambda place: place.partition.schedules,
    "schedule_names": lambda place: place.partition.schedule_names,
    "urgent": lambda place: place.partition.urgent + place.name,
    "expiring": lambda place: place.partition.expiring + place.name,
    "line": lambda place: place.partition.line + place.name,
    "busy": lambda place: place.partition.busy + place.name,
    "seen": lambda place: place.partition.seen + place.name,
    "ghosts": lambda place: place.partition.ghosts + place.name,
    "takers": lambda place: place.partition.takers + place.name,
    "dead": lambda place: place.partition.dead + place.name,
    "flow": lambda place: place.partition.flow + place.name,
    "shared": lambda place: place.partition.shared + place.name.partition(b"\1")[0],
    "topic_settings": lambda place: place.partition.settings + place.name.partition(b"\1")[0],
    "entry": lambda place: place.partition.cache + place.name,
    "tag": lambda place: place.partition.tag + place.name,
    "names": lambda place: place.partition.names,
    "part": lambda place: place.partition.cache + place.name,
}
"""Every key name a script header may use; a test fails for a script with another one."""

_PLACE_FIELD = {"lock": "resource", "queue": "topic", "cache": "key", "atomic": "operations"}
_PARTITION_KEYS = frozenset(
    {
        "fence",
        "installed",
        "cluster",
        "duty",
        "quarantine",
        "tokens",
        "versions",
        "outcome",
        "sessions",
        "granted",
        "lock_events",
        "names",
        "due",
        "timetable",
        "schedules",
        "schedule_names",
    }
)
"""A script that has no other keys acts on the partition as a whole."""
_RECEIPT_PARTS = ReceiptParts._fields
_JSON_ARGS = ("data", "value")
_GENERATION_BITS = 36
_OFFLINE_GENERATION = 1

_DEFAULTS: Mapping[str, str] = {
    "mode": "exclusive",
    "caller": "0",
    "delay_ms": "0",
    "max": "1",
    "consumer": "redis-cli",
    "offset": "0",
    "limit": "20",
    "session_ms": str(SESSION_MS),
    "wait_ms": str(int(LOCK_WAIT_S_DEFAULT * 1000)),
    "visibility_ms": str(VISIBILITY_MS_DEFAULT),
    "ttl_ms": str(LEASE_MS_DEFAULT),
}
"""For arguments whose header names no default of its own ("empty = …", "0 = …")."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One script call, ready to be written down."""

    script: LuaScript
    keys: tuple[bytes, ...]
    args: tuple[bytes, ...]
    partition: Partition

    def evalsha_line(self, redis_cli: list[str]) -> str:
        """`redis_cli` are the words before the command (see service/store/by_hand.py)."""
        call = ["EVALSHA", self.script.sha, str(len(self.keys)), *_texts(self.keys + self.args)]
        return shlex.join([*redis_cli, *call])

    def debugger_line(self, redis_cli: list[str], folder: Path) -> str:
        """For redis-cli's Lua debugger, which runs a flattened file on a fork of the data and keeps no change."""
        file = str(folder / f"{self.script.name}.lua")
        return shlex.join([*redis_cli, "--ldb", "--eval", file, *_texts(self.keys), ",", *_texts(self.args)])


def invocation(
    script_set: ScriptSet,
    name: str,
    words: Iterable[str],
    config: Config,
    read: Callable[[Partition], Standing] | None,
) -> Invocation:
    """Make the call that `name` with these `field=value` words means.

    `read` asks Redis for a partition's standing; None puts a placeholder in its place. Raises EvalshaError.
    """
    script = script_set.scripts.get(name)
    if script is None:
        raise EvalshaError(f"there is no script {name!r}; there are {', '.join(script_set.scripts)}")
    given = _parse(script, words)
    keys = Keys(config.cluster_name)
    group = _group(script, keys, given) if script.name == APPLY.name else None
    places = _places(script, keys, given) if group is None else [_place_of_group(group, given)]
    partition = places[0].partition
    offline = Standing(f"{_OFFLINE_GENERATION}.{script_set.version}", "", "")
    standing = read(partition) if read else offline
    standing = standing._replace(fence=given.get("fence", [standing.fence])[0])
    known = _known_values(keys, config, standing, bool(places[0].request_id))
    if group is not None:
        args = _args(script, given, known, 0) + tuple(map(_bytes, group.args))
        return Invocation(script, (*_keys(script, places[:1])[:-1], *group.keys), args, partition)
    return Invocation(
        script, _keys(script, places), _args(script, given, known, _items(script, given, places)), partition
    )


def _group(script: LuaScript, keys: Keys, given: Mapping[str, list[str]]) -> Plan:
    """Operations as POST /atomic takes them; a message needs an id, which nobody chooses here."""
    text = given.get("operations", ["[]"])[0]
    try:
        request = msgspec.json.decode(b'{"operations":%s}' % text.encode(), type=AtomicRequest)
        ids = [one.id for one in request.operations if isinstance(one, PublishMessage) and one.id is not None]
        return Plan(keys, request, ids, lambda name: Topic(keys, name))
    except StopIteration:
        raise _misuse(script, "the id of a message is missing") from None
    except (msgspec.DecodeError, SimpulError) as error:
        raise _misuse(script, f"operations={text} cannot be used: {error}") from None


def _place_of_group(group: Plan, given: Mapping[str, list[str]]) -> Place:
    return Place(group.partition, b"", given.get("request_id", [""])[0].encode())


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def usage(script: LuaScript) -> str:
    """What a script accepts, from its header; optional words in brackets."""
    place = _place_field(script)
    lines = [f"  {place}={'0-' + str(PARTITIONS - 1) if place == 'partition' else '…'}"]
    for argument in _asked(script):
        default = _default(script, argument)
        shown = f"{argument.name}=…" if default is None else f"[{argument.name}={default}]"
        lines.append(f"  {shown:<28} {argument.about}")
    if _takes_receipt(script):
        lines.append(f"  {'receipt=…':<28} stands for {', '.join(_RECEIPT_PARTS)}")
    if _has_outcome(script):
        lines.append(f"  {'[request_id=]':<28} makes a repeat return the first outcome")
    return "\n".join(lines)


def _parse(script: LuaScript, words: Iterable[str]) -> dict[str, list[str]]:
    """Words by field; a field that is sent once per item may be given several times."""
    place = _place_field(script)
    arguments = {argument.name: argument for argument in script.args}
    accepted = {place, *arguments, *(["receipt"] if _takes_receipt(script) else [])}
    accepted |= {"request_id"} if _has_outcome(script) else set()
    repeating = {place} if script.keys[-1].repeats else set()
    repeating |= {name for name, argument in arguments.items() if argument.repeats}
    if repeating & set(_RECEIPT_PARTS):
        repeating.add("receipt")
    given: dict[str, list[str]] = {}
    for word in words:
        field, equals, value = word.partition("=")
        if not equals or field not in accepted:
            raise _misuse(script, f"{word!r} is not understood")
        if field in given and field not in repeating:
            raise _misuse(script, f"{field} is given twice")
        if field in _JSON_ARGS and not _is_json(value):
            raise _misuse(script, f"{field}={value} is not JSON; a text is written {field}='\"…\"'")
        given.setdefault(field, []).append(value)
    if "receipt" in given:
        _split_receipts(script, given)
    return given


def _split_receipts(script: LuaScript, given: dict[str, list[str]]) -> None:
    for field in _RECEIPT_PARTS:
        if field in given:
            raise _misuse(script, f"receipt already says {field}")
    for receipt in given.pop("receipt"):
        try:
            parts = receipts.parse("receipt", receipt)
        except FieldInvalid as error:
            raise _misuse(script, f"receipt={receipt} {error.fields['reason']}") from None
        for field, value in zip(_RECEIPT_PARTS, parts, strict=True):
            given.setdefault(field, []).append(value)


def _places(script: LuaScript, keys: Keys, given: Mapping[str, list[str]]) -> list[Place]:
    field = _place_field(script)
    request_id = given.get("request_id", [""])[0].encode()
    names = given.get(field)
    if not names:
        raise _misuse(script, f"{field} is missing")
    if field == "partition":
        if not names[0].isascii() or not names[0].isdecimal() or int(names[0]) >= PARTITIONS:
            raise _misuse(script, f"partition={names[0]} does not exist")
        return [Place(keys.partitions[int(names[0])], b"", request_id)]
    places = []
    for name in names:
        encoded = name.encode("utf-8", "surrogateescape")
        if not 0 < len(encoded) <= NAME_BYTES_MAX:
            raise _misuse(script, f"{field} has {len(encoded)} bytes, a name has 1 to {NAME_BYTES_MAX}")
        places.append(Place(keys.partition_of(encoded), encoded, request_id))
    for name, place in zip(names, places, strict=True):
        if place.partition is not places[0].partition:
            raise _misuse(
                script,
                f"{names[0]} lives in partition {places[0].partition.number} and {name} in {place.partition.number}; "
                f"one call acts in one partition",
            )
    return places


def _keys(script: LuaScript, places: list[Place]) -> tuple[bytes, ...]:
    for key in script.keys:
        if key.name not in KEY_BUILDERS:
            raise EvalshaError(f"{script.name} has a key {key.name!r}, which KEY_BUILDERS in service/evalsha.py lacks")
    # Only subscriptions are sent what they share.
    left_out = "" if b"\1" in places[0].name or not script.keys[-1].is_optional else "shared"
    fixed = (key.name for key in script.keys if not key.repeats and key.name != left_out)
    built = [KEY_BUILDERS[name](places[0]) for name in fixed]
    built += (KEY_BUILDERS[key.name](place) for place in places for key in script.keys if key.repeats)
    return tuple(built)


def _known_values(keys: Keys, config: Config, standing: Standing, has_request_id: bool) -> dict[str, str]:
    """What a node fills in by itself, as far as Redis tells it."""
    generation = standing.fence.partition(".")[0]
    assignment, _, node = standing.duty.partition(" ")
    told = {"cluster_id": standing.cluster_id, "assignment": assignment, "node": node}
    return {
        **{name: value for name, value in told.items() if value},
        "fence": standing.fence,
        "fingerprint": "redis-cli" if has_request_id else "",
        "keep_ms": str(config.outcome_keep_ms),
        "channel": keys.invalidate_channel.decode(),
        "wake_channel": keys.wake_channel.decode(),
        "floor": str(int(generation) << _GENERATION_BITS) if generation.isdecimal() else "",
    }


def _items(script: LuaScript, given: Mapping[str, list[str]], places: list[Place]) -> int:
    """How often the repeated arguments are sent: once for each place, where places repeat too."""
    if script.keys[-1].repeats:
        return len(places)
    return max((len(given.get(argument.name, ())) for argument in script.args if argument.repeats), default=0) or 1


def _args(script: LuaScript, given: Mapping[str, list[str]], known: Mapping[str, str], items: int) -> tuple[bytes, ...]:
    repeated = [argument for argument in script.args if argument.repeats]
    values = [_value(script, argument, given, known, 0) for argument in script.args if not argument.repeats]
    values += [_value(script, argument, given, known, item) for item in range(items) for argument in repeated]
    return tuple(value.encode("utf-8", "surrogateescape") for value in values)


def _value(
    script: LuaScript, argument: Argument, given: Mapping[str, list[str]], known: Mapping[str, str], item: int
) -> str:
    values = given.get(argument.name, [])
    if item < len(values):
        return values[item]
    default = known.get(argument.name, _default(script, argument))
    if default is None or (values and argument.name == "id"):
        which = f" of item {item + 1}" if item else ""
        raise _misuse(script, f"{argument.name}{which} is missing")
    return default


def _default(script: LuaScript, argument: Argument) -> str | None:
    """What the header says an absent value is, else ours, else none: then it must be given."""
    if "empty = " in argument.about or "empty without" in argument.about:
        return ""
    if "0 = " in argument.about:
        return "0"
    return _DEFAULTS.get(argument.name)


def _asked(script: LuaScript) -> list[Argument]:
    ours = ("fence", "fingerprint", "keep_ms", "channel", "wake_channel", "floor", "operation", "payload")
    return [argument for argument in script.args if argument.name not in ours]


def _misuse(script: LuaScript, what: str) -> EvalshaError:
    return EvalshaError(f"{what}. {script.name} takes:\n{usage(script)}")


def _place_field(script: LuaScript) -> str:
    is_whole = all(key.name in _PARTITION_KEYS for key in script.keys)
    return "partition" if is_whole else _PLACE_FIELD[script.name.partition(".")[0]]


def _has_outcome(script: LuaScript) -> bool:
    return any(key.name == "outcome" for key in script.keys)


def _takes_receipt(script: LuaScript) -> bool:
    return {argument.name for argument in script.args}.issuperset(_RECEIPT_PARTS)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode("utf-8", "surrogateescape") for value in values]
