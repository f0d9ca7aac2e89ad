"""What a lock script does is the same work with ten who wait or hold as with thousands."""

from statistics import median

from loadtest.lock_scaling import measure
from tests.support import DEFAULT_FLAVOUR, RedisServer

SHOWN_MAX = 100
"""Holders and waiters that a refusal or an inspection lists, one command each."""


def test_no_script_gives_more_commands_to_thousands_than_to_ten(servers: dict[str, RedisServer]) -> None:
    client = servers[DEFAULT_FLAVOUR].client()
    few, many = (measure(client, size, turns=5) for size in (10, 2_000))
    client.close()
    assert set(few) == set(many)
    assert len(few) > 15
    for name, costs in few.items():
        low, high = (median(one.commands for one in found) for found in (costs, many[name]))
        lists_holders = "refused" in name or name == "lock.inspect"
        assert high <= low + (SHOWN_MAX if lists_holders else 1), f"{name}: {low} commands, then {high}"
