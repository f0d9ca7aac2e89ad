"""The development cluster of `simpul up`: a Valkey and a few nodes as child processes of one foreground command.

Whatever ends it (Ctrl-C, SIGTERM, a child's crash, a failure while starting), everything it started is stopped,
nodes before Valkey, before it returns.
"""

import asyncio
import fcntl
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from service import child, config, embedded, logs
from service.child import Child
from service.embedded import EmbeddedError, EmbeddedValkey
from service.error_registry import ClusterForeign
from service.redis_url import without_password

log = logging.getLogger("simpul.up")

NODES_MAX = 9
READY_S = 30.0
NODE_STOP_GRACE_S = 8.0
URL_FILE = "redis-url"
NODE_FILE = "node-url"
_PROBE_EVERY_S = 0.02
_SHOWN_LINES = 8
_OK = 200
_NOT_OURS = (
    "waiting %g s for somebody to decide: this Redis holds the data of the cluster %s. If that one is gone for good, "
    "take its data over: simpul adopt %s --quarantine-ms N --url %s"
)
_SOURCE = str(Path(__file__).resolve().parent.parent)


class UpError(Exception):
    """The cluster cannot be started, or did not stay up; the message says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `simpul up` was asked for. A port of 0 turns the metrics ports off, and takes a free one for Valkey."""

    nodes: int
    port: int
    metrics_port: int
    data: Path
    redis_url: str | None
    valkey_port: int
    appendfsync: str


def run(options: Options) -> int:
    """Start the cluster and follow it until it is told to stop. Raises UpError and ConfigError."""
    settings = config.load({**os.environ, **_node_settings(options, "127.0.0.1", 1, options.redis_url)})
    colour = logs.wants_colour(settings.log_colour, sys.stderr, os.environ)
    logs.setup("up", level=settings.log_level, colour=colour)
    with _folder_lock(options.data):
        _check_ports(options, settings.host)
        return asyncio.run(_run(options, settings.host, colour=colour))


async def _run(options: Options, host: str, *, colour: bool) -> int:
    return await Cluster(options, host, colour=colour).run()


class Cluster:
    """The running children, and `over`: the future that says why they are stopped."""

    def __init__(self, options: Options, host: str, *, colour: bool) -> None:
        self._options = options
        self._host = host
        self._colour = colour
        self._valkey: EmbeddedValkey | None = None
        self._nodes: list[Child] = []
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watchers: set[asyncio.Task[None]] = set()
        self._started = perf_counter()

    async def run(self) -> int:
        """Returns 0 when told to stop. Raises UpError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._told_to_stop)
        starting = asyncio.create_task(self._start(), name="start the cluster")
        try:
            either: tuple[asyncio.Future[Any], ...] = (starting, self._over)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._over.done():
                await starting
            return await self._over
        except EmbeddedError as error:
            raise UpError(str(error)) from error
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._stop()

    def _told_to_stop(self) -> None:
        if not self._over.done():
            self._over.set_result(0)
            return
        log.warning("told to stop again: killing what still runs")
        for running in self._children():
            running.kill()

    async def _start(self) -> None:
        redis_url = self._options.redis_url
        if redis_url is None:
            redis_url = await self._start_valkey()
        numbers = range(1, self._options.nodes + 1)
        urls = [_node_url(self._options, self._host, number) for number in numbers]
        _remember(self._options.data / URL_FILE, redis_url)
        _remember(self._options.data / NODE_FILE, urls[0])
        await asyncio.gather(*(self._start_node(number, redis_url) for number in numbers))
        await _until_ready(urls, owns_redis=self._valkey is not None)
        self._print(_what_next(self._options, urls, redis_url, perf_counter() - self._started))

    async def _start_valkey(self) -> str:
        valkey = await embedded.start(
            self._options.data / "valkey", port=self._options.valkey_port, appendfsync=self._options.appendfsync
        )
        self._valkey = valkey
        self._watch(valkey.child)
        log.info("Valkey is up at %s, appendfsync %s", valkey.url, self._options.appendfsync)
        return valkey.url

    async def _start_node(self, number: int, redis_url: str) -> None:
        env = {**os.environ, **_node_settings(self._options, self._host, number, redis_url)}
        if self._colour:
            env["SIMPUL_LOG_COLOUR"] = "always"  # its output is a pipe, ours the terminal
        # The code that runs now, and no package that is called `service` in the user's own folder (-P).
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (_SOURCE, env.get("PYTHONPATH"))))
        command = (sys.executable, "-P", "-m", "service.cli", "node")
        node = await child.start(f"n{number}", command, env=env, on_line=self._pass_on)
        self._nodes.append(node)
        self._watch(node)

    def _watch(self, running: Child) -> None:
        async def report_end() -> None:
            exit_code = await running.ended()
            if not self._over.done():
                self._over.set_exception(UpError(self._crash_report(running, exit_code)))

        task = asyncio.create_task(report_end(), name=f"watch {running.name}")
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    def _crash_report(self, ended: Child, exit_code: int) -> str:
        is_valkey = self._valkey is not None and ended is self._valkey.child
        lines = (
            self._valkey.last_lines(_SHOWN_LINES) if self._valkey and is_valkey else list(ended.tail)[-_SHOWN_LINES:]
        )
        said = "".join(f"\n    {line}" for line in lines) or "\n    (nothing)"
        # A cluster with a part missing behaves unlike the one that was asked for: it stops, so that nobody
        # develops against it unawares.
        return (
            f"{ended.name} {child.how_it_ended(exit_code)}, so the others are stopped too. Its last lines:{said}\n"
            f"The data in {self._options.data} is kept: start again once the cause is gone."
        )

    async def _stop(self) -> None:
        # The end of what we stop ourselves is no crash.
        if not self._over.done():
            self._over.cancel()
        if self._children():
            log.info("stopping %s", ", ".join(running.name for running in self._children()))
        await asyncio.gather(*(node.stop(NODE_STOP_GRACE_S) for node in self._nodes))
        if self._valkey is not None:
            await self._valkey.stop()
        for name in (URL_FILE, NODE_FILE):
            (self._options.data / name).unlink(missing_ok=True)
        log.info("stopped, data is kept in %s", self._options.data)

    def _children(self) -> list[Child]:
        every = [*self._nodes, *([self._valkey.child] if self._valkey else [])]
        return [running for running in every if running.exit_code is None]

    def _pass_on(self, line: str) -> None:
        self._print(line, to_stderr=True)

    def _print(self, text: str, *, to_stderr: bool = False) -> None:
        try:
            print(text, file=sys.stderr if to_stderr else sys.stdout, flush=True)
        except OSError:
            # Whoever read our output is gone (`simpul up | head`, a closed terminal): nobody follows any more.
            if not self._over.done():
                self._over.set_result(0)


def _node_settings(options: Options, host: str, number: int, redis_url: str | None) -> dict[str, str]:
    """The environment of one node. Settings of a single node in the user's own environment do not apply."""
    numbers = range(1, options.nodes + 1)
    return {
        "NODE_ID": f"n{number}",
        "HTTP_PORT": str(options.port + number - 1),
        "METRICS_PORT": str(options.metrics_port + number - 1 if options.metrics_port else 0),
        "SELF_URL": _node_url(options, host, number),
        "PEERS": ",".join(_node_url(options, host, peer) for peer in numbers if peer != number),
        "QUORUM": "0",
        "REDIS_URL": redis_url or "",
        # Nobody who starts a new version here wants the scripts of the old one.
        "SIMPUL_SCRIPTS_AUTO": "1",
        # A Raft log belongs to its members' URLs: the same folder on other ports is another cluster of nodes.
        "SIMPUL_DATA": str(options.data / f"nodes-{options.nodes}-from-{options.port}" / f"n{number}"),
    }


def _node_url(options: Options, host: str, number: int) -> str:
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{reached}:{options.port + number - 1}"


async def _until_ready(urls: list[str], *, owns_redis: bool) -> None:
    """Raises UpError, with each late node's own reason, when not all are ready in time.

    With `owns_redis`, data that another cluster left in it is taken over. That cluster had this folder before us, with
    other ports or another number of nodes, and the folder's lock says that it has ended.
    """
    answers = dict.fromkeys(urls, "it does not answer")
    seen: set[str] = set()
    """Former clusters that were adopted, or reported."""

    async def one(url: str) -> None:
        while answers[url]:
            status, body = await _ask(url, "GET /readyz")
            answers[url] = "" if status == _OK else str(body.get("detail") or f"it answers with status {status}")
            former = str(body.get("cluster_id")) if body.get("code") == ClusterForeign.code else ""
            if former and former not in seen:
                seen.add(former)
                if not owns_redis:
                    log.warning(_NOT_OURS, READY_S, former, former, url)
                elif not await _adopt(url, former):
                    seen.discard(former)
            if answers[url]:
                await asyncio.sleep(_PROBE_EVERY_S)

    try:
        async with asyncio.timeout(READY_S):
            await asyncio.gather(*map(one, urls))
    except TimeoutError:
        late = "".join(f"\n    {url}: {reason}" for url, reason in answers.items() if reason)
        raise UpError(f"not every node was ready within {READY_S:g} s, so all are stopped:{late}") from None


async def _adopt(url: str, cluster_id: str) -> bool:
    """Without quarantine: Valkey ended and began with all its data, so no lock is forgotten whose lease may run."""
    status, body = await _ask(url, "POST /cluster/adopt", {"cluster_id": cluster_id, "quarantine_ms": 0})
    if status != _OK:
        log.info("the data of cluster %s is not adopted yet: %s", cluster_id, body.get("detail", status))
        return False
    log.info(
        "adopted what Valkey holds of cluster %s, which ran in this folder before with other nodes; no quarantine, "
        "for Valkey lost nothing",
        cluster_id,
    )
    return True


async def _ask(url: str, what: str, fields: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and fields of the answer; 0 and a `detail` when there is none. A bare request: importing an HTTP client
    takes longer than all of these."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    body = b"" if fields is None else json.dumps(fields).encode()
    head = f"{what} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        try:
            writer.write(head.encode() + body)
            answer = await reader.read()
        finally:
            writer.close()
    except OSError as error:
        return 0, {"detail": f"it does not answer ({error.strerror})"}
    status_line, _, rest = answer.partition(b"\r\n")
    try:
        found = json.loads(rest.partition(b"\r\n\r\n")[2])
        return int(status_line.split()[1]), found if isinstance(found, dict) else {}
    except (ValueError, IndexError):
        return 0, {"detail": status_line.decode("latin-1") or "it closed the connection"}


def _what_next(options: Options, urls: list[str], redis_url: str, took_s: float) -> str:
    lock, publish, consume = (urls[at % len(urls)] for at in range(3))
    nodes = "  ".join(f"n{number} {url}" for number, url in enumerate(urls, 1))
    redis = without_password(redis_url)
    return (
        f"\nSimpul is ready after {took_s:.1f} s: {nodes}\n"
        f"Redis is {redis}, data is kept in {options.data}. Try, in another terminal:\n\n"
        f"""  curl {lock}/lock/acquire -d '{{"resource":"r1","owner":"alice"}}'\n"""
        f"""  curl {publish}/queue/publish -d '{{"topic":"t","data":{{"x":1}}}}'\n"""
        f"""  curl {consume}/queue/consume -d '{{"topic":"t","consumer":"c1"}}'\n\n"""
        "Ctrl-C stops everything. The log follows.\n"
    )


def _check_ports(options: Options, host: str) -> None:
    """Raises UpError for a port that cannot be had; asked before anything is started, so that nothing is left over."""
    wanted = {options.port + at: "--port" for at in range(options.nodes)}
    extra = {options.metrics_port + at: "--metrics-port" for at in range(options.nodes if options.metrics_port else 0)}
    if options.valkey_port and options.redis_url is None:
        extra.setdefault(options.valkey_port, "--valkey-port")
    for port in wanted.keys() & extra.keys():
        raise UpError(f"port {port} is asked for twice: {extra[port]} overlaps --port")
    for port, option in (wanted | extra).items():
        if port > 65535:
            raise UpError(f"port {port} does not exist: choose a lower {option}")
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # As servers do, or a port would seem taken for a minute after its last connection closed.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise UpError(_port_refusal(port, option, host, error)) from error


def _port_refusal(port: int, option: str, host: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"port {port} needs more rights than this user has: choose another {option}"
    if "in use" in str(error.strerror):
        return f"port {port} is in use by another program: choose another {option} or stop it"
    return f"cannot listen on {host} port {port}: {error.strerror}; is SIMPUL_HOST an address of this machine?"


@contextmanager
def _folder_lock(data: Path) -> Iterator[None]:
    """Two clusters on one folder would write one AOF. The kernel drops the lock with us, so it is never left over."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = (data / "up.lock").open("a+", encoding="ascii")
    except OSError as error:
        raise UpError(
            f"{data} cannot hold the cluster's data ({error.strerror}): choose another with --data"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UpError(
                f"{data} is in use by another `simpul up` (process {file.read().strip() or 'unknown'}): "
                f"stop that one or choose another folder with --data"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _remember(path: Path, text: str) -> None:
    """So that other commands find the cluster that runs here. The address of a Redis may hold a password."""
    path.touch(mode=0o600)
    path.write_text(text + "\n", encoding="utf-8")
