"""A line plot as SVG, with logarithmic scales: what a page of the documentation needs, and no library for it."""

from math import ceil, floor, log10
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 44, 40, 60
_COLOURS = ("#1b6ca8", "#c8553d", "#4f772d", "#7b2d8b")
_DASHES = ("", "6 3", "2 3", "9 3 2 3")


class Line(NamedTuple):
    name: str
    points: list[tuple[float, float]]


class _Scale(NamedTuple):
    """From decades to pixels."""

    low: int
    high: int
    start: float
    length: float

    def at(self, value: float) -> float:
        return self.start + self.length * (log10(value) - self.low) / max(1, self.high - self.low)

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def draw(title: str, across: str, up: str, lines: list[Line]) -> str:
    """An SVG document. All values are above 0."""
    x = _scale([point[0] for line in lines for point in line.points], LEFT, WIDTH - LEFT - RIGHT)
    y = _scale([point[1] for line in lines for point in line.points], HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 22, title, "middle"),
        _text(WIDTH / 2, HEIGHT - 14, across, "middle"),
        f'<g transform="rotate(-90 18 {HEIGHT / 2})">{_text(18, HEIGHT / 2, up, "middle")}</g>',
    ]
    for value in x.decades:
        parts.append(_rule(x.at(value), TOP, x.at(value), HEIGHT - BOTTOM))
        parts.append(_text(x.at(value), HEIGHT - BOTTOM + 18, f"{value:,.0f}", "middle"))
    for value in y.decades:
        parts.append(_rule(LEFT, y.at(value), WIDTH - RIGHT, y.at(value)))
        parts.append(_text(LEFT - 8, y.at(value) + 4, f"{value:g}", "end"))
    for number, line in enumerate(lines):
        parts += _drawn(line, number, x, y)
    return "\n".join([*parts, "</svg>", ""])


def _scale(values: list[float], start: float, length: float) -> _Scale:
    return _Scale(floor(log10(min(values))), ceil(log10(max(values))), start, length)


def _drawn(line: Line, number: int, x: _Scale, y: _Scale) -> list[str]:
    """Told apart by dashes as well as by colours."""
    look = f'stroke="{_COLOURS[number % 4]}" stroke-dasharray="{_DASHES[number % 4]}" stroke-width="2" fill="none"'
    places = " ".join(f"{x.at(across):.1f},{y.at(up):.1f}" for across, up in line.points)
    legend = TOP + 16 + 18 * number
    return [
        f'<polyline points="{places}" {look}/>',
        f'<line x1="{LEFT + 12}" y1="{legend - 4}" x2="{LEFT + 44}" y2="{legend - 4}" {look}/>',
        _text(LEFT + 52, legend, line.name, "start"),
    ]


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
