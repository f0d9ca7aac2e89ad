"""What the fence costs, in instructions of the server: each script as it is, and without its first act.

CPU time drifts by more than the fence costs on a machine that others use; a count of instructions by about one per
cent. Each is the difference between a server that answered many calls and one that answered few, so that starting and
preparing are not in it.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loadtest.cost_pairs import PAIRS, Pair, Setting
from loadtest.fence_cost import unfenced
from loadtest.generator import LoadError
from service.store.bundle import ScriptSet, shipped
from tests.support import free_port, wait_until

FEW, MANY = 1000, 9000
START_S = 60
_PROGRAMS = ("valgrind", "redis-server", "redis-benchmark")


@contextmanager
def _counted(said: Path) -> Iterator[int]:
    """A server under callgrind, by its port; what it counted is in `said` afterwards."""
    port = free_port()
    options = ["--port", str(port), "--save", "", "--hz", "1", "--daemonize", "no"]
    counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={said}"]
    process = subprocess.Popen([*counting, "redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), "redis-server under valgrind", START_S)
        yield port
    finally:
        process.terminate()
        process.wait()


def _client(port: int) -> redis.Redis:
    # Under callgrind a server is some fifty times slower, and what is sent twice is counted twice.
    return redis.Redis(port=port, protocol=2, socket_timeout=None, retry=Retry(NoBackoff(), 0))


def _answers(port: int) -> bool:
    with _client(port) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def _instructions(folder: Path, script_set: ScriptSet, pair: Pair, calls: int) -> int:
    """Of a whole server that prepares for MANY calls and answers `calls`."""
    said = folder / "callgrind.log"
    with _counted(said) as port:
        with _client(port) as client:
            setting = Setting(client, script_set, "fence", MANY)
            pair.prepare(setting)
            command = pair.script(setting, setting.random)
        options = ["-p", str(port), "-P", "10", "-c", "1", "-n", str(calls), "-r", str(MANY), "-q"]
        subprocess.run(["redis-benchmark", *options, *command], check=True, stdout=subprocess.DEVNULL)
    found = re.search(r"Collected : (\d+)", said.read_text())
    if not found:
        raise LoadError(f"valgrind counted nothing: {said.read_text()[-500:]}")
    return int(found[1])


def per_call(folder: Path, script_set: ScriptSet, pair: Pair) -> float:
    few, many = (_instructions(folder, script_set, pair, calls) for calls in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.fence_instructions", description=__doc__)
    parser.add_argument("--only", nargs="*", help="beginnings of script names")
    options = parser.parse_args()
    for program in _PROGRAMS:
        if not shutil.which(program):
            print(f"{program} is not installed (Debian: valgrind, redis-server, redis-tools)", file=sys.stderr)
            return 2
    print("| script | instructions | without fence | fence's part |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="simpul-fence-") as made:
        folder = Path(made)
        bare = unfenced(folder)
        for pair in PAIRS:
            if not options.only or pair.name.startswith(tuple(options.only)):
                fenced, without = per_call(folder, shipped(), pair), per_call(folder, bare, pair)
                print(f"| {pair.name} | {fenced:,.0f} | {without:,.0f} | {1 - without / fenced:.1%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
