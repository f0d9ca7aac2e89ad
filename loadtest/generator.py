"""The load generator: one wrk process a round, its figures and what it cost."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

from loadtest.processes import children_cpu_s
from service import child

SCRIPTS = Path(__file__).resolve().parent / "wrk"
GRACE_S = 10.0


class LoadError(Exception):
    """wrk did not run, or the endpoint did not answer as it promises to."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One round."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failures: int
    """Answers of status 400 and above, and broken connections."""
    wrk_cpu_s: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


async def wrk(base_url: str, script: str, *args: str, connections: int, seconds: int) -> Figures:
    """One round from one wrk thread. Raises LoadError."""
    source = str(SCRIPTS / f"{script}.lua")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", source, base_url, "--", *args]
    env = {**os.environ, "LUA_PATH": f"{SCRIPTS}/?.lua;;"}
    lines: list[str] = []
    # No other child of ours ends while wrk runs.
    used_before_s = children_cpu_s()
    try:
        running = await child.start("wrk", command, env=env, on_line=lines.append)
    except FileNotFoundError:
        raise LoadError("wrk is not installed: on Debian and Ubuntu, apt-get install wrk") from None
    try:
        async with asyncio.timeout(seconds + GRACE_S):
            code = await running.ended()
    except TimeoutError:
        raise LoadError(f"wrk did not end: {' '.join(command)}") from None
    finally:
        running.kill()
    if code != 0 or not lines or not lines[-1].startswith("{"):
        raise LoadError(f"wrk {child.how_it_ended(code)}: {' | '.join(lines[-3:])}")
    return _figures(json.loads(lines[-1]), children_cpu_s() - used_before_s)


def _figures(found: dict[str, int], wrk_cpu_s: float) -> Figures:
    return Figures(
        requests=found["requests"],
        seconds=found["duration_us"] / 1e6,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        failures=found["bad_status"] + found["socket_errors"],
        wrk_cpu_s=wrk_cpu_s,
    )
