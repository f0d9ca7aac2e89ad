"""Columns, times and lengths of time, for people."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with the cells of a column under each other; the last column is as wide as it likes."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def when(at_ms: int) -> str:
    """A wall-clock time, ms since 1970."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def lasting(ms: int) -> str:
    """A length of time in the unit that reads best."""
    if ms < 1000:
        return f"{ms} ms"
    seconds = ms / 1000
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:.3g} s"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
