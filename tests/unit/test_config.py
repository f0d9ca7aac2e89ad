"""Settings: read once, and refused with the variable, its value and what is accepted."""

from dataclasses import fields

import pytest

from service.config import SETTINGS, Config, ConfigError, Setting, load


def test_a_node_starts_with_nothing_set() -> None:
    config = load({})
    assert (config.node_id, config.http_port, config.host) == ("n1", 8001, "127.0.0.1")
    assert config.self_url == "http://127.0.0.1:8001"
    assert config.members == (config.self_url,)


def test_the_names_of_the_original_service_are_honoured() -> None:
    config = load(
        {
            "NODE_ID": "n2",
            "HTTP_PORT": "8002",
            "METRICS_PORT": "9002",
            "SELF_URL": "http://n2:8002",
            "PEERS": "http://n1:8001,http://n2:8002, http://n3:8003/",
            "QUORUM": "2",
            "CLUSTER_NAME": "prod",
            "REDIS_URL": "redis://redis:6379/1",
        }
    )
    assert (config.node_id, config.http_port, config.metrics_port) == ("n2", 8002, 9002)
    assert (config.cluster_name, config.redis_url) == ("prod", "redis://redis:6379/1")
    assert config.peers == ("http://n1:8001", "http://n2:8002", "http://n3:8003")


def test_members_are_the_same_on_every_node_whoever_lists_itself() -> None:
    urls = [f"http://n{number}:800{number}" for number in (1, 2, 3)]
    everywhere = {
        load({"SELF_URL": own, "PEERS": ",".join(peers)}).members
        for own in urls
        for peers in (urls, [url for url in urls if url != own], urls[::-1])
    }
    assert everywhere == {tuple(urls)}


def test_an_empty_value_is_an_absent_one() -> None:
    assert load({setting.env: "  " for setting in SETTINGS}) == load({})


@pytest.mark.parametrize(
    ("env", "value"),
    [
        ("NODE_ID", "a b"),
        ("NODE_ID", "n" * 65),
        ("CLUSTER_NAME", "a:b"),
        ("CLUSTER_NAME", "{a}"),
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "80a"),
        ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "8_001"),
        ("HTTP_PORT", "８００１"),
        ("METRICS_PORT", "1e3"),
        ("SELF_URL", "n1:8001"),
        ("SELF_URL", "ftp://n1"),
        ("SELF_URL", "http://"),
        ("SELF_URL", "http://n1:port"),
        ("PEERS", "http://n1:8001,n2"),
        ("PEERS", "http://[::1"),
        ("PEERS", "http://n1:99999"),
        ("PEERS", "http://n 1"),
        ("QUORUM", "-1"),
        ("QUORUM", "two"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis://[x"),
        ("REDIS_URL", "redis://h:port"),
        ("SIMPUL_STORE_IN_FLIGHT", "0"),
        ("SIMPUL_STORE_TIMEOUT_MS", "49"),
        ("SIMPUL_OUTCOME_KEEP_MS", "inf"),
        ("SIMPUL_NEAR_ENTRIES", "-1"),
        ("SIMPUL_NEAR_BYTES", "1.5"),
        ("SIMPUL_LOG_LEVEL", "loud"),
        ("SIMPUL_LOG_COLOUR", "blue"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(env: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({env: value})
    assert env in str(refused.value)


@pytest.mark.parametrize(("members", "majority"), [(1, 1), (3, 2), (5, 3)])
def test_only_the_majority_is_a_quorum(members: int, majority: int) -> None:
    peers = ",".join(f"http://n{number}" for number in range(members))
    for quorum in range(6):
        env = {"SELF_URL": "http://n0", "PEERS": peers, "QUORUM": str(quorum)}
        if quorum in (0, majority):
            load(env)
        else:
            with pytest.raises(ConfigError, match="QUORUM"):
                load(env)


@pytest.mark.parametrize("setting", SETTINGS, ids=[setting.env for setting in SETTINGS])
def test_bounds_that_are_documented_are_accepted(setting: Setting) -> None:
    env, accepts = setting.env, setting.accepts
    bounds = accepts.split("-") if accepts.replace("-", "").isdigit() else []
    # Far enough apart for each bound of either: one must be five times the other.
    together = {"SIMPUL_HEARTBEAT_MS": "SIMPUL_ELECTION_MS", "SIMPUL_ELECTION_MS": "SIMPUL_HEARTBEAT_MS"}
    other = {one.env: one for one in SETTINGS}.get(together.get(env, ""))
    for at, bound in enumerate(bounds):
        load({env: bound, **({other.env: other.accepts.split("-")[at]} if other else {})})


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert {setting.field for setting in SETTINGS} - {"quorum"} == {field.name for field in fields(Config)}
    assert len({setting.env for setting in SETTINGS}) == len(SETTINGS)


def test_every_setting_says_its_unit_what_it_accepts_and_what_it_does() -> None:
    for setting in SETTINGS:
        assert setting.unit
        assert setting.accepts
        assert setting.about.endswith(".")
