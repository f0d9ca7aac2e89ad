"""lua/errors.toml, read and checked. Only the generator needs it; a running node uses the generated classes."""

import re
import tomllib
from pathlib import Path
from string import Formatter
from typing import NamedTuple


class ErrorEntry(NamedTuple):
    code: str
    status: int
    title: str
    detail: str
    action: str
    retry: str

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.code.split("_"))

    @property
    def detail_fields(self) -> tuple[str, ...]:
        """The names the detail sentence needs, in order, each once."""
        return tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(self.detail) if name))


def read(path: Path) -> tuple[ErrorEntry, ...]:
    """Entries in file order. Raises ValueError naming the entry that breaks a rule."""
    with path.open("rb") as file:
        document = tomllib.load(file)
    return tuple(_check(code, table) for code, table in document.items())


def _check(code: str, table: dict[str, object]) -> ErrorEntry:
    if not re.fullmatch(r"[a-z][a-z_]*", code):
        raise ValueError(f"{code}: a code is lower-case words joined by _")
    wanted = {"status": int, "title": str, "detail": str, "action": str, "retry": str}
    if set(table) != set(wanted) or not all(isinstance(table[name], kind) for name, kind in wanted.items()):
        raise ValueError(f"{code}: an entry has exactly {', '.join(wanted)}")
    if table["retry"] not in ("no", "later", "same-id"):
        raise ValueError(f"{code}: retry is no, later or same-id")
    return ErrorEntry(code, **table)  # type: ignore[arg-type]
