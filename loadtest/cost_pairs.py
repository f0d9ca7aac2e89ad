"""Which bare command each script is held against, why that one, and what both find when they run."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import redis

from service.keys import Keys
from service.limits import LEASE_MS_DEFAULT, VISIBILITY_MS_DEFAULT
from service.store.bundle import ScriptSet

_GENERATION = 1
_COUNTER_FLOOR = _GENERATION << 36
_PIPELINE = 1000
_BATCH = 1000
_TAKE = 100
PAYLOAD = b'{"x":1,"text":"forty bytes of payload, more or less ..."}'
_PLACEHOLDER = "__rand_int__"
"""redis-benchmark replaces each by its own random 12 digits, so a command may hold one only."""


class Setting:
    """One round of one pair: where its keys are and how its scripts are called."""

    random = _PLACEHOLDER

    def __init__(self, client: redis.Redis, script_set: ScriptSet, name: str, calls: int) -> None:
        self.client = client
        self.calls = calls
        self._scripts = script_set.scripts
        self._name = name
        keys = Keys("cost")
        self._partition = keys.partitions[0]
        self._channel = keys.wake_channel
        self._fence = f"{_GENERATION}.{script_set.version}"
        for script in self._scripts.values():
            client.script_load(script.source)
        client.set(self._partition.fence, self._fence)
        client.set(self._partition.tokens, _COUNTER_FLOOR)
        client.set(self._partition.versions, _COUNTER_FLOOR)

    def call(self, script: str, name: str, *, all_keys: bool = False, **args: Any) -> list[bytes]:
        """EVALSHA as a node sends it: keys and arguments by the names in the script's header; `name` is the lock,
        topic or cache key, which has no tags. `all_keys`: as for a topic that uses more than the plain ones."""
        made = self._scripts[script]
        shared = ("fence", "tokens", "versions", "names", "sessions", "granted", "quarantine", "lock_events", "due")
        # An empty name: the partition's keys alone (outcome of no request id).
        keys = [
            getattr(self._partition, _ATTRIBUTE.get(key.name, key.name))
            + (b"" if key.name in shared else b"" if key.name == "outcome" else name.encode())
            for key in made.keys
            if key.name not in ("tag", "shared") and (all_keys or not getattr(key, "is_optional", False))
        ]
        given = {
            **_ARGUMENTS,
            "name": "k",
            "fence": self._fence,
            "channel": self._channel,
            "wake_channel": self._channel,
            **args,
        }
        values = [given[argument.name] for argument in made.args]
        return [_bytes(part) for part in ("EVALSHA", made.sha, len(keys), *keys, *values)]

    def execute(self, *parts: Any) -> Any:
        return self.client.execute_command(*parts)  # type: ignore[no-untyped-call]

    def all(self, commands: Iterator[list[bytes]]) -> None:
        """Send many commands."""
        while chunk := list(islice(commands, _PIPELINE)):
            pipeline = self.client.pipeline(transaction=False)
            for command in chunk:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            pipeline.execute()

    @property
    def names(self) -> Iterator[str]:
        """Every value the placeholder can take, and the one that is tried first."""
        yield "once"
        yield from (f"{number:012d}" for number in range(self.calls))


_ATTRIBUTE = {"entry": "cache"}
_ARGUMENTS: dict[str, Any] = {
    "fingerprint": "",
    "keep_ms": 600_000,
    "owner": "alice",
    "mode": "exclusive",
    "ttl_ms": LEASE_MS_DEFAULT,
    "token": "",
    "delay_ms": 0,
    "options": "",
    "is_default": 1,
    "consumer": "anonymous",
    "taker": "",
    "session_ms": 0,
    "data": PAYLOAD,
    "max": 1,
    "visibility_ms": VISIBILITY_MS_DEFAULT * 10,
    "delivery": "",
    "generation": "",
    "value": PAYLOAD,
    "if_version": "",
    "detail": "",
    "all": "",
    "knows_names": 1,
    "stale_ms": 0,
    "fill_token": "",
    "fill_ms": 5_000,
    "nonce": "a",
    "early": 0,
    "known": "",
    "up_to": -1,
}


def _bytes(part: Any) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()


def _words(*parts: Any) -> list[bytes]:
    return [_bytes(part) for part in parts]


class Pair(NamedTuple):
    name: str
    bare_name: str
    why: str
    """Why this command is the fair yardstick."""
    script: Callable[[Setting, str], list[bytes]]
    """Given the round and a name (or the placeholder for random ones)."""
    bare: Callable[[Setting], list[bytes]]
    prepare: Callable[[Setting], None] = lambda _: None


def _hold_all(setting: Setting) -> None:
    setting.all(setting.call("lock.acquire", name, ttl_ms=600_000) for name in setting.names)
    setting.all(_words("SET", f"bare:{name}", "alice", "PX", 600_000) for name in setting.names)


def _hold_one(setting: Setting) -> None:
    setting.execute(*setting.call("lock.acquire", "r", ttl_ms=600_000))
    setting.client.set("bare", "alice", px=600_000)


def _fill(setting: Setting) -> None:
    """As many messages as will be taken, in the topic and in a stream with a group."""
    ids = iter(setting.names)
    while batch := list(islice(ids, _BATCH)):
        call = setting.call("queue.publish", "t", id=batch[0])
        setting.execute(*call, *(part for more in batch[1:] for part in (more, "0", PAYLOAD)))
    # From the first delivery on it is known when something is due.
    setting.execute(*setting.call("queue.publish", "t", id="first"))
    setting.execute(*setting.call("queue.consume", "t", all_keys=True))
    setting.all(_words("XADD", "bare", f"{number}-0", "d", PAYLOAD) for number in range(1, setting.calls + 2))
    setting.execute("XGROUP", "CREATE", "bare", "g", "0")


def _deliver(setting: Setting) -> None:
    _fill(setting)
    for _ in range(setting.calls // _TAKE + 1):
        setting.execute(*setting.call("queue.consume", "t", max=_TAKE))
    setting.execute("XREADGROUP", "GROUP", "g", "c", "COUNT", setting.calls + 1, "STREAMS", "bare", ">")


def _store(setting: Setting) -> None:
    setting.execute(*setting.call("cache.put", "k", ttl_ms=0))
    setting.client.set("bare", PAYLOAD)


def _keep_names(setting: Setting) -> None:
    """As a cluster does once somebody removed by prefix."""
    setting.execute(*setting.call("cache.begin_names", "", build="b"))


def _store_all(setting: Setting) -> None:
    """Values with their names kept."""
    _keep_names(setting)
    setting.all(setting.call("cache.store", name, ttl_ms=0) for name in setting.names)
    setting.all(_words("SET", f"bare:{name}", PAYLOAD) for name in setting.names)


PAIRS = (
    Pair(
        "lock.acquire",
        "SET NX PX",
        "the whole of a lock in one command, as everybody writes it",
        lambda setting, name: setting.call("lock.acquire", name),
        lambda _: _words("SET", f"bare:{_PLACEHOLDER}", "alice", "NX", "PX", LEASE_MS_DEFAULT),
    ),
    Pair(
        "lock.release",
        "DEL",
        "frees the lock, though whoever holds it",
        lambda setting, name: setting.call("lock.release", name),
        lambda _: _words("DEL", f"bare:{_PLACEHOLDER}"),
        _hold_all,
    ),
    Pair(
        "lock.renew",
        "PEXPIRE",
        "lengthens the lease, though whoever holds it",
        lambda setting, _: setting.call("lock.renew", "r", token=_COUNTER_FLOOR + 1),
        lambda _: _words("PEXPIRE", "bare", 600_000),
        _hold_one,
    ),
    Pair(
        "queue.publish",
        "XADD",
        "stores a message with an id at the end of an ordered queue, as RPUSH of an id alone does not",
        lambda setting, name: setting.call("queue.publish", "t", id=name),
        lambda _: _words("XADD", "bare", "*", "d", PAYLOAD),
    ),
    Pair(
        "queue.consume",
        "XREADGROUP",
        "delivers the next message and remembers it as pending; LMOVE knows no time and no count",
        lambda setting, _: setting.call("queue.consume", "t"),
        lambda _: _words("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "bare", ">"),
        _fill,
    ),
    Pair(
        "queue.ack",
        "XACK",
        "takes a delivery out of the pending ones (but leaves the message in the stream)",
        lambda setting, name: setting.call("queue.ack", "t", id=name),
        lambda _: _words("XACK", "bare", "g", f"{_PLACEHOLDER}-0"),
        _deliver,
    ),
    Pair(
        "cache.put",
        "SET",
        "stores the value",
        lambda setting, name: setting.call("cache.put", name, ttl_ms=0),
        lambda _: _words("SET", f"bare:{_PLACEHOLDER}", PAYLOAD),
    ),
    Pair(
        "cache.get",
        "GET",
        "reads the value",
        lambda setting, _: setting.call("cache.get", "k"),
        lambda _: _words("GET", "bare"),
        _store,
    ),
    Pair(
        "cache.read",
        "GET",
        "reads the value; of one key, as a strong read that finds no copy",
        lambda setting, _: setting.call("cache.read", "k"),
        lambda _: _words("GET", "bare"),
        _store,
    ),
    Pair(
        "cache.store",
        "SET",
        "stores the value; without tags, and while the names of keys are kept: what a put costs then",
        lambda setting, name: setting.call("cache.store", name, ttl_ms=0),
        lambda _: _words("SET", f"bare:{_PLACEHOLDER}", PAYLOAD),
        _keep_names,
    ),
    Pair(
        "cache.fill",
        "GET",
        "finds the value, which is there as a rule",
        lambda setting, _: setting.call("cache.fill", "k"),
        lambda _: _words("GET", "bare"),
        _store,
    ),
    Pair(
        "cache.put_many",
        "SET",
        "stores the value; a list of one",
        lambda setting, name: setting.call("cache.put_many", name, ttl_ms=0),
        lambda _: _words("SET", f"bare:{_PLACEHOLDER}", PAYLOAD),
    ),
    Pair(
        "cache.remove_named",
        "UNLINK",
        "removes the value, though nobody is told",
        lambda setting, name: setting.call("cache.remove_named", name, up_to=2**53 - 1),
        lambda _: _words("UNLINK", f"bare:{_PLACEHOLDER}"),
        _store_all,
    ),
)
