"""Rounds as tables, in the Markdown that docs/performance.md keeps."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from loadtest.generator import Figures

BARE = "bare ASGI echo"


class Round(NamedTuple):
    """One operation and, just before it, the Starlette echo under the same script."""

    figures: Figures
    echo: Figures
    cpu_s: float
    """Of the process that answered."""
    redis_cpu_s: float
    echo_cpu_s: float

    @property
    def ratio(self) -> float:
        return self.figures.per_second / self.echo.per_second

    @property
    def tail(self) -> float:
        return self.figures.p99_ms / self.figures.p50_ms

    @property
    def us_per_request(self) -> float:
        return self.cpu_s / self.figures.requests * 1e6

    @property
    def echo_us_per_request(self) -> float:
        return self.echo_cpu_s / self.echo.requests * 1e6


def table(found: Mapping[str, Sequence[Round]]) -> str:
    """Medians over the rounds; of the ratios also the extremes."""
    rows = [("", "req/s", "ratio to the echo", "(min-max)", "p50 ms", "p99 ms", "p99/p50", "failed")]
    for name, rounds in found.items():
        ratios = sorted(one.ratio for one in rounds)
        figures = [one.figures for one in rounds]
        rows.append(
            (
                name,
                f"{median(one.per_second for one in figures):,.0f}",
                f"{median(ratios):.2f}",
                f"{ratios[0]:.2f}-{ratios[-1]:.2f}",
                f"{median(one.p50_ms for one in figures):.2f}",
                f"{median(one.p99_ms for one in figures):.2f}",
                f"{median(one.tail for one in rounds):.1f}",
                str(sum(one.failures for one in figures)),
            )
        )
    return _markdown(rows)


def cpu_table(found: Mapping[str, Sequence[Round]]) -> str:
    """What a request costs the serving process, and how busy each process was: none but that one may be at 100 %."""
    rows = [("", "CPU us/request", "of the echo", "ratio", "served by", "Redis", "wrk", "wrk at the echo")]
    for name, rounds in found.items():
        cost, echo_cost = (
            median(one.us_per_request for one in rounds),
            median(one.echo_us_per_request for one in rounds),
        )
        rows.append(
            (
                name,
                f"{cost:.1f}",
                f"{echo_cost:.1f}",
                f"{median(one.us_per_request / one.echo_us_per_request for one in rounds):.2f}",
                _share([one.cpu_s / one.figures.seconds for one in rounds]),
                _share([one.redis_cpu_s / one.figures.seconds for one in rounds]),
                _share([one.figures.wrk_cpu_s / one.figures.seconds for one in rounds]),
                _share([one.echo.wrk_cpu_s / one.echo.seconds for one in rounds]),
            )
        )
    return _markdown(rows)


def _share(shares: Sequence[float]) -> str:
    return f"{median(shares):.0%}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 1) + (":" if at else "-") for at, width in enumerate(widths)) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if at else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join(padded) + " |"
