"""cache.named: the names that begin with a prefix, in order, page by page."""

import pytest

from tests.lua.runner import Runner


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("", "A a a: a:1 a:2 ab b é éa"), ("a", "a a: a:1 a:2 ab"), ("a:", "a: a:1 a:2"), ("é", "é éa"), ("c", "")],
)
def test_a_prefix_finds_the_names_that_begin_so_in_order(run: Runner, prefix: str, found: str) -> None:
    run.keep_names()
    for name in ("éa", "b", "a:2", "A", "a", "ab", "a:1", "é", "a:"):
        run.store(name)
    assert [name.decode() for name in run.named(prefix)] == found.split()
    paged: list[bytes] = []
    while page := run.named(prefix, paged[-1].decode() if paged else "", 2):
        assert page[0] not in paged
        paged += page
    assert [name.decode() for name in paged] == found.split()
