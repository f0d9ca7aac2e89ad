"""A node's settings: read once from the environment, checked, and never changed while it runs.

Names without the SIMPUL_ prefix come from the service whose API we keep; deployments written for it start
ours unchanged. `SETTINGS` is the one list; `simpul config` and docs/reference/configuration.md print it.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from service import redis_url


class ConfigError(ValueError):
    """A setting that cannot be used; the message names it, its value and what is accepted."""


class Setting(NamedTuple):
    env: str
    field: str
    kind: type
    default: str
    unit: str
    accepts: str
    about: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "NODE_ID",
        "node_id",
        str,
        "n1",
        "name",
        "1-64 of a-z A-Z 0-9 . _ -",
        "Name of this node. Two nodes with one name would answer for each other.",
    ),
    Setting("HTTP_PORT", "http_port", int, "8001", "port", "1-65535", "The API."),
    Setting(
        "METRICS_PORT",
        "metrics_port",
        int,
        "0",
        "port",
        "0-65535",
        "Prometheus text on a port of its own; 0 leaves it to /metrics on HTTP_PORT.",
    ),
    Setting(
        "SELF_URL",
        "self_url",
        str,
        "",
        "URL",
        "http://host:port",
        "How peers and clients reach this node; empty means http://127.0.0.1:HTTP_PORT.",
    ),
    Setting(
        "PEERS",
        "peers",
        tuple,
        "",
        "URLs",
        "comma-separated; this node's own URL may be among them",
        "The other nodes.",
    ),
    Setting(
        "QUORUM",
        "quorum",
        int,
        "0",
        "nodes",
        "0, or a majority of the members",
        "Kept for old deployments: a value that is not the majority of the members is refused.",
    ),
    Setting(
        "CLUSTER_NAME",
        "cluster_name",
        str,
        "simpul",
        "name",
        "1-64 of a-z A-Z 0-9 . _ -",
        "Prefix of every Redis key: clusters of different names share one Redis in peace. Changing it "
        "leaves all data behind under the old name.",
    ),
    Setting(
        "REDIS_URL",
        "redis_url",
        str,
        "redis://127.0.0.1:6379/0",
        "URL",
        "redis://, rediss:// or unix:// for one server, redis+sentinel://host:port,.../service or "
        "redis+cluster://host:port,... (rediss+... with TLS)",
        "Where the data lives. What a Redis failure may lose is decided by its own appendfsync setting.",
    ),
    Setting(
        "SIMPUL_HOST",
        "host",
        str,
        "127.0.0.1",
        "address",
        "an address of this machine",
        "Interface to listen on. There is no user authentication: anything but loopback belongs behind a "
        "private network or a proxy.",
    ),
    Setting(
        "SIMPUL_DATA",
        "data_dir",
        str,
        ".simpul",
        "folder",
        "a writable folder",
        "This node's own durable state: its Raft log, above all. Losing it on a majority loses what was decided.",
    ),
    Setting(
        "SIMPUL_STORE_IN_FLIGHT",
        "store_in_flight_max",
        int,
        "10000",
        "calls",
        "1-1000000",
        "Calls waiting for Redis on one connection; the next one is answered 503 store_busy.",
    ),
    Setting(
        "SIMPUL_STORE_TIMEOUT_MS",
        "store_timeout_ms",
        int,
        "2000",
        "ms",
        "50-60000",
        "A Redis that has not answered for this long is hung: the connection is dropped and its calls are "
        "answered 504 outcome_unknown.",
    ),
    Setting(
        "SIMPUL_OUTCOME_KEEP_MS",
        "outcome_keep_ms",
        int,
        "600000",
        "ms",
        "1000-86400000",
        "How long the outcome of a request_id is kept, in Redis. A retry later than this runs again.",
    ),
    Setting(
        "SIMPUL_NEAR_ENTRIES",
        "near_entries_max",
        int,
        "10000",
        "entries",
        "0-10000000",
        "Near cache of this node; 0 turns it off.",
    ),
    Setting(
        "SIMPUL_NEAR_BYTES",
        "near_bytes_max",
        int,
        "67108864",
        "bytes",
        "0-68719476736",
        "Keys and values held by the near cache, without the interpreter's own overhead (about 250 bytes an entry).",
    ),
    Setting(
        "SIMPUL_NEAR_STALE_MS",
        "near_stale_ms",
        int,
        "1000",
        "ms",
        "100-60000",
        "The near cache never serves a value that was overwritten longer ago than this, whatever messages are lost. "
        "While copies are read, Redis is asked for a counter of their partition about twice in this time.",
    ),
    Setting(
        "SIMPUL_NEAR_AUDIT_PER_S",
        "near_audit_per_s",
        int,
        "4",
        "copies a second",
        "0-100",
        "So many copies of the near cache are held against Redis unasked, by version, in one call a second while "
        "copies are read; 0 turns that off. What is found is shown by the metrics simpul_near_cache_audit_....",
    ),
    Setting(
        "SIMPUL_CLUSTER_SECRET",
        "cluster_secret",
        str,
        "",
        "text",
        "empty, or 16-256 printable ASCII characters without spaces; the same on every node",
        "What nodes prove to each other with every message. Without it, messages between nodes are accepted from "
        "loopback addresses only. Whoever knows it can decide for the whole cluster; over http it can be read on the "
        "network.",
    ),
    Setting(
        "SIMPUL_HEARTBEAT_MS",
        "heartbeat_ms",
        int,
        "150",
        "ms",
        "30-10000",
        "How often a leader asserts itself. Halving it doubles the requests of idle nodes. The same on every node.",
    ),
    Setting(
        "SIMPUL_ELECTION_MS",
        "election_ms",
        int,
        "1000",
        "ms",
        "200-60000",
        "A leader silent for this long (to twice as long, at random) is replaced; at least 5 heartbeats. Lower than "
        "the worst stall of a machine or its disk, it deposes healthy leaders. The same on every node.",
    ),
    Setting(
        "SIMPUL_DISK_HUNG_MS",
        "disk_hung_ms",
        int,
        "5000",
        "ms",
        "500-600000",
        "A disk that has not answered a write of the Raft log for this long is given up and the node ends. A leader "
        "steps down earlier, after SIMPUL_ELECTION_MS.",
    ),
    Setting(
        "SIMPUL_LEASE_COVER_MS",
        "lease_cover_ms",
        int,
        "60000",
        "ms",
        "50-86400000",
        "Locks of up to this lease are granted without asking the cluster. When this node dies and Redis loses its "
        "data as well, no lock is granted for this long and the delegation; a longer lease is announced first, which "
        "costs a decision.",
    ),
    Setting(
        "SIMPUL_SCRIPTS_AUTO",
        "scripts_auto",
        bool,
        "0",
        "choice",
        "0 or 1",
        "1: once every node was installed with the same newer scripts, they are activated unasked, which `simpul up` "
        "does. 0: an operator activates them (simpul scripts activate), and a rollback lasts.",
    ),
    Setting("SIMPUL_LOG_LEVEL", "log_level", str, "info", "level", "debug, info, warning, error", "Lines to print."),
    Setting(
        "SIMPUL_LOG_COLOUR",
        "log_colour",
        str,
        "auto",
        "choice",
        "auto, always, never",
        "auto: colour on a terminal unless NO_COLOR is set.",
    ),
)


@dataclass(frozen=True, slots=True)
class Config:
    """One node's settings; field meanings are in SETTINGS."""

    node_id: str
    http_port: int
    metrics_port: int
    self_url: str
    peers: tuple[str, ...]
    cluster_name: str
    redis_url: str
    host: str
    data_dir: str
    store_in_flight_max: int
    store_timeout_ms: int
    outcome_keep_ms: int
    near_entries_max: int
    near_bytes_max: int
    near_stale_ms: int
    near_audit_per_s: int
    cluster_secret: str
    heartbeat_ms: int
    election_ms: int
    disk_hung_ms: int
    lease_cover_ms: int
    scripts_auto: bool
    log_level: str
    log_colour: str

    @property
    def members(self) -> tuple[str, ...]:
        """URLs of all nodes, this one included, in an order that is the same on every node."""
        return tuple(sorted({self.self_url, *self.peers}))


_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET = re.compile(r"[!-~]{16,256}")
_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_colour": ("auto", "always", "never"),
}


def load(env: Mapping[str, str] | None = None) -> Config:
    """Read and check the settings.

    Raises ConfigError, naming the variable, what it holds and what is accepted.
    """
    env = os.environ if env is None else env
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        values[setting.field] = _parse(setting, env.get(setting.env, "").strip() or setting.default)
    values["self_url"] = values["self_url"] or f"http://127.0.0.1:{values['http_port']}"
    quorum = values.pop("quorum")
    config = Config(**values)
    _check_quorum(quorum, len(config.members))
    _check_raft(config)
    return config


def _parse(setting: Setting, text: str) -> Any:
    if setting.kind is int:
        return _parse_integer(setting, text)
    if setting.kind is bool:
        if text not in ("0", "1"):
            raise _refusal(setting, text)
        return text == "1"
    if setting.kind is tuple:
        return tuple(_check_url(setting, part.strip()) for part in text.split(",") if part.strip())
    if setting.field in ("node_id", "cluster_name") and not _NAME.fullmatch(text):
        raise _refusal(setting, text)
    if setting.field == "self_url" and text:
        return _check_url(setting, text)
    if setting.field == "redis_url":
        return _check_redis_url(setting, text)
    if setting.field == "cluster_secret" and text and not _SECRET.fullmatch(text):
        raise ConfigError(f"{setting.env} (not shown) cannot be used: it takes {setting.accepts}.")
    if setting.field in _CHOICES and text not in _CHOICES[setting.field]:
        raise _refusal(setting, text)
    return text


def _parse_integer(setting: Setting, text: str) -> int:
    least, most = (int(bound) for bound in setting.accepts.split("-")) if "-" in setting.accepts else (0, 2**31)
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not least <= int(text) <= most:
        raise _refusal(setting, text)
    return int(text)


def _split_url(setting: Setting, text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        has_blank = any(character.isspace() for character in text)
        if has_blank or parts.port == 0:
            raise _refusal(setting, text)
    except ValueError:
        raise _refusal(setting, text) from None
    return parts


def _check_url(setting: Setting, text: str) -> str:
    parts = _split_url(setting, text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refusal(setting, text)
    return text.rstrip("/")


def _check_redis_url(setting: Setting, text: str) -> str:
    try:
        redis_url.parse(text)
    except ValueError as error:
        raise ConfigError(f"{_refusal(setting, redis_url.without_password(text))} Here, {error}.") from None
    return text


def _check_quorum(quorum: int, members: int) -> None:
    majority = members // 2 + 1
    if quorum not in (0, majority):
        raise ConfigError(
            f"QUORUM={quorum} is not the majority of {members} members ({majority}): a smaller one would let two "
            f"halves of a split cluster decide. Leave QUORUM unset, or correct PEERS."
        )


def _check_raft(config: Config) -> None:
    if len(config.members) not in (1, 3, 5):
        raise ConfigError(
            f"PEERS and SELF_URL name {len(config.members)} nodes ({', '.join(config.members)}): a cluster has 1, 3 or "
            f"5. An even number survives no more failures than one fewer. Correct PEERS on every node."
        )
    if config.election_ms < 5 * config.heartbeat_ms:
        raise ConfigError(
            f"SIMPUL_ELECTION_MS={config.election_ms} is less than 5 times SIMPUL_HEARTBEAT_MS={config.heartbeat_ms}: "
            f"two lost packets would depose a healthy leader. Raise the one or lower the other."
        )


def _refusal(setting: Setting, text: str) -> ConfigError:
    return ConfigError(
        f"{setting.env}={text!r} cannot be used: it takes {setting.accepts} ({setting.unit}). {setting.about}"
    )
