"""Long random lives of locks, queues, groups and cache keys: python -m tests.model --steps 100000"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.model.test_atomic_model import AtomicMachine
from tests.model.test_cache_model import CacheMachine
from tests.model.test_fan_model import FanMachine
from tests.model.test_line_model import LineMachine
from tests.model.test_lock_model import LockMachine
from tests.model.test_modes_model import ModesMachine
from tests.model.test_queue_model import QueueMachine
from tests.model.test_topic_model import TopicMachine
from tests.model.world import STEPS_A_LIFE, World, explore
from tests.support import redis_server

MACHINES: dict[str, type[World]] = {
    "atomic": AtomicMachine,
    "modes": ModesMachine,
    "line": LineMachine,
    "lock": LockMachine,
    "queue": QueueMachine,
    "topic": TopicMachine,
    "fan": FanMachine,
    "cache": CacheMachine,
}
LIVES_AT_ONCE = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="of each model")
    parser.add_argument("--only", choices=MACHINES, action="append", help="which models")
    parser.add_argument("--seed", type=int, default=1, help="of the first hundred lives; each hundred has the next")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simpul-model-") as folder, redis_server(Path(folder)) as server:
        for name in options.only or MACHINES:
            hundreds = -(-options.steps // (STEPS_A_LIFE * LIVES_AT_ONCE))
            for number in range(options.seed, options.seed + hundreds):
                done = (number - options.seed) * STEPS_A_LIFE * LIVES_AT_ONCE
                print(f"\r{name}: {done:,} of {options.steps:,} steps", end="", file=sys.stderr, flush=True)
                try:
                    explore(MACHINES[name], server, examples_max=LIVES_AT_ONCE, seed=number)
                except BaseException:
                    again = f"python -m tests.model --only {name} --seed {number} --steps 1"
                    print(f"\n{name} failed; again: {again}", file=sys.stderr)
                    raise
            print(f"\r{name}: {hundreds * STEPS_A_LIFE * LIVES_AT_ONCE:,} steps hold", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
