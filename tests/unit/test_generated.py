"""Files that repeat what another file says are the ones `make generate` would write now."""

import pytest

from service.generate import ROOT, generated


@pytest.mark.parametrize("path", [path.relative_to(ROOT).as_posix() for path in generated()])
def test_a_generated_file_is_current(path: str) -> None:
    assert (ROOT / path).read_text() == generated()[ROOT / path], f"{path} is stale: run make generate"
