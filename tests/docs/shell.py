"""One bash per page, and the comparison of what it printed with what the page shows."""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

COMMAND_S = 20.0
_PROMPT = "--- end of command ---"
_END = re.compile(rb"\n" + re.escape(_PROMPT.encode()) + rb" (\d+)\n")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SLOT = re.compile(r"\.\.\.|<[a-z][a-z0-9-]*>")


class Printed(NamedTuple):
    text: str
    exit_code: int


class Shell:
    """Commands run one after another in one process, so that variables and background jobs live as in a terminal."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def run(self, command: str) -> Printed:
        assert self._process.stdin
        # Braces keep the command in this shell; without input of its own it would eat the line that ends it.
        script = f"{{ {command}\n}} < /dev/null\nprintf '\\n{_PROMPT} %s\\n' $?\n"
        self._process.stdin.write(script.encode())
        self._process.stdin.flush()
        out = self._read(command)
        end = _END.search(out)
        assert end
        text = _COLOUR.sub("", out[: end.start()].decode()).replace("\r", "")
        return Printed("\n".join(line.rstrip() for line in text.splitlines()).strip("\n"), int(end[1]))

    def _read(self, command: str) -> bytes:
        assert self._process.stdout
        out, ends_at = b"", time.monotonic() + COMMAND_S
        while not _END.search(out):
            left_s = ends_at - time.monotonic()
            if left_s <= 0 or not self._selector.select(left_s):
                raise AssertionError(f"'{command}' did not end within {COMMAND_S:g} s; it printed:\n{out.decode()}")
            chunk = os.read(self._process.stdout.fileno(), 65536)
            assert chunk, f"'{command}' ended the shell; it printed:\n{out.decode()}"
            out += chunk
        return out

    def close(self) -> None:
        """Ends the shell and what it still runs in the background."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def fill(command: str, known: Mapping[str, str]) -> str:
    """Put what earlier commands printed where the page says `<name>`."""
    return _SLOT.sub(lambda slot: known.get(slot[0].strip("<>"), slot[0]), command)


def matches(shown: str, printed: str, known: dict[str, str]) -> bool:
    """Whether the page shows what was printed; `docs/index.md` tells the rules. Adds new `<name>`s to `known`."""
    if printed.lstrip().startswith(("{", "[")):
        # JSON is wrapped on the page for reading.
        shown, printed = (re.sub(r"\s+", "", text) for text in (shown, printed))
    found = re.fullmatch(_pattern(shown, known), f"{printed}\n")
    if found is None:
        return False
    known.update({name.replace("_", "-"): value for name, value in found.groupdict().items()})
    return True


def _pattern(shown: str, known: Mapping[str, str]) -> str:
    """Of the whole output, with a line break at its end; the `bound` names are shared by all lines."""
    bound = dict(known)
    lines = (r"(?:[^\n]*\n)*?" if line == "..." else _line_pattern(line, bound) + r"\n" for line in shown.split("\n"))
    return "".join(lines)


def _line_pattern(shown: str, bound: dict[str, str]) -> str:
    out, at = "", 0
    for slot in _SLOT.finditer(shown):
        name = slot[0].strip("<>")
        out += re.escape(shown[at : slot.start()])
        at = slot.end()
        if slot[0] == "...":
            out += r"[^\n]*?"
        elif name in bound:
            out += re.escape(bound[name]) if bound[name] else f"(?P={name.replace('-', '_')})"
        else:
            out += rf"(?P<{name.replace('-', '_')}>[^\s\",}}\]]+)"
            bound[name] = ""
    return out + re.escape(shown[at:])
