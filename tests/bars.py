"""A histogram as lines of text."""

from bisect import bisect_right
from collections.abc import Sequence

BAR_CHARS = 50


def bars(times_ms: Sequence[float], edges_ms: Sequence[float]) -> str:
    """How many took how long; the last class is open, empty ones are left out."""
    ordered = sorted(times_ms)
    up_to = [bisect_right(ordered, edge) for edge in edges_ms] + [len(ordered)]
    counts = [last - first for first, last in zip([0, *up_to], up_to, strict=False)]
    wide = len(f"{edges_ms[-1]:.2f}")
    names = [f"<= {edge:{wide}.2f} ms" for edge in edges_ms] + [f" > {edges_ms[-1]:{wide}.2f} ms"]
    widest = max(counts, default=0)
    return "\n".join(
        f"  {name} {count:6d} {'#' * round(BAR_CHARS * count / widest)}".rstrip()
        for name, count in zip(names, counts, strict=True)
        if count
    )
