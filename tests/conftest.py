"""Servers shared by the tests of one process: starting one costs more than emptying it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import FLAVOURS, RedisServer, redis_server, server_binaries

# How long an example takes says how busy the machine is, and nothing about what is claimed of it.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RedisServer]]:
    """One running server a flavour found on this machine."""
    running: dict[str, RedisServer] = {}
    try:
        for flavour in server_binaries():
            running[flavour] = RedisServer(tmp_path_factory.mktemp(flavour), flavour).start()
        yield running
    finally:
        for server in running.values():
            server.kill()


@pytest.fixture(params=FLAVOURS)
def any_server(request: pytest.FixtureRequest, servers: dict[str, RedisServer]) -> RedisServer:
    """An emptied server of each flavour in turn."""
    server = servers.get(request.param)
    if server is None:
        pytest.skip(f"no {request.param} server on this machine (see README, Development)")
    client = server.client()
    client.flushall()
    client.script_flush()
    client.close()
    return server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the default flavour of this test's own, to be killed, paused and filled."""
    with redis_server(tmp_path / "redis") as own:
        yield own
