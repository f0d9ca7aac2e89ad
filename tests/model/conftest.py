"""Which flavour a model runs on decides how much of it is explored."""

import pytest

from tests.support import DEFAULT_FLAVOUR


@pytest.fixture
def examples_max(request: pytest.FixtureRequest) -> int:
    return 120 if request.node.callspec.params["any_server"] == DEFAULT_FLAVOUR else 20
