"""A child process of the development cluster: started so that it cannot outlive us, followed line by line."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger("simpul.up")

TAIL_LINES = 15
LINE_BYTES_MAX = 64 * 1024
_PR_SET_PDEATHSIG = 1


class Child:
    """One started process. `tail` holds its last lines, `ended` its exit code once there is one."""

    def __init__(self, name: str, process: Process, on_line: Callable[[str], None]) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = process
        self._on_line = on_line
        self._task = asyncio.create_task(self._follow(), name=f"follow {name}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    async def ended(self) -> int:
        """Wait for the end of the process and of its output."""
        await asyncio.shield(self._task)
        return await self._process.wait()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, and end it when it has not done so after `grace_s`."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await self.ended()
        except TimeoutError:
            log.warning("%s did not stop within %g s: killed", self.name, grace_s)
            self.kill()
            await self.ended()

    async def _follow(self) -> None:
        output = self._process.stdout
        assert output is not None, "started with a pipe"  # noqa: S101
        pending = b""
        while chunk := await output.read(LINE_BYTES_MAX):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > LINE_BYTES_MAX:
                lines, pending = [*lines, pending], b""
            for line in lines:
                self._said(line)
        if pending:
            self._said(pending)
        await self._process.wait()

    def _said(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        self.tail.append(line)
        self._on_line(line)


async def start(
    name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, on_line: Callable[[str], None]
) -> Child:
    """Start a process whose output goes to `on_line`. Raises OSError when it cannot be executed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        # A session of its own: the terminal sends Ctrl-C to the whole foreground group, and Valkey would be gone
        # before the nodes have ended. We alone are told, and stop the children in order.
        start_new_session=True,
        preexec_fn=_die_with_parent(os.getpid()),
    )
    return Child(name, process, on_line)


def how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name} (exit code {exit_code})"
    except ValueError:
        return f"was killed by signal {-exit_code} (exit code {exit_code})"


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before exec, so that `kill -9` of the parent leaves no orphan that keeps ports and data.

    The kernel sends the signal when the thread that forked ends; that is our main thread. SIGKILL, because a
    child that hangs must end too; it costs what any crash of Valkey costs (docs/explanation/durability.md). A
    process group would not do: nobody is left to signal it. Where there is no prctl (macOS) only this one case is
    not covered; every other way of ending goes through `Child.stop` and `Child.kill`.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # The parent ended before the line above: its end will not be signalled any more.
            os._exit(1)

    return in_child
