"""The clock by which a node keeps promises about leases: it never goes back, and goes on while the machine sleeps.

Python's monotonic clock stands still during a suspension on Linux. A node that woke from one would take an old right to
grant locks for a fresh one.
"""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
COUNTS_FROM_BOOT = _CLOCK != time.CLOCK_MONOTONIC
"""True where two processes of one boot read the same clock."""


def steady_s() -> float:
    """Seconds; the zero means nothing."""
    return time.clock_gettime(_CLOCK)
