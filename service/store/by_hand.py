"""Which server an operator has to speak to, and how redis-cli reaches it."""

from urllib.parse import urlsplit

from service.keys import Partition
from service.redis_url import RedisUrl, Server, Topology, split
from service.store.cluster import ASK_TIMEOUT_S, ask_for_map
from service.store.cluster_map import owners
from service.store.dial import DialError
from service.store.sentinel import Sentinels
from service.store.survey import survey

_CLIENT_NAME = "simpul-evalsha"


async def holder_of(partition: Partition, url: RedisUrl, timeout_s: float) -> Server:
    """The primary that holds a partition now. Raises DialError."""
    if url.topology is Topology.STANDALONE:
        return url.server(url.seeds[0])
    if url.topology is Topology.SENTINEL:
        return await Sentinels(url, client_name=_CLIENT_NAME, timeout_s=timeout_s).primary()
    asks = [ask_for_map(url.server(seed), client_name=_CLIENT_NAME, timeout_s=ASK_TIMEOUT_S) for seed in url.seeds]
    views, failures = await survey(asks, timeout_s)
    if not views:
        raise DialError("; ".join(failures))
    address = owners([partition], views)[partition.number]
    if address is None:
        raise DialError(f"no primary of the cluster serves partition {partition.number}")
    return url.server(address)


def redis_cli(url: RedisUrl, address: str | None) -> list[str]:
    """The words up to the command. A password stays out of them, and so out of the shell's history.

    Without an address, one is put in that is right or leads there: a seed of a cluster, with -c to be redirected, or
    a placeholder that tells to ask a sentinel.
    """
    if url.topology is Topology.STANDALONE:
        return ["redis-cli", *_from_url(url)]
    options = dict(url.options)
    words = ["redis-cli"]
    if url.topology is Topology.CLUSTER:
        words.append("-c")
        address = address or url.seeds[0]
    host, port = split(address) if address else ("<primary>", "<port>")
    words += ["-h", host, "-p", str(port)]
    if url.user:
        words += ["--user", url.user]
    if url.is_tls:
        words += ["--tls", *(["--cacert", options["ssl_ca_certs"]] if "ssl_ca_certs" in options else [])]
    if options.get("db", "0") != "0":
        words += ["-n", options["db"]]
    return words


def how_to_ask_a_sentinel(url: RedisUrl) -> str:
    host, port = split(url.seeds[0])
    return f"redis-cli -h {host} -p {port} SENTINEL GET-MASTER-ADDR-BY-NAME {url.service}"


def _from_url(url: RedisUrl) -> list[str]:
    parts = urlsplit(url.text)
    if parts.scheme == "unix":
        return ["-s", parts.path]
    user_and_host = parts.netloc.rpartition("@")
    user = user_and_host[0].partition(":")[0]
    host = f"{user}@{user_and_host[2]}" if user else user_and_host[2]
    return ["-u", parts._replace(netloc=host, query="", fragment="").geturl()]
