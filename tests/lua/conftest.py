"""The scripts under test on each flavour of server."""

from collections.abc import Iterator

import pytest

from tests.lua.runner import Runner
from tests.support import RedisServer


@pytest.fixture
def run(any_server: RedisServer) -> Iterator[Runner]:
    runner = Runner(any_server)
    yield runner
    runner.close()
