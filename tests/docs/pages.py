"""The pages as the tests see them: fenced blocks, headings, links, tables. Only the Markdown we write is understood."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.support import ROOT

NOT_RUN = "not-run:"

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_MARK = "$ "
_MORE = "> "


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced example. `reason` is why it is not run, empty for one that is."""

    page: "Page"
    line: int
    language: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


class Step(NamedTuple):
    """A command of a console block and what the page shows under it."""

    command: str
    shown: str


@dataclass(frozen=True, slots=True)
class Page:
    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        found = []
        for match in _FENCE.finditer(self.text):
            language, _, rest = match[2].strip().partition(" ")
            reason = rest.removeprefix(NOT_RUN).strip() if rest.startswith(NOT_RUN) else ""
            line = self.text.count("\n", 0, match.start()) + 1
            indent = match[1]
            text = "".join(one.removeprefix(indent) for one in match[3].splitlines(keepends=True))
            found.append(Block(self, line, language, reason, text))
        return found

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """What `#fragment` may name, as GitHub makes it from a heading."""
        headings = _HEADING.findall(self.prose)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}

    def section(self, heading: str) -> str:
        """The text below a heading, up to the next one."""
        found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,6}} |\Z)", self.text, re.DOTALL | re.MULTILINE)
        assert found, f"{self.name} has no section '{heading}'"
        return found[2]


def page(name: str) -> Page:
    path = ROOT / name
    return Page(path, path.read_text(encoding="utf-8"))


def all_pages() -> list[Page]:
    names = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
    return [page(name) for name in ["README.md", *names]]


def steps(block: Block) -> list[Step]:
    """The commands of a console block: `$ ` begins one, `> ` goes on with it, the rest is what it prints."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith(_MARK):
            found.append(([line.removeprefix(_MARK)], []))
        elif line.startswith(_MORE) and found and not found[-1][1]:
            found[-1][0].append(line.removeprefix(_MORE))
        else:
            assert found, f"{block}: a console block begins with '$ '"
            found[-1][1].append(line)
    return [Step("\n".join(command), "\n".join(shown).strip("\n")) for command, shown in found]


def table(text: str) -> list[dict[str, str]]:
    """The rows of the first table, by column heading; empty without one. Cells lose their backticks."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    if not lines:
        return []
    head, _, *rows = [_cells(line) for line in lines]
    return [dict(zip(head, row, strict=True)) for row in rows]


def _cells(line: str) -> list[str]:
    return [
        cell.strip().replace("`", "").replace("\0", "|") for cell in line.strip("|").replace(r"\|", "\0").split("|")
    ]
