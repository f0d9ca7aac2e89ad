"""Files that repeat what another file says are the ones `make generate` would write now."""

import pytest

from service.generate import ROOT, makers


@pytest.mark.parametrize("path", [path.relative_to(ROOT).as_posix() for path in makers()])
def test_a_generated_file_is_current(path: str) -> None:
    assert (ROOT / path).read_text() == makers()[ROOT / path](), f"{path} is stale: run make generate"
