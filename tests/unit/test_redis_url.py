"""REDIS_URL taken apart: what each scheme means, and what is refused."""

import pytest

from service.config import ConfigError, load
from service.redis_url import Topology, join, parse, split, without_password


@pytest.mark.parametrize(
    ("text", "topology", "seeds", "service"),
    [
        ("redis://h:7/2", Topology.STANDALONE, ("h:7",), ""),
        ("rediss://h", Topology.STANDALONE, ("h:6379",), ""),
        ("unix:///run/redis.sock", Topology.STANDALONE, ("/run/redis.sock",), ""),
        ("redis+sentinel://a:1,b:2/orders", Topology.SENTINEL, ("a:1", "b:2"), "orders"),
        ("redis+sentinel://a,b/or%20ders?db=3", Topology.SENTINEL, ("a:26379", "b:26379"), "or ders"),
        ("rediss+sentinel://u:p@a:1/x", Topology.SENTINEL, ("a:1",), "x"),
        ("redis+cluster://a:1,b,[::1]:3", Topology.CLUSTER, ("a:1", "b:6379", "[::1]:3"), ""),
        ("rediss+cluster://u:p@a:1/", Topology.CLUSTER, ("a:1",), ""),
    ],
)
def test_a_url_names_a_topology_and_where_to_begin(
    text: str, topology: Topology, seeds: tuple[str, ...], service: str
) -> None:
    url = parse(text)
    assert (url.topology, url.seeds, url.service) == (topology, seeds, service)
    assert load({"REDIS_URL": text}).redis_url == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("localhost:6379", "no scheme 'localhost'"),
        ("redis+unknown://x", "no scheme 'redis+unknown'"),
        ("//h", "it has no scheme"),
        ("redis://h:0", "no port 0"),
        ("redis+sentinel://a:1", "names no service"),
        ("redis+sentinel://a:1/", "names no service"),
        ("redis+sentinel:///orders", "names no host"),
        ("redis+sentinel://,/orders", "names no host"),
        ("redis+sentinel://a:1/orders/2", "?db="),
        ("redis+sentinel://a:1/orders?db=x", "db is not a number"),
        ("redis+sentinel://a:0/orders", "'a:0' is not host:port"),
        ("redis+sentinel://a:one/orders", "'a:one' is not host:port"),
        ("redis+cluster://", "names no host"),
        ("redis+cluster://user:pw@", "names no host"),
        ("redis+cluster://a:1/2", "one database"),
        ("redis+cluster://a:1?db=2", "one database"),
        ("redis+cluster://a:1, b:2", "blank"),
        ("redis+cluster://:7000", "':7000' is not host:port"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({"REDIS_URL": text})
    assert said in str(refused.value)
    assert "REDIS_URL" in str(refused.value)
    assert "redis+cluster://host:port" in str(refused.value), "what it takes"


def test_a_refusal_shows_no_password() -> None:
    for text in ("redis+sentinel://u:s3cret@a:1", "redis+cluster://a:1/2?password=s3cret", "http://:s3cret@h"):
        with pytest.raises(ConfigError) as refused:
            load({"REDIS_URL": text})
        assert "s3cret" not in str(refused.value)


def test_every_server_found_gets_the_user_and_options_and_a_sentinel_its_own() -> None:
    url = parse("rediss+sentinel://u:p%40@s:1/orders?db=3&ssl_ca_certs=/ca&sentinel_password=q&sentinel_username=v")
    assert url.server("h:9").url == "rediss://u:p%40@h:9?db=3&ssl_ca_certs=%2Fca"
    assert url.sentinel("s:1").url == "rediss://s:1?ssl_ca_certs=%2Fca&password=q&username=v"
    assert (url.user, url.is_tls) == ("u", True)
    assert parse("redis+cluster://:p@a:1").server("b:2").url == "redis://:p@b:2"
    assert parse("redis://:p@a:1/4?x=y").server("a:1").url == "redis://:p@a:1/4?x=y", "as given, to the letter"


def test_an_address_survives_being_taken_apart() -> None:
    for host, port in (("h", 1), ("::1", 2), ("10.0.0.1", 65535)):
        assert split(join(host, port)) == (host, port)


def test_a_shown_url_of_many_hosts_has_no_password() -> None:
    text = "redis+sentinel://u:s3cret@a:1,b:2/x?sentinel_password=s3cret&db=1"
    assert without_password(text) == "redis+sentinel://u:***@a:1,b:2/x?sentinel_password=***&db=1"
