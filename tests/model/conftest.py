"""Which flavour a model runs on decides how much of it is explored."""

import pytest


@pytest.fixture
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["any_server"])
