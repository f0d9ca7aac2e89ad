"""One real node over one real server for all HTTP tests of a process; names are unique, so nothing is emptied."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support import NodeProcess, cluster, redis_server


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    folder = tmp_path_factory.mktemp("http")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=1) as nodes:
        yield nodes[0]


_numbers = itertools.count(1)


@pytest.fixture
def name() -> Callable[[], str]:
    """A name no other test uses."""
    return lambda: f"name-{next(_numbers)}"
