"""REDIS_URL taken apart: where Redis is said to be, and how each server found there is reached.

A URL names one server (redis://, rediss://, unix://), the sentinels that know the primary of a service
(redis+sentinel://host:port,.../service), or some servers of a cluster (redis+cluster://host:port,...). User, password
and options belong to every Redis server found; TLS (rediss+...) is for the sentinels too.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

REDIS_PORT = 6379
SENTINEL_PORT = 26379
_SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}


class Topology(Enum):
    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Server(NamedTuple):
    """One server: what people are shown, and the URL that redis-py connects to."""

    address: str
    url: str


_SCHEMES = {
    "redis": Topology.STANDALONE,
    "rediss": Topology.STANDALONE,
    "unix": Topology.STANDALONE,
    "redis+sentinel": Topology.SENTINEL,
    "rediss+sentinel": Topology.SENTINEL,
    "redis+cluster": Topology.CLUSTER,
    "rediss+cluster": Topology.CLUSTER,
}


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """`seeds` are the addresses in the URL: of the server, the sentinels, or some servers of the cluster."""

    text: str
    topology: Topology
    seeds: tuple[str, ...]
    service: str
    scheme: str
    credentials: str
    options: tuple[tuple[str, str], ...]

    def server(self, address: str) -> Server:
        """A Redis server with the user, password, TLS and options of this URL."""
        if self.topology is Topology.STANDALONE:
            return Server(address, self.text)
        return Server(address, self._url(address, self.credentials, self.options))

    def sentinel(self, address: str) -> Server:
        """A sentinel: it has users of its own, and no databases."""
        kept = [(name, value) for name, value in self.options if name != "db"]
        own = [(_SENTINEL_OPTIONS[name], value) for name, value in self._sentinel_options()]
        return Server(address, self._url(address, "", (*kept, *own)))

    @property
    def user(self) -> str:
        return unquote(self.credentials.partition(":")[0])

    @property
    def is_tls(self) -> bool:
        return self.scheme == "rediss"

    def _sentinel_options(self) -> list[tuple[str, str]]:
        return [pair for pair in parse_qsl(urlsplit(self.text).query) if pair[0] in _SENTINEL_OPTIONS]

    def _url(self, address: str, credentials: str, options: tuple[tuple[str, str], ...]) -> str:
        user = f"{credentials}@" if credentials else ""
        query = f"?{urlencode(options)}" if options else ""
        return f"{self.scheme}://{user}{address}{query}"


def parse(text: str) -> RedisUrl:
    """Take a URL apart. Raises ValueError; the message says what is wrong, and holds no password."""
    if any(character.isspace() for character in text):
        raise ValueError("it has a blank in it")
    parts = urlsplit(text)
    topology = _SCHEMES.get(parts.scheme)
    if topology is None:
        raise ValueError(f"there is no scheme {parts.scheme!r}" if parts.scheme else "it has no scheme")
    scheme = parts.scheme.partition("+")[0]
    credentials, _, hosts = parts.netloc.rpartition("@")
    if topology is Topology.STANDALONE:
        return RedisUrl(text, topology, (_one_address(text),), "", scheme, credentials, ())
    port = SENTINEL_PORT if topology is Topology.SENTINEL else REDIS_PORT
    seeds = tuple(_address(host, port) for host in hosts.split(",") if host)
    if not seeds:
        raise ValueError("it names no host")
    service = unquote(parts.path.strip("/"))
    options = parse_qsl(parts.query, keep_blank_values=True)
    if topology is Topology.SENTINEL:
        _check_sentinel(service, dict(options))
    elif service or dict(options).get("db", "0") != "0":
        raise ValueError("a cluster has one database, so it takes neither a path nor a db")
    for_redis = tuple(pair for pair in options if pair[0] not in _SENTINEL_OPTIONS)
    return RedisUrl(text, topology, seeds, service, scheme, credentials, for_redis)


def _check_sentinel(service: str, options: dict[str, str]) -> None:
    if not service:
        raise ValueError("it names no service: what the sentinels call the primary comes after the hosts, as /name")
    if "/" in service:
        raise ValueError(f"{service!r} is not the name of a service; a database goes into ?db=")
    if not options.get("db", "0").isdecimal():
        raise ValueError("db is not a number")


def _one_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.port == 0:
        raise ValueError("there is no port 0")
    return f"{parts.hostname}:{parts.port or REDIS_PORT}" if parts.hostname else parts.path


def _address(host_and_port: str, default_port: int) -> str:
    try:
        parts = urlsplit(f"//{host_and_port}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        raise ValueError(f"{host_and_port!r} is not host:port")
    return join(host, port or default_port)


def join(host: str, port: int | str) -> str:
    """An address as this module writes it; IPv6 hosts in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def without_password(text: str) -> str:
    """A URL as it may be shown, whether or not it can be used."""
    shown = re.sub(r"(password=)[^&#]*", r"\1***", text)
    return re.sub(r"(//[^:@/]*):[^/]*@", r"\1:***@", shown)
