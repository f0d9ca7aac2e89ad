"""Whoever follows a link arrives."""

from urllib.parse import unquote

import pytest

from tests.docs.pages import Page, all_pages
from tests.docs.pages import page as read_page
from tests.support import ROOT

PAGES = all_pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.name)
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    for link in page.links:
        if "://" in link:
            continue
        path, _, fragment = unquote(link).partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), f"{page.name}: {link} does not exist"
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leads out of the repository"
        if fragment:
            anchors = read_page(str(target.relative_to(ROOT))).anchors
            assert fragment in anchors, f"{page.name}: {link}: no such heading"


def test_the_index_lists_every_page() -> None:
    index = read_page("docs/index.md")
    listed = {(index.path.parent / link.partition("#")[0]).resolve() for link in index.links}
    missing = [page.name for page in PAGES if page.path not in listed and page.name not in ("README.md", index.name)]
    assert not missing
